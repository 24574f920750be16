"""A card goes in; the account adds up and nothing is counted twice."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.records import record
from tests.toy import write_bundle
from trapsort import examine, pipeline
from trapsort.bundle import load_bundle
from trapsort.classify import Answer, classify_folder
from trapsort.decode import Frame
from trapsort.demo import draw_card
from trapsort.ensemble import Classifier, Prediction
from trapsort.errors import DatabaseError, InputError, PhotoError
from trapsort.examine import NO_ANSWER
from trapsort.fingerprint import Content, read_content
from trapsort.memory import Budget
from trapsort.near import NearDuplicates
from trapsort.pipeline import Progress, ingest
from trapsort.scan import Photo, Problem, card_of, scan
from trapsort.session import Session, open_session
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


def test_the_nearest_photo_is_linked_wherever_a_batch_ends() -> None:
    """The nearest of recorded photos and those of the batch; of several the first."""
    hashes = [0b0111, 0b1111, 0b0001, 0b1001, 0b1000]
    batch = [record(f"{value:b}", perceptual_hash=value) for value in hashes]
    linked = pipeline._linked(batch, NearDuplicates([0], [7]))
    assert [each.near for each in linked] == [(7, 3), (-1, 1), (7, 1), (-3, 1), (7, 1)]


def test_stopping_keeps_what_is_recorded_and_going_on_finishes(
    store: Store, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trapsort.workers.TOGETHER", 4)
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


def test_a_card_that_is_pulled_out_costs_nothing_that_was_read(
    card: Path, store: Store, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(root: Path) -> Iterator[Photo | Problem]:
        items = list(scan(root))
        yield from items[:3]
        raise InputError("the card went away", "insert it again")

    monkeypatch.setattr(pipeline, "scan", pulled)
    with pytest.raises(InputError, match="the card went away"):
        ingest(card, store=store, classifier=classifier, workers=1)
    assert set(labels(store)) == {"lion.jpg", "night.jpg"}


def test_files_of_a_card_that_went_away_after_the_scan_are_no_problems(
    card: Path, store: Store, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull_at_panda(photo: Photo) -> Content:
        if photo.relative.endswith(b"panda.jpg"):
            card.rename(card.with_name("pulled out"))
            card.mkdir()  # the mount point that is left
        return read_content(photo)

    monkeypatch.setattr(examine, "read_content", pull_at_panda)
    with pytest.raises(InputError, match=r"went away while it was read\.\n"):
        ingest(card, store=store, classifier=classifier, workers=1)
    assert set(labels(store)) == {"lion.jpg", "night.jpg"}
    assert {p.reason for p in store.problems()} == {"not_an_image", "truncated"}


def test_a_file_that_is_deleted_before_it_is_read_is_not_counted(
    card: Path, store: Store, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_panda(photo: Photo) -> Content:
        if photo.relative.endswith(b"panda.jpg"):
            photo.path.unlink()
        return read_content(photo)

    monkeypatch.setattr(examine, "read_content", delete_panda)
    account = ingest(card, store=store, classifier=classifier)
    assert account == Account(files=6, recorded=3, seen_before=1, problems=2)
    assert len(list(store.problems())) == 2


@pytest.mark.parametrize("reason", ["unreadable", "changed"])
def test_what_could_not_be_read_is_told_to_be_tried_again(
    card: Path,
    store: Store,
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    def fail(photo: Photo) -> Content:
        if photo.relative.endswith(b"panda.jpg"):
            raise PhotoError(reason, "for now") from OSError(errno.EIO, "Input/output error")
        return read_content(photo)

    with monkeypatch.context() as patch:
        patch.setattr(examine, "read_content", fail)
        for _ in range(2):
            account = ingest(card, store=store, classifier=classifier)
            assert [photo.name for photo in account.again] == ["DCIM/panda.jpg"]
            assert [p.reason for p in store.problems() if "panda" in p.path] == [reason]
    assert ingest(card, store=store, classifier=classifier).again == ()
    assert not [p for p in store.problems() if "panda" in p.path]


@pytest.mark.parametrize("idle", [False, True])
def test_a_folder_that_can_be_listed_again_is_no_problem_any_more(
    card: Path,
    store: Store,
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    idle: bool,
) -> None:
    (card / "empty").mkdir()
    (card / "other").mkdir()
    bad = [Problem(card, name, "unreadable", "Input/output error") for name in (b"empty", b"other")]
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "scan", lambda root: iter(bad))
        assert ingest(card, store=store, classifier=classifier) == Account(2, 0, 0, 2)
    skip: Callable[[object], bool] | None = (lambda item: True) if idle else None
    ingest(card / "DCIM" / "lion.jpg", store=store, classifier=classifier, skip=skip)
    (card / "1.jpg").write_bytes((card / "DCIM" / "lion.jpg").read_bytes())
    ingest(card / "1.jpg", store=store, classifier=classifier, skip=skip)  # only looks at itself
    assert [p.path for p in store.problems()] == ["empty", "other"]
    monkeypatch.setattr(pipeline, "scan", lambda root: iter(bad[1:]))
    ingest(card, store=store, classifier=classifier, skip=skip)
    assert [p.path for p in store.problems()] == ["other"]


def test_a_photo_without_an_answer_is_a_photo_and_a_problem_and_tried_again(
    card: Path, store: Store, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = Prediction(None, None, "unclassified", (), ())
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "classify", lambda self, frames: [none] * len(frames))
        account = ingest(card, store=store, classifier=classifier)
    assert account.recorded == 4
    assert account.files == 7 == account.recorded + account.seen_before + account.problems
    listed = [p for p in store.problems() if p.reason == "unclassified"]
    assert [p.path for p in listed] == [
        f"DCIM/{name}.jpg" for name in ("lion", "night", "panda", "rhino", "zebra")
    ]
    assert listed[0].detail == "the network gave no finite answer"
    ingest(card, store=store, classifier=classifier)
    assert labels(store)["lion.jpg"] == ("Lion", None)
    assert {p.reason for p in store.problems()} == {"not_an_image", "truncated"}


class Fails:
    """Raises what it is given for the photo that it is given, as often as it is told."""

    def __init__(self, error: Exception, times: int, name: bytes = b"lion.jpg") -> None:
        self.error, self.times, self.name = error, times, name
        self.tried: list[bytes] = []

    def __call__(self, photo: Photo) -> Content:
        self.tried.append(photo.relative)
        if photo.relative.endswith(self.name) and self.tried.count(photo.relative) <= self.times:
            raise self.error
        return read_content(photo)


FAILURES = [
    (MemoryError(), "no_memory", "memory ran out while the photo was examined"),
    (RuntimeError("a\nbug"), "failed", "RuntimeError: a bug"),
    (PhotoError("no_memory", "no memory"), "no_memory", "no memory"),
]


@pytest.mark.parametrize(("error", "reason", "detail"), FAILURES)
def test_a_photo_that_a_worker_fails_on_is_tried_once_more_and_then_a_problem(
    card: Path,
    store: Store,
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
    detail: str,
) -> None:
    always = Fails(error, times=99)
    with monkeypatch.context() as patch:
        patch.setattr(examine, "read_content", always)
        account = ingest(card, store=store, classifier=classifier)
    assert account == Account(files=7, recorded=4, seen_before=0, problems=3)  # its copy is whole
    assert [(p.path, p.detail) for p in store.problems() if p.reason == reason] == [
        ("DCIM/lion.jpg", detail)
    ]
    assert always.tried.count(b"DCIM/lion.jpg") == 2
    assert all(always.tried.count(name) == 1 for name in {*always.tried} - {b"DCIM/lion.jpg"})
    assert [p.name for p in account.again] == ["DCIM/lion.jpg"] * (reason == "no_memory")
    assert ingest(card, store=store, classifier=classifier) == Account(7, 0, 5, 2)


@pytest.mark.parametrize(("error", "reason", "detail"), FAILURES)
def test_a_photo_that_fails_once_is_recorded(
    card: Path,
    store: Store,
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
    detail: str,
) -> None:
    monkeypatch.setattr(examine, "read_content", Fails(error, times=1))
    assert ingest(card, store=store, classifier=classifier) == Account(7, 4, 1, 2)
    assert labels(store)["lion.jpg"] == ("Lion", None)


@pytest.mark.parametrize("place", ["decode", "read_exif", "perceptual_hash"])
def test_a_failure_anywhere_costs_one_photo(
    card: Path,
    store: Store,
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    times = 0

    def fail(*_: object, **__: object) -> None:
        nonlocal times
        times += 1
        raise ZeroDivisionError("in the middle")

    monkeypatch.setattr(examine, place, fail)
    assert ingest(card, store=store, classifier=classifier, workers=1) == Account(7, 0, 0, 7)
    failed = [p for p in store.problems() if p.reason == "failed"]
    assert {p.detail for p in failed} == {"ZeroDivisionError: in the middle"}
    # `decode` meets notes.txt and cut.jpg, too.
    assert times == 2 * len(failed) == 2 * (7 if place == "decode" else 5)


def test_a_database_that_fails_ends_the_ingest_and_is_no_photos_fault(
    card: Path, store: Store, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise DatabaseError("the database is locked", "close the other program")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "known", locked)
        with pytest.raises(DatabaseError, match="the database is locked"):
            ingest(card, store=store, classifier=classifier)
    assert not list(store.problems())
    assert ingest(card, store=store, classifier=classifier) == Account(7, 4, 1, 2)


class SaysProvider:
    """A session that names another provider than the one that runs it."""

    def __init__(self, session: Session, provider: str) -> None:
        self.run, self.maps, self.provider = session.run, session.maps, provider
        self.precision = session.precision


@pytest.mark.parametrize("failure", [MemoryError("no room"), None])
@pytest.mark.parametrize("lasting", [True, False])
@pytest.mark.parametrize("provider", ["CPUExecutionProvider", "CUDAExecutionProvider"])
def test_a_photo_that_spoils_its_batch_is_classified_alone(
    card: Path,
    store: Store,
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception | None,
    lasting: bool,
    provider: str,
) -> None:
    """Red spoils: by an exception, which costs the whole batch, or by an answer that is none."""
    whole, batches, spoiled = Classifier.classify, list[int](), list[bool]()
    on_a_cpu = provider.startswith("CPU")

    def classify(self: Classifier, frames: Sequence[Frame]) -> list[Prediction]:
        batches.append(len(frames))
        red = [frame.pixels[0, 0, 0] > 200 for frame in frames]
        if not any(red) or (spoiled and not lasting):
            return whole(self, frames)
        spoiled.append(True)
        if failure is not None:
            raise failure
        answers = zip(red, whole(self, frames), strict=True)
        return [NO_ANSWER if is_red else said for is_red, said in answers]

    monkeypatch.setattr(Classifier, "classify", classify)
    classifier = Classifier(classifier.bundle, SaysProvider(classifier.session, provider))
    (card / "DCIM" / "zebra.jpg").unlink()
    account = ingest(card, store=store, classifier=classifier)
    assert account == Account(6, 4, 0, 2)
    assert batches == ([1] * 5 if on_a_cpu else [4, 1, 1, 1, 1] if failure else [4, 1])
    lion = (None, "unclassified") if lasting else ("Lion", None)
    assert labels(store) == {
        "lion.jpg": lion,
        "night.jpg": (None, "blank"),
        "panda.jpg": ("Panda", None),
        "rhino.jpg": ("Rhino", None),
    }
    said = "MemoryError: no room" if failure else "the network gave no finite answer"
    assert [(p.path, p.detail) for p in store.problems() if p.reason == "unclassified"] == (
        [("DCIM/lion.jpg", said)] * lasting
    )
    answers = {Path(a.path).name: a for a in classify_folder(card, classifier)}
    prediction = answers["lion.jpg"].prediction
    assert prediction is not None
    assert (prediction.label, prediction.reason) == lion


def test_files_that_exceed_the_budget_are_in_memory_one_at_a_time(
    card: Path, store: Store, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a photo that is tried once more is alone in memory, whatever its size."""
    free, tried = [], Fails(RuntimeError("a bug"), times=1)
    budget = Budget(2 * max(path.stat().st_size for path in (card / "DCIM").iterdir()))

    def read(photo: Photo) -> Content:
        free.append((photo.relative, budget._free))
        return tried(photo)

    monkeypatch.setattr(examine, "read_content", read)
    monkeypatch.setattr(examine, "FILES", budget)
    ingest(card, store=store, classifier=classifier, workers=1)
    sizes = {photo.relative: photo.size for photo in scan(card) if isinstance(photo, Photo)}
    lion = b"DCIM/lion.jpg"
    assert sorted(free) == sorted(
        [*((name, budget.size - size) for name, size in sizes.items()), (lion, 0)]
    )


