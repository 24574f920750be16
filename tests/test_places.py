"""Which content gives way to another at its place: files that change, names that are used again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.records import CARD, LION, NOVEL, ask, keys, photo, record, sha
from tests.toy import write_bundle
from trapsort.bundle import load_bundle
from trapsort.cli.main import main
from trapsort.decode import decode
from trapsort.ensemble import Classifier
from trapsort.errors import PhotoError
from trapsort.pipeline import ingest
from trapsort.session import open_session
from trapsort.store import Account, ModelRow, SightingQuery, Store
from trapsort.store.places import replaced

RED, GREEN = (220, 10, 10), (10, 220, 10)
MORNING, NOON = "2026:03:01 05:06:07", "2026:03:01 12:00:00"
TIME = 306  # the EXIF tag DateTime


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "toy")


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    loaded = load_bundle(bundle)
    return Classifier(loaded, open_session(loaded))


@pytest.fixture
def take_in(store: Store, classifier: Classifier) -> Callable[[Path], Account]:
    return lambda root: ingest(root, store=store, classifier=classifier, workers=1)


def draw(path: Path, colour: tuple[int, int, int], time: str | None = None) -> bytes:
    """Write a JPEG of one colour with some noise, so that its data are spread over the file."""
    noise = np.random.default_rng(1).integers(-9, 9, (240, 320, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    exif = Image.Exif()
    if time:
        exif[TIME] = time
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "JPEG", exif=exif)
    return path.read_bytes()


def half_copied(whole: bytes) -> bytes:
    """What a copy looks like while its last block is on its way: zeros, and it decodes."""
    for zeros in range(4, 400):
        cut = whole[:-zeros] + bytes(zeros)
        with suppress(PhotoError):
            if "no_end_marker" in decode(cut).flags:
                return cut
    raise AssertionError("no half of this photo decodes")


def shown(store: Store, **conditions: str) -> list[tuple[str, str | None]]:
    return [(s.path, s.label) for s in store.sightings(SightingQuery(**conditions))]  # type: ignore[arg-type]


def superseded(url: str) -> list[tuple[int, int | None]]:
    return [tuple(row) for row in ask(url, "SELECT id, superseded_by FROM photos ORDER BY id")]


def left_places(url: str) -> list[tuple[str, int]]:
    """The places whose content gave way."""
    query = "SELECT path, photo_id FROM places_seen WHERE superseded IS NOT NULL"
    return [tuple(row) for row in ask(url, f"{query} ORDER BY path, photo_id")]


# Files that change -------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [MORNING, None])
def test_a_half_copied_photo_is_replaced_by_its_whole_self(
    tmp_path: Path, url: str, store: Store, take_in: Callable[[Path], Account], time: str | None
) -> None:
    card, file = tmp_path / "card", tmp_path / "card" / "DCIM" / "1.jpg"
    whole = draw(file, RED, time)
    file.write_bytes(half_copied(whole))
    assert take_in(card) == Account(1, 1, 0, 0)
    (early,) = store.sightings()
    assert "no_end_marker" in early.flags.split()
    file.write_bytes(whole)
    assert take_in(card) == Account(1, 1, 0, 0)
    (late,) = store.sightings()
    assert (late.photo_id, late.path, late.label) == (2, "DCIM/1.jpg", "Lion")
    assert "no_end_marker" not in late.flags.split()
    assert late.near_duplicate_of is None  # it nearly equals what it replaced
    assert superseded(url) == [(1, 2), (2, None)]
    assert store.count(SightingQuery(), "species") == [("Lion", 1)]
    hashes, ids = store.perceptual_hashes()
    assert (len(hashes), ids.tolist()) == (1, [2])


def test_a_truncated_photo_is_a_problem_until_it_is_whole(
    tmp_path: Path, store: Store, take_in: Callable[[Path], Account]
) -> None:
    card, file = tmp_path / "card", tmp_path / "card" / "DCIM" / "1.jpg"
    whole = draw(file, RED, MORNING)
    file.write_bytes(whole[:-100])
    assert take_in(card) == Account(1, 0, 0, 1)
    file.write_bytes(whole)
    assert take_in(card) == Account(1, 1, 0, 0)
    assert (shown(store), list(store.problems())) == ([("DCIM/1.jpg", "Lion")], [])
    file.write_bytes(whole[:-100])  # damaged later: what was recorded stays
    assert take_in(card) == Account(1, 0, 0, 1)
    assert (shown(store), len(list(store.problems()))) == ([("DCIM/1.jpg", "Lion")], 1)


def test_a_name_that_the_camera_uses_again_is_two_photos(
    tmp_path: Path, url: str, store: Store, take_in: Callable[[Path], Account]
) -> None:
    card, file = tmp_path / "card", tmp_path / "card" / "DCIM" / "1.jpg"
    for colour, time in ((RED, MORNING), (GREEN, NOON)):
        draw(file, colour, time)
        assert take_in(card) == Account(1, 1, 0, 0)
    assert shown(store) == [("DCIM/1.jpg", "Lion"), ("DCIM/1.jpg", "Panda")]
    assert superseded(url) == [(1, None), (2, None)]


def test_a_photo_without_a_time_that_changes_is_one_photo(
    tmp_path: Path, url: str, store: Store, take_in: Callable[[Path], Account]
) -> None:
    card, file = tmp_path / "card", tmp_path / "card" / "DCIM" / "1.jpg"
    for colour in (RED, GREEN):
        draw(file, colour)
        assert take_in(card) == Account(1, 1, 0, 0)
    assert shown(store) == [("DCIM/1.jpg", "Panda")]
    assert superseded(url) == [(1, 2), (2, None)]


def test_equal_names_on_two_cards_never_give_way(
    tmp_path: Path, url: str, store: Store, take_in: Callable[[Path], Account]
) -> None:
    for name, colour in (("one", RED), ("two", GREEN)):
        draw(tmp_path / name / "DCIM" / "1.jpg", colour)
        take_in(tmp_path / name)
    assert shown(store) == [("DCIM/1.jpg", "Lion"), ("DCIM/1.jpg", "Panda")]
    assert left_places(url) == []


def test_a_photo_that_comes_back_is_live_again(
    tmp_path: Path, url: str, store: Store, take_in: Callable[[Path], Account]
) -> None:
    card, file = tmp_path / "card", tmp_path / "card" / "DCIM" / "1.jpg"
    first = draw(file, RED)
    take_in(card)
    draw(file, GREEN)
    take_in(card)
    file.write_bytes(first)
    assert take_in(card) == Account(1, 0, 1, 0)
    assert shown(store) == [("DCIM/1.jpg", "Lion")]
    assert superseded(url) == [(1, None), (2, 1)]
    (tmp_path / "copies").mkdir()
    draw(tmp_path / "copies" / "2.jpg", GREEN)  # the other one, on another card
    assert take_in(tmp_path / "copies") == Account(1, 0, 1, 0)
    assert shown(store) == [("2.jpg", "Panda"), ("DCIM/1.jpg", "Lion")]
    assert superseded(url) == [(1, None), (2, None)]
    assert left_places(url) == [("DCIM/1.jpg", 2)]
    assert shown(store, card=str(card)) == [("DCIM/1.jpg", "Lion")]


def test_taking_in_and_watching_again_change_nothing(
    tmp_path: Path,
    url: str,
    store: Store,
    bundle: Path,
    take_in: Callable[[Path], Account],
    capfd: pytest.CaptureFixture[str],
) -> None:
    card, file = tmp_path / "card", tmp_path / "card" / "DCIM" / "1.jpg"
    for colour in (RED, GREEN):
        draw(file, colour)
        shutil.copy(file, file.with_name("2.jpg"))
        take_in(card)
    state = (superseded(url), left_places(url), list(store.sightings()))
    assert state[:2] == ([(1, 2), (2, None)], [("DCIM/1.jpg", 1), ("DCIM/2.jpg", 1)])
    assert take_in(card) == Account(2, 0, 2, 0)
    assert (superseded(url), left_places(url), list(store.sightings())) == state
    assert main(["watch", "--once", str(card), "--bundle", str(bundle), "--db", url]) == 0
    assert "2 files: 0 photos recorded, 2 seen before, 0 problems" in capfd.readouterr().out
    assert (superseded(url), left_places(url), list(store.sightings())) == state


# The record --------------------------------------------------------------------------------------


def test_a_photo_is_superseded_once_its_last_place_is(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a", content="x"), record("b", content="x")])
    store.record(card, model, records=[record("a", content="y")])
    assert superseded(url) == [(1, None), (2, None)]
    assert shown(store) == [("a", "Lion"), ("b", "Lion")]  # x is shown where it still is
    store.record(card, model, records=[record("b", content="z")])
    assert superseded(url) == [(1, 3), (2, None), (3, None)]
    assert store.known([sha("x"), sha("y")], model) == {sha("x"): True, sha("y"): True}


def test_reviews_of_a_superseded_photo_stay_with_it(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a", content="x", prediction=NOVEL)])
    store.review(1, "Panda", reviewer="ada")
    store.record(card, model, records=[record("a", content="y")])
    assert shown(store) == [("a", "Lion")]
    assert ask(url, "SELECT photo_id, label FROM reviews") == [(1, "Panda")]
    store.record(card, model, seen=[(photo("b"), sha("x"))])
    assert shown(store) == [("a", "Lion"), ("b", "Panda")]


def test_no_chain_leads_from_a_photo_to_the_one_that_is_shown(store: Store, url: str) -> None:
    card, model = keys(store)
    for content in "xyz":
        store.record(card, model, records=[record("a", content=content)])
    assert superseded(url) == [(1, 3), (2, 3), (3, None)]
    store.record(card, model, seen=[(photo("a"), sha("x"))])
    assert superseded(url) == [(1, None), (2, 1), (3, 1)]


def test_changes_of_one_place_within_a_batch_count_in_their_order(store: Store, url: str) -> None:
    card, model = keys(store)
    twice = [record("a", content="x"), record("a", content="y")]
    assert store.record(card, model, records=twice).account == Account(2, 2, 0, 0)
    assert superseded(url) == [(1, 2), (2, None)]
    back = [(photo("a"), sha("x")), (photo("a"), sha("y")), (photo("a"), sha("x"))]
    store.record(card, model, seen=back)
    assert superseded(url) == [(1, None), (2, 1)]
    assert left_places(url) == [("a", 2)]


def test_files_that_change_their_names_within_a_batch_stay(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a"), record("b")])
    swapped = [(photo("a"), sha("b")), (photo("b"), sha("a"))]
    store.record(card, model, seen=swapped)
    assert superseded(url) == [(1, None), (2, None)]
    assert shown(store) == [("a", "Lion"), ("b", "Lion")]
    assert [s.photo_id for s in store.sightings()] == [2, 1]
    assert left_places(url) == [("a", 1), ("b", 2)]


def test_a_batch_that_fails_supersedes_nothing(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a", content="x")])
    with pytest.raises(KeyError):
        store.record(
            card, model, records=[record("a", content="y")], seen=[(photo("b"), sha("never"))]
        )
    assert (superseded(url), left_places(url)) == ([(1, None)], [])


def test_a_card_at_another_station_is_another_card(store: Store, url: str) -> None:
    model = store.model("iucn11", "1.0.0", "d1")
    for station, content in (("ridge", "x"), ("valley", "y")):
        card = store.card(CARD, station=station)
        store.record(card, model, records=[record("a", content=content)])
    assert superseded(url) == [(1, None), (2, None)]
    assert shown(store, station="ridge") == shown(store, station="valley") == [("a", "Lion")]


def test_a_near_duplicate_is_shown_beside_what_is_shown(store: Store) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a", content="half")])
    store.record(card, model, records=[record("b", near=(1, 3))])
    store.record(card, model, records=[record("a", content="whole", near=(1, 1))])
    assert [(s.photo_id, s.near_duplicate_of) for s in store.sightings()] == [(3, None), (2, 3)]
    store.record(card, model, records=[record("a", content="later")])
    assert [(s.photo_id, s.near_duplicate_of) for s in store.sightings()] == [(4, None), (2, 4)]


def test_a_model_with_a_site_profile_is_a_model_of_its_own(store: Store) -> None:
    plain = store.model("iucn11", "1.0.0", "d1")
    adjusted = store.model("iucn11", "1.0.0", "d1+p", profile="serengeti")
    assert adjusted != plain
    assert store.model("iucn11", "1.0.0", "d1+p", profile="serengeti") == adjusted
    found = store.models()
    assert [row.profile for row in found] == ["", "serengeti"]
    assert found[1] == ModelRow("iucn11", "1.0.0", "d1+p", found[1].added, "serengeti")
    store.record(store.card(CARD), plain, records=[record("a", prediction=LION)])
    assert store.known([sha("a")], plain) == {sha("a"): True}
    assert store.known([sha("a")], adjusted) == {sha("a"): False}


@pytest.mark.parametrize(
    ("before", "placed", "times", "gone"),
    [
        ([], [1], {1: None}, {}),
        ([1], [1], {1: None}, {}),
        ([1], [2], {1: None, 2: None}, {1: 2}),
        ([1], [2], {1: "t", 2: "t"}, {1: 2}),
        ([1], [2], {1: "t", 2: "u"}, {}),
        ([1], [2], {1: "t", 2: None}, {1: 2}),
        ([1], [2], {1: None, 2: "t"}, {1: 2}),
        ([1, 2], [3], {1: "t", 2: "u", 3: None}, {2: 3}),  # 1 was gone when 2 was there
        ([1, 2], [3], {1: "t", 2: "u", 3: "t"}, {1: 3}),
        ([1, 2], [1], {1: "t", 2: "u"}, {}),
        ([1, 2], [1, 3], {1: "t", 2: "u", 3: None}, {1: 3}),  # 1 is the one seen last
        ([1], [2, 3], {1: None, 2: None, 3: None}, {1: 2, 2: 3}),
        ([1], [2, 1], {1: None, 2: None}, {2: 1}),
        ([], [1, 2, 1, 2], {1: None, 2: None}, {1: 2}),
    ],
)
def test_what_gives_way(
    before: list[int], placed: list[int], times: dict[int, str | None], gone: dict[int, int]
) -> None:
    there = {b"p": before} if before else {}
    found = replaced(there, [(b"p", photo_id) for photo_id in placed], times)
    assert found == {(b"p", old): new for old, new in gone.items()}


def test_paths_that_hold_one_photo_need_no_times() -> None:
    assert replaced({b"p": [1], b"q": [2]}, [(b"p", 1), (b"r", 3)], {}) == {}
