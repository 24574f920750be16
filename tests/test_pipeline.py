"""A card goes in; the account adds up and nothing is counted twice."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.toy import write_bundle
from trapsort.bundle import load_bundle
from trapsort.demo import draw_card
from trapsort.ensemble import Classifier
from trapsort.errors import InputError
from trapsort.pipeline import Answer, Progress, classify_folder, ingest
from trapsort.scan import Photo, scan
from trapsort.session import open_session
from trapsort.store import Account, SightingQuery, Store

COLOURS = {
    "lion": (220, 10, 10),
    "panda": (10, 220, 10),
    "rhino": (10, 10, 220),
    "night": (0, 0, 0),
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    bundle = load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))
    return Classifier(bundle, open_session(bundle))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'record.sqlite3'}") as opened:
        yield opened


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Four photos, one of them twice, and two files that are none."""
    folder = tmp_path / "card" / "DCIM"
    folder.mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (640, 480), colour).save(folder / f"{name}.jpg")
    shutil.copy(folder / "lion.jpg", folder / "zebra.jpg")
    (folder / "notes.txt").write_text("a note")
    (folder / "cut.jpg").write_bytes((folder / "panda.jpg").read_bytes()[:900])
    return folder.parent


def labels(store: Store) -> dict[str, tuple[str | None, str | None]]:
    return {Path(s.path).name: (s.label, s.reason) for s in store.sightings()}


def test_one_photo_walks_the_whole_way(card: Path, store: Store, classifier: Classifier) -> None:
    account = ingest(card, store=store, classifier=classifier, station="north")
    assert account == Account(files=7, recorded=4, seen_before=1, problems=2)
    assert account.sentence == "7 files: 4 photos recorded, 1 seen before, 2 problems"
    assert labels(store) == {
        "lion.jpg": ("Lion", None),
        "night.jpg": (None, "blank"),
        "panda.jpg": ("Panda", None),
        "rhino.jpg": ("Rhino", None),
    }
    assert {(p.path, p.reason) for p in store.problems()} == {
        ("DCIM/cut.jpg", "truncated"),
        ("DCIM/notes.txt", "not_an_image"),
    }
    lion = next(s for s in store.sightings() if s.label == "Lion")
    assert (lion.iucn, lion.scientific_name) == ("VU", "Panthera leo")
    assert (lion.station, lion.model) == ("north", "toy-1.0.0")
    assert lion.probability is not None
    assert 0.6 < lion.probability < 1


def test_the_same_card_again_adds_nothing(card: Path, store: Store, classifier: Classifier) -> None:
    ingest(card, store=store, classifier=classifier)
    before = list(store.sightings())
    again = ingest(card, store=store, classifier=classifier)
    assert again == Account(files=7, recorded=0, seen_before=5, problems=2)
    assert list(store.sightings()) == before
    assert len(list(store.problems())) == 2


def test_the_same_photo_under_another_name_on_another_card(
    card: Path, store: Store, classifier: Classifier, tmp_path: Path
) -> None:
    ingest(card, store=store, classifier=classifier)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(card / "DCIM" / "panda.jpg", other / "lion.jpg")
    assert ingest(other, store=store, classifier=classifier) == Account(1, 0, 1, 0)
    assert len(labels(store)) == 4
    found = [s.label for s in store.sightings(SightingQuery(card=str(other)))]
    assert found == ["Panda"]


def test_a_newer_bundle_adds_predictions(
    card: Path, store: Store, classifier: Classifier, tmp_path: Path
) -> None:
    ingest(card, store=store, classifier=classifier)
    newer = load_bundle(write_bundle(tmp_path / "newer", version="1.1.0"))
    again = ingest(card, store=store, classifier=Classifier(newer, open_session(newer)))
    assert again == Account(files=7, recorded=0, seen_before=5, problems=2)
    assert {s.model for s in store.sightings()} == {"toy-1.1.0"}
    assert [(m.name, m.version) for m in store.models()] == [("toy", "1.0.0"), ("toy", "1.1.0")]


def test_near_duplicates_are_linked_and_kept(
    store: Store, classifier: Classifier, tmp_path: Path
) -> None:
    drawn = draw_card(tmp_path / "drawn")
    first = ingest(drawn.folder, store=store, classifier=classifier, workers=1)
    linked = [s for s in store.sightings() if s.near_duplicate_of is not None]
    assert first.recorded == len(list(store.sightings()))
    assert linked
    ids = {s.photo_id for s in store.sightings()}
    assert all(s.near_duplicate_of in ids and s.near_duplicate_of < s.photo_id for s in linked)


def test_stopping_keeps_what_is_recorded_and_going_on_finishes(
    store: Store, classifier: Classifier, tmp_path: Path
) -> None:
    drawn = draw_card(tmp_path / "drawn")
    stop = threading.Event()
    part = ingest(
        drawn.folder,
        store=store,
        classifier=classifier,
        workers=1,
        stop=stop,
        on_progress=lambda progress: stop.set(),
    )
    total = sum(1 for _ in scan(drawn.folder))
    assert 0 < part.files < total
    assert part.recorded == len(list(store.sightings()))
    rest = ingest(drawn.folder, store=store, classifier=classifier)
    assert rest.files == total
    assert part.recorded + rest.recorded == len(list(store.sightings()))


def test_skipped_files_are_not_counted_and_an_idle_look_leaves_no_run(
    card: Path, store: Store, classifier: Classifier
) -> None:
    only = ingest(
        card,
        store=store,
        classifier=classifier,
        skip=lambda item: not item.relative.endswith(b"lion.jpg"),
    )
    assert only == Account(1, 1, 0, 0)
    assert ingest(card, store=store, classifier=classifier, skip=lambda item: True) == Account()


def test_progress_counts_up_to_the_total(card: Path, store: Store, classifier: Classifier) -> None:
    seen: list[Progress] = []
    ingest(card, store=store, classifier=classifier, total=7, on_progress=seen.append)
    assert seen[-1] == Progress(7, 7)
    assert [p.files for p in seen] == sorted(p.files for p in seen)


def test_a_root_that_is_not_there(store: Store, classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        ingest(tmp_path / "nowhere", store=store, classifier=classifier)


def test_classify_keeps_the_order_and_records_nothing(card: Path, classifier: Classifier) -> None:
    answers = list(classify_folder(card, classifier, workers=2))
    assert [Path(a.path).name for a in answers] == [
        item.relative.decode().rpartition("/")[2] for item in scan(card)
    ]
    by_name = {Path(a.path).name: a for a in answers}
    assert by_name["notes.txt"] == Answer(str(card / "DCIM/notes.txt"), None, "not_an_image")
    lion = by_name["zebra.jpg"].prediction
    assert lion is not None
    assert lion.label == "Lion"


def test_the_record_does_not_depend_on_the_number_of_threads(
    classifier: Classifier, tmp_path: Path
) -> None:
    drawn = draw_card(tmp_path / "drawn")
    records = []
    for workers in (1, 3):
        with Store.open(f"sqlite:///{tmp_path / f'{workers}.sqlite3'}") as store:
            ingest(drawn.folder, store=store, classifier=classifier, workers=workers)
            records.append(list(store.sightings()))
    assert records[0] == records[1]
    assert all(isinstance(item, Photo) for item in scan(drawn.folder))