def test_a_graph_runs_at_most_once_a_core(
    store: Store, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_card(tmp_path / "drawn")
    monkeypatch.setattr(examine, "RUNS", threading.BoundedSemaphore(2))
    whole, inside, most = Classifier.classify, 0, 0

    def classify(self: Classifier, frames: Sequence[Frame]) -> list[Prediction]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return whole(self, frames)

    monkeypatch.setattr(Classifier, "classify", classify)
    ingest(drawn.folder, store=store, classifier=classifier, workers=6)
    assert most == 2


def test_a_heic_is_a_photo_with_its_time(
    store: Store, classifier: Classifier, tmp_path: Path
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    image = Image.new("RGB", (640, 480), COLOURS["lion"])
    exif = Image.Exif()
    exif[0x0132] = "2024:05:06 07:08:09"
    image.info["exif"] = exif.tobytes()
    pillow_heif.from_pillow(image).save(tmp_path / "lion.heic")
    assert ingest(tmp_path / "lion.heic", store=store, classifier=classifier) == Account(1, 1, 0, 0)
    (lion,) = store.sightings()
    assert (lion.label, lion.camera_time) == ("Lion", "2024-05-06T07:08:09")


def test_two_cards_in_one_reader_are_two_cards(
    card: Path, store: Store, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    for volume in ("AAAA", "BBBB", "AAAA"):
        monkeypatch.setattr(
            pipeline, "card_of", lambda root, volume=volume: replace(card_of(root), volume=volume)
        )
        ingest(card, store=store, classifier=classifier)
    assert {p.path for p in store.problems()} == {"DCIM/cut.jpg", "DCIM/notes.txt"}
    assert len(list(store.problems())) == 4  # of each card


def test_a_card_named_by_a_detour_is_the_same_card(
    card: Path, store: Store, classifier: Classifier
) -> None:
    for root in (card, card / "DCIM" / ".."):
        ingest(root, store=store, classifier=classifier)
    assert len(list(store.problems())) == 2
