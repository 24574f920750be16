"""The record: batches that are whole or not at all, and what comes out again."""

from __future__ import annotations

import json
import math
import multiprocessing
import multiprocessing.synchronize
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest

from tests.records import CARD, LION, NOVEL, TABLES, ask, keys, named, photo, record, sha, sizes
from trapsort.ensemble import Prediction
from trapsort.errors import DatabaseError, InputError
from trapsort.exif import NO_EXIF
from trapsort.scan import Problem
from trapsort.store import (
    Account,
    ModelRow,
    ProblemRow,
    Record,
    Recorded,
    Sighting,
    SightingQuery,
    Store,
)
from trapsort.store.engine import asking, reading

EARLY, LATE = "2001-01-01T00:00:00Z", "2099-12-31T23:59:59Z"


def paths(store: Store, **conditions: object) -> list[str]:
    query = SightingQuery(**conditions)  # type: ignore[arg-type]
    return [sighting.path for sighting in store.sightings(query)]


# Accounts ----------------------------------------------------------------------------------------


def test_an_account_says_what_became_of_the_files() -> None:
    total = Account(4812, 4790, 14, 8)
    assert total.sentence == "4,812 files: 4,790 photos recorded, 14 seen before, 8 problems"
    assert Account(2, 1, 0, 1).sentence == "2 files: 1 photo recorded, 0 seen before, 1 problem"
    assert Account(1, 0, 1, 0).sentence == "1 file: 0 photos recorded, 1 seen before, 0 problems"
    assert total + Account(1, 0, 1, 0) == Account(4813, 4790, 15, 8)


# One photo ---------------------------------------------------------------------------------------


def test_a_photo_comes_out_as_it_went_in(store: Store, url: str) -> None:
    card, model = store.card(CARD, station="ridge"), store.model("iucn11", "1.0.0", "d1")
    taken = record("DCIM/1.JPG", camera_time="2026-03-01T05:06:07")
    found = store.record(card, model, records=[taken])
    assert found == Recorded(Account(1, 1, 0, 0), (1,))
    assert list(store.sightings()) == [
        Sighting(
            photo_id=1,
            sha256=sha("DCIM/1.JPG").hex(),
            path="DCIM/1.JPG",
            card="/media/card",
            station="ridge",
            deployment=None,
            sequence_id=None,
            camera_time="2026-03-01T05:06:07",
            time="2026-03-01T05:06:07",
            utc_offset=None,
            label="Lion",
            count=1,
            scientific_name="Panthera leo",
            iucn="VU",
            probability=0.91,
            reason=None,
            reviewed=False,
            reviewer=None,
            model="iucn11-1.0.0",
            width=1920,
            height=1080,
            near_duplicate_of=None,
            flags="no_end_marker no_time",
            latitude=None,
            longitude=None,
        )
    ]
    (row,) = ask(url, "SELECT x, y, width, height, detector, detector_confidence FROM regions")
    assert row == (0, 0, 1, 1, "", None)
    ((top, members, precision),) = ask(url, "SELECT top, members, precision FROM predictions")
    assert precision == ""  # nothing said so
    assert json.loads(str(top)) == [["Lion", 0.91], ["cheetahs", 0.09]]
    assert json.loads(str(members)) == [["mobilenet", "Lion", 0.8]]


def test_every_field_of_exif_is_kept(store: Store, url: str) -> None:
    card, model = keys(store)
    exif = replace(
        NO_EXIF,
        camera_time="2026-03-01T05:06:07",
        utc_offset="+02:00",
        make="RECONYX",
        model="HC500",
        serial="H500",
        temperature_c=-3.5,
        moon="full",
        trigger="motion",
        sequence_index=2,
        sequence_length=3,
        event_number=4_000_000_000,
        latitude=-1.5,
        longitude=36.25,
        flags=(),
    )
    store.record(card, model, records=[replace(record("a"), exif=exif, flags=())])
    names = [field.name for field in fields(exif)]
    (row,) = ask(url, f"SELECT {', '.join(names)} FROM photos")  # noqa: S608
    kept = dict(zip(names, row, strict=True))
    assert kept == {name: getattr(exif, name) for name in names} | {"flags": ""}
    (sighting,) = store.sightings()
    assert (sighting.latitude, sighting.longitude) == (-1.5, 36.25)
    ask(url, "INSERT INTO stations (name, latitude, longitude) VALUES ('ridge', 10, 20)")
    store.card(CARD, station="ridge")
    (sighting,) = store.sightings()
    assert (sighting.latitude, sighting.longitude) == (10, 20)


def test_an_abstention_has_a_reason_and_no_label(store: Store) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a", prediction=NOVEL)])
    (found,) = store.sightings()
    assert (found.label, found.iucn, found.scientific_name) == (None, None, "")
    assert (found.probability, found.reason) == (0.4, "novel")


def test_what_is_no_number_is_not_recorded_as_one(store: Store, url: str) -> None:
    card, model = keys(store)
    odd = Prediction(None, math.nan, "unclassified", (("Lion", math.inf),), (("m", "x", 0.5),))
    none = replace(odd, probability=None, top=(), members=())
    store.record(card, model, records=[record("a", prediction=odd), record("b", prediction=none)])
    rows = ask(url, "SELECT probability, top FROM predictions ORDER BY id")
    assert rows == [(None, '[["Lion", null]]'), (None, "[]")]


def test_a_name_that_is_no_text_is_kept_as_bytes_and_shown_escaped(store: Store) -> None:
    card, model = keys(store)
    odd = replace(record("x"), photo=photo(b"\xff caf\xc3\xa9\n\x1b[31m.jpg"))
    bad = Problem(CARD, b"\xfe\x00", "unreadable", "cannot read '\udcfe\n'")
    store.record(card, model, records=[odd], problems=[bad])
    assert paths(store) == ["\\xff café\\n\\x1b[31m.jpg"]
    (problem,) = store.problems()
    assert (problem.path, problem.detail) == ("\\xfe\\x00", "cannot read '\\xfe\\n'")


# Once, and whole ---------------------------------------------------------------------------------


def test_the_same_content_is_one_photo_with_many_places(store: Store, url: str) -> None:
    card, model = keys(store)
    same = [record("a", content="x"), record("b", content="x"), record("c")]
    found = store.record(card, model, records=same, seen=[(photo("d"), sha("x"))])
    assert found == Recorded(Account(4, 2, 2, 0), (1, 1, 2))
    again = store.record(card, model, records=same, seen=[(photo("d"), sha("x"))])
    assert again == Recorded(Account(4, 0, 4, 0), (1, 1, 2))
    other = store.card(Path("/media/other"))
    store.record(other, model, seen=[(photo("a"), sha("x"))])
    assert sizes(url) == dict(zip(TABLES, (2, 5, 2, 2, 0), strict=True))
    assert paths(store) == ["a", "c"]
    assert paths(store, card="/media/other") == ["a"]
    assert paths(store, card="/media/./card/") == ["a", "c"]
    assert paths(store, card="/media") == []


def test_a_place_that_is_seen_again_is_renewed(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a")])
    ask(url, "UPDATE places_seen SET first_seen = ?, last_seen = ?", EARLY, EARLY)
    store.record(card, model, seen=[(photo("a", mtime_ns=7), sha("a"))])
    ((first, last, mtime),) = ask(url, "SELECT first_seen, last_seen, mtime_ns FROM places_seen")
    assert (first, mtime) == (EARLY, 7)
    assert str(last) > EARLY


def test_a_batch_with_content_that_nobody_recorded_leaves_nothing(store: Store, url: str) -> None:
    card, model = keys(store)
    with pytest.raises(KeyError):
        store.record(card, model, records=[record("a")], seen=[(photo("b"), sha("never"))])
    assert set(sizes(url).values()) == {0}


@contextmanager
def failing(url: str, table: str) -> Iterator[None]:
    """Let every row that goes into a table fail inside."""
    if url.startswith("sqlite"):
        body, on = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END", ""
    else:
        said = "'BEGIN RAISE EXCEPTION ''disk I/O error''; END'"
        ask(url, f"CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS {said}")
        body, on = "FOR EACH ROW EXECUTE FUNCTION fail()", f" ON {table}"
    ask(url, f"CREATE TRIGGER fail AFTER INSERT ON {table} {body}")
    try:
        yield
    finally:
        ask(url, f"DROP TRIGGER fail{on}")


@pytest.mark.parametrize("table", TABLES)
def test_a_batch_that_fails_at_any_table_leaves_nothing(store: Store, url: str, table: str) -> None:
    card, model = keys(store)
    bad = Problem(CARD, b"c", "empty", "0 bytes")
    with failing(url, table), pytest.raises(DatabaseError) as caught:
        store.record(card, model, records=[record("a"), record("b")], problems=[bad])
    assert caught.value.message.startswith(f"database {named(url)}: disk I/O error")
    assert caught.value.hint == (
        "check the disk and its connection, then run the same again: what was recorded is kept"
    )
    assert set(sizes(url).values()) == {0}
    found = store.record(card, model, records=[record("a"), record("b")], problems=[bad])
    assert found.account == Account(3, 2, 0, 1)


def test_what_the_driver_itself_says_is_told(store: Store, url: str) -> None:
    """Not all questions go through SQLAlchemy, which would turn its errors into its own."""
    engine = store._engine
    with pytest.raises(DatabaseError) as caught, asking(engine) as cursor:
        cursor.execute("SELECT 1 FROM nowhere")
    assert caught.value.message.startswith(f"database {named(url)}: ")
    assert "nowhere" in caught.value.message
    with pytest.raises(DatabaseError, match="nowhere"), reading(engine) as connection:
        connection.connection.cursor().execute("SELECT 1 FROM nowhere")
    assert store.known([sha("a")], 1) == {}


def _batches() -> list[list[Record]]:
    everything = [record(f"{number:03d}") for number in range(48)]
    return [everything[at : at + 8] for at in range(0, 48, 8)]


def test_threads_that_record_the_same_photos_record_each_once(store: Store, url: str) -> None:
    card, model = keys(store)
    together = threading.Barrier(4)
    accounts: list[Account] = []

    def work() -> None:
        together.wait()
        for batch in _batches():
            accounts.append(store.record(card, model, records=batch).account)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(accounts, Account()) == Account(192, 48, 144, 0)
    assert sizes(url) == dict(zip(TABLES, (48, 48, 48, 48, 0), strict=True))


def _record_all(database: str, together: multiprocessing.synchronize.Barrier) -> None:
    with Store.open(database) as store:
        together.wait(30)
        card, model = keys(store)
        run = store.begin_run(card, model)
        account = Account()
        for batch in _batches():
            account += store.record(card, model, records=batch).account
        store.finish_run(run, account)


def test_processes_that_record_the_same_photos_record_each_once(store: Store, url: str) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    arguments = (url, together)
    workers = [context.Process(target=_record_all, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert sizes(url) == dict(zip(TABLES, (48, 48, 48, 48, 0), strict=True))
    assert ask(url, "SELECT sum(files), sum(recorded), sum(seen_before) FROM runs") == [
        (96, 48, 48)
    ]
    for table in ("cards", "models"):
        assert ask(url, f"SELECT count(*) FROM {table}") == [(1,)]  # noqa: S608


# Models and reviews ------------------------------------------------------------------------------


def test_a_newer_bundle_adds_predictions_and_overwrites_none(store: Store, url: str) -> None:
    card, old = keys(store)
    new = store.model("iucn11", "1.1.0", "d2")
    store.record(card, old, records=[record("a"), record("b")])
    assert store.known([sha("a"), sha("b"), sha("c")], old) == {sha("a"): True, sha("b"): True}
    assert store.known([sha("a")], new) == {sha("a"): False}
    tiger = replace(LION, label="Panthers")
    found = store.record(card, new, records=[record("a", prediction=tiger)])
    assert found.account == Account(1, 0, 1, 0)
    assert store.known([sha("a"), sha("b")], new) == {sha("a"): True, sha("b"): False}
    assert [(s.path, s.label, s.model) for s in store.sightings()] == [
        ("a", "Panthers", "iucn11-1.1.0"),
        ("b", "Lion", "iucn11-1.0.0"),
    ]
    store.record(card, old, records=[record("a", prediction=NOVEL)])
    assert ask(url, "SELECT label FROM predictions ORDER BY id") == [
        ("Lion",),
        ("Lion",),
        ("Panthers",),
    ]


def test_the_model_that_was_used_last_is_preferred(store: Store) -> None:
    card, first = keys(store)
    store.record(card, first, records=[record("a"), record("b")])
    second = store.model("other", "1.0.0", "d2")
    store.record(card, second, records=[record("a", prediction=NOVEL)])
    assert [s.label for s in store.sightings()] == [None, "Lion"]
    assert store.model("iucn11", "1.0.0", "d1") == first  # back to the first, nothing new
    assert [s.label for s in store.sightings()] == ["Lion", "Lion"]
    assert store.count(SightingQuery(), "species") == [("Lion", 2)]
    store.model("other", "1.0.0", "d2")
    assert [s.label for s in store.sightings()] == [None, "Lion"]


def test_models_are_told_apart_by_digest(store: Store) -> None:
    first = store.model("iucn11", "1.0.0", "d1")
    assert store.model("iucn11", "1.0.0", "d1") == first
    assert store.model("iucn11", "1.0.0", "d2") != first
    assert [replace(row, added="") for row in store.models()] == [
        ModelRow("iucn11", "1.0.0", "d1", ""),
        ModelRow("iucn11", "1.0.0", "d2", ""),
    ]


def test_the_newest_review_wins_over_every_prediction(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a"), record("b", prediction=NOVEL), record("c")])
    store.review(1, "Panda", reviewer="ada")
    store.review(1, "Rhino", reviewer="bob", count=2, note="two of them")
    store.review(2, None, reviewer="ada")
    newer = store.model("iucn11", "2.0.0", "d2")
    store.record(card, newer, records=[record("a")])
    found = [
        (s.label, s.iucn, s.probability, s.reason, s.reviewed, s.reviewer, s.model)
        for s in store.sightings()
    ]
    assert found == [
        ("Rhino", "NT-CR", None, None, True, "bob", None),
        (None, None, None, None, True, "ada", None),
        ("Lion", "VU", 0.91, None, False, None, "iucn11-1.0.0"),
    ]
    assert ask(url, "SELECT label, count, reviewer, note FROM reviews ORDER BY id") == [
        ("Panda", 1, "ada", ""),
        ("Rhino", 2, "bob", "two of them"),
        (None, 1, "ada", ""),
    ]


def test_a_review_of_no_photo_is_refused(store: Store) -> None:
    with pytest.raises(InputError) as caught:
        store.review(7, "Lion", reviewer="ada")
    assert str(caught.value) == "there is no photo 7\ntake an id that `sightings` shows"


# Problems and runs -------------------------------------------------------------------------------


def test_a_problem_is_listed_once_and_resolved_by_a_photo(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, problems=[Problem(CARD, b"a", "empty", "0 bytes")])
    ask(url, "UPDATE problems SET first_seen = ?, last_seen = ?", EARLY, EARLY)
    store.record(card, model, problems=[Problem(CARD, b"a", "truncated", "ends early")])
    (row,) = store.problems()
    assert row.last_seen > EARLY
    assert replace(row, last_seen="") == ProblemRow(
        "/media/card", "a", "truncated", "ends early", EARLY, "", None
    )
    other = store.card(Path("/media/other"))
    store.record(other, model, records=[record("a")])
    assert len(list(store.problems())) == 1  # the same name on another card is another place
    store.record(card, model, seen=[(photo("a"), sha("a"))])
    assert list(store.problems()) == []
    (row,) = store.problems(include_resolved=True)
    assert row.resolved is not None
    store.record(card, model, problems=[Problem(CARD, b"a", "empty", "0 bytes")])
    assert [row.resolved for row in store.problems()] == [None]


def test_a_photo_that_nothing_could_classify_stays_a_problem(store: Store) -> None:
    card, model = keys(store)
    odd = replace(NOVEL, reason="unclassified")
    bad = Problem(CARD, b"a", "unclassified", "no finite answer")
    for known in (0, 1):  # counted once, as a photo
        found = store.record(
            card, model, records=[record("a", prediction=odd)], problems=[bad]
        ).account
        assert found == Account(1, 1 - known, known, 0)
        assert [row.reason for row in store.problems()] == ["unclassified"]
        assert store.known([sha("a")], model) == {sha("a"): False}
    store.record(card, model, records=[record("a")])  # an answer of the same model at last
    assert list(store.problems()) == []
    assert [s.label for s in store.sightings()] == ["Lion"]
    assert store.known([sha("a")], model) == {sha("a"): True}


def test_problems_come_by_card_and_path_and_by_when_they_were_last_seen(
    store: Store, url: str
) -> None:
    model = store.model("iucn11", "1.0.0", "d1")
    for root, name in (("/b", b"1"), ("/a", b"2"), ("/a", b"10")):
        bad = Problem(Path(root), name, "empty", "0 bytes")
        store.record(store.card(Path(root)), model, problems=[bad])
    ask(url, "UPDATE problems SET last_seen = ? WHERE path = '2'", EARLY)
    assert [(row.card, row.path) for row in store.problems()] == [
        ("/a", "10"),
        ("/a", "2"),
        ("/b", "1"),
    ]
    assert [row.path for row in store.problems(until=EARLY)] == ["2"]
    assert [row.path for row in store.problems(since="2001-01-01T00:00:01Z")] == ["10", "1"]


def test_a_run_is_begun_and_finished(store: Store, url: str) -> None:
    card, model = keys(store)
    run = store.begin_run(card, model)
    query = "SELECT card_id, model_id, finished IS NULL, files, recorded, seen_before, problems"
    assert ask(url, f"{query} FROM runs") == [(card, model, 1, 0, 0, 0, 0)]
    store.finish_run(run, Account(4, 1, 2, 1))
    assert ask(url, f"{query} FROM runs") == [(card, model, 0, 4, 1, 2, 1)]


def test_a_card_is_its_folder_and_its_volume(store: Store, url: str) -> None:
    card = store.card(CARD, station="ridge")
    assert store.card(CARD) == card
    assert store.card(CARD, volume="1234-ABCD") != card
    query = (
        "SELECT name FROM cards LEFT JOIN stations ON stations.id = station_id ORDER BY cards.id"
    )
    assert ask(url, query) == [("ridge",), (None,)]
    other = store.card(CARD, volume="1234-ABCD")
    assert store.card(CARD, volume="1234-ABCD", station="valley") == other  # it had none
    assert ask(url, query) == [("ridge",), ("valley",)]


def test_a_card_that_moves_to_another_station_leaves_its_photos_where_they_were(
    store: Store,
) -> None:
    ridge, model = store.card(CARD, station="ridge"), store.model("iucn11", "1.0.0", "d1")
    store.record(ridge, model, records=[record("a")])
    valley = store.card(CARD, station="valley")
    assert valley != ridge
    assert store.card(CARD) == valley
    store.record(valley, model, records=[record("b")], seen=[(photo("a"), sha("a"))])
    assert [(s.path, s.station) for s in store.sightings()] == [("a", "ridge"), ("b", "valley")]
    assert store.card(CARD, station="ridge") == ridge
    assert store.card(CARD, station="valley") == valley


def test_a_card_is_the_same_one_from_wherever_it_is_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    card, model = store.card(Path("card")), store.model("iucn11", "1.0.0", "d1")
    assert store.card(tmp_path / "card") == card
    assert store.card(tmp_path / "x" / ".." / "card") == card
    assert store.card(Path("x/../card")) == card
    store.record(card, model, records=[record("a")])
    assert paths(store, card="x/../card") == ["a"]
    assert paths(store, card="card") == paths(store, card=str(tmp_path / "card")) == ["a"]


# Near-duplicates ---------------------------------------------------------------------------------


def test_near_duplicates_are_linked_also_within_a_batch(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a")])
    burst = [
        record("b", near=(1, 4)),
        record("c", near=(-1, 2)),
        record("d", near=(-2, 0), content="c"),  # the same content: a place, no near-duplicate
        record("e", near=(-3, 3)),
    ]
    assert store.record(card, model, records=burst).photo_ids == (2, 3, 3, 4)
    query = "SELECT id, near_duplicate_of, near_duplicate_bits FROM photos ORDER BY id"
    assert ask(url, query) == [
        (1, None, None),
        (2, 1, 4),
        (3, 2, 2),
        (4, 3, 3),
    ]


def test_a_near_duplicate_of_nothing_is_refused(store: Store, url: str) -> None:
    card, model = keys(store)
    with pytest.raises(DatabaseError) as caught:
        store.record(card, model, records=[record("a", near=(99, 1))])
    assert caught.value.message.startswith(f"database {named(url)}: ")
    assert "foreign key constraint" in caught.value.message.lower()
    assert caught.value.hint == (
        "nothing of this step was recorded; check the database's address and try again"
    )
    assert set(sizes(url).values()) == {0}


def test_perceptual_hashes_keep_all_64_bits(store: Store) -> None:
    hashes, ids = store.perceptual_hashes()
    assert (hashes.tolist(), ids.tolist()) == ([], [])
    assert (str(hashes.dtype), str(ids.dtype)) == ("uint64", "int64")
    card, model = keys(store)
    bits = [0, 1, 2**63 - 1, 2**63, 2**64 - 1]
    taken = [record(str(value), perceptual_hash=value) for value in bits]
    store.record(card, model, records=taken)
    hashes, ids = store.perceptual_hashes()
    assert (hashes.tolist(), ids.tolist()) == (bits, [1, 2, 3, 4, 5])
    assert (str(hashes.dtype), str(ids.dtype)) == ("uint64", "int64")


# Questions ---------------------------------------------------------------------------------------


@pytest.fixture
def survey(store: Store) -> Store:
    """Five photos on two cards; 'e' is reviewed, and the paths tell them apart."""
    model = store.model("iucn11", "1.0.0", "d1")
    ridge = store.card(Path("/ridge"), station="ridge")
    lion = record("a", camera_time="2026-03-02T23:59:59")
    rhino = replace(LION, label="Rhino", probability=0.6)
    late_rhino = record("b", camera_time="2026-03-03T00:00:00", prediction=rhino)
    store.record(ridge, model, records=[late_rhino, lion, record("c", prediction=NOVEL)])
    loose = store.card(Path("/loose"))
    panther = replace(LION, label="Panthers")
    early = record("d", camera_time="2026-03-01T00:00:00", prediction=panther)
    said = record("e", camera_time="2026-03-01T00:00:00", prediction=NOVEL)
    store.record(loose, model, records=[said, early])
    store.review(store.record(loose, model, records=[said]).photo_ids[0], "Lion", reviewer="ada")
    return store


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "deabc"),
        ({"species": ("Lion",)}, "ea"),
        ({"species": ("Lion", "Rhino")}, "eab"),
        ({"species": ("panthera PARDUS",)}, "d"),
        ({"species": ("unknown",)}, "c"),
        ({"species": ("unknown", "Rhino")}, "bc"),
        ({"species": ("Panda",)}, ""),
        ({"iucn": ("VU",)}, "deab"),
        ({"iucn": ("CR",)}, "b"),
        ({"iucn": ("nt", "EX")}, "db"),
        ({"iucn": ("EX",)}, ""),
        ({"iucn": ("LC",)}, ""),
        ({"iucn": ("LC",), "red_list": "published"}, "d"),
        ({"iucn": ("VU",), "species": ("Lion", "Panda")}, "ea"),
        ({"since": date(2026, 3, 2)}, "ab"),
        ({"until": date(2026, 3, 2)}, "dea"),
        ({"since": date(2026, 3, 2), "until": date(2026, 3, 2)}, "a"),
        ({"station": "ridge"}, "abc"),
        ({"station": "valley"}, ""),
        ({"card": "/loose"}, "de"),
        ({"min_probability": 0.7}, "dea"),
        ({"reason": "novel"}, "c"),
        ({"reviewed": True}, "e"),
        ({"reviewed": False}, "dabc"),
        ({"recorded_since": LATE}, ""),
        ({"recorded_until": EARLY}, ""),
        ({"recorded_since": EARLY, "recorded_until": LATE}, "deabc"),
    ],
)
def test_a_question_is_answered_in_order(
    survey: Store, conditions: dict[str, object], expected: str
) -> None:
    assert paths(survey, **conditions) == list(expected)
    counted = survey.count(SightingQuery(**conditions), "species")  # type: ignore[arg-type]
    assert sum(number for _, number in counted) == len(expected)


def test_recorded_bounds_are_included(survey: Store, url: str) -> None:
    ask(url, "UPDATE photos SET first_seen = ? WHERE id = 1", EARLY)
    assert paths(survey, recorded_until=EARLY) == ["b"]
    assert paths(survey, recorded_since=EARLY, recorded_until=EARLY) == ["b"]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("species", [("Lion", 2), ("Panthers", 1), ("Rhino", 1), ("unknown", 1)]),
        ("station", [("ridge", 3), ("", 2)]),
        ("day", [("", 1), ("2026-03-01", 2), ("2026-03-02", 1), ("2026-03-03", 1)]),
        ("iucn", [("VU", 2), ("", 1), ("NT-CR", 1), ("NT-VU", 1)]),
    ],
)
def test_counts(survey: Store, by: str, expected: list[tuple[str, int]]) -> None:
    assert survey.count(SightingQuery(), by) == expected


def test_counts_follow_the_conditions_and_the_list(survey: Store) -> None:
    query = SightingQuery(station="ridge", red_list="published")
    assert survey.count(query, "iucn") == [("", 1), ("CR", 1), ("VU", 1)]


def test_what_cannot_be_counted_or_listed_is_said(survey: Store) -> None:
    with pytest.raises(InputError) as caught:
        survey.count(SightingQuery(), "moon")
    assert str(caught.value) == (
        "cannot count by moon\nchoose one of species, station, day, iucn, hour"
    )
    with pytest.raises(InputError):
        list(survey.sightings(SightingQuery(red_list="mine")))


def test_the_view_agrees_with_the_store(survey: Store, url: str) -> None:
    names = [each.name for each in fields(Sighting) if each.name != "sequence_label"]
    hexed = "lower(hex(sha256))" if url.startswith("sqlite") else "encode(sha256, 'hex')"
    columns = ", ".join(name.replace("sha256", hexed) for name in names)
    query = f"SELECT {columns} FROM sightings"  # noqa: S608
    rows = ask(url, f"{query} ORDER BY camera_time NULLS LAST, path, photo_id")
    assert rows == [tuple(getattr(s, name) for name in names) for s in survey.sightings()]
    assert len(rows) == 5


def test_the_red_list_in_the_database_is_that_of_this_version(store: Store, url: str) -> None:
    ask(url, "UPDATE red_list SET category = 'EX' WHERE label = 'Lion'")
    Store.open(url).close()
    query = "SELECT list, category, taxa FROM red_list WHERE label = 'Panthers' ORDER BY list"
    assert ask(url, query) == [
        ("iucn", "NT-VU", "Panthera pardus; Panthera onca"),
        ("published", "LC", "Panthera pardus; Panthera onca"),
    ]
    assert ask(url, "SELECT DISTINCT category FROM red_list WHERE label = 'Lion'") == [("VU",)]


def test_a_listing_streams_one_state_while_others_write(store: Store) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record(f"{number:04d}") for number in range(1200)])
    listing = store.sightings()
    assert next(listing).path == "0000"
    store.record(card, model, records=[record("9999")])
    store.review(1200, "Panda", reviewer="ada")
    rest = list(listing)
    assert len(rest) == 1199
    assert {sighting.label for sighting in rest} == {"Lion"}
    assert len(paths(store)) == 1201


def test_other_programs_never_outrank_a_bundle(store: Store, url: str) -> None:
    card, ours = keys(store)
    told = [record("a", prediction=NOVEL), record("b", prediction=None)]
    store.record(card, ours, records=told)
    theirs = store.model("megadetector", "", "d2")
    ask(url, "UPDATE models SET source = 'megadetector' WHERE id = ?", theirs)
    store.record(card, theirs, records=[record("a"), record("b")])
    assert [(s.label, s.reason, s.model, s.count) for s in store.sightings()] == [
        (None, "novel", "iucn11-1.0.0", None),
        ("Lion", None, "megadetector", 1),
    ]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_of_several_regions_a_species_comes_first_then_the_surest(
    store: Store, url: str, first: int
) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a", prediction=NOVEL)])
    boxes = [("Lion", 0.8), ("Rhino", 0.9), ("Panda", None)]
    for label, probability in (*boxes[first:], *boxes[:first]):
        ask(url, "INSERT INTO regions (photo_id, x, y, width, height, detector)"
            " VALUES (1, 0, 0, 1, 1, ?)", label)  # fmt: skip
        ask(url, "INSERT INTO predictions (region_id, model_id, label, probability, top, members,"
            " created) SELECT max(id), 1, ?, ?, '[]', '[]', 't' FROM regions",
            label, probability)  # fmt: skip
    store.rebuild()
    assert [(s.label, s.probability) for s in store.sightings()] == [("Rhino", 0.9)]


def test_the_count_is_the_reviewer_s(store: Store) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a"), record("b", prediction=NOVEL)])
    assert [s.count for s in store.sightings()] == [1, None]
    store.review(1, "Lion", reviewer="ada", count=4)
    assert [s.count for s in store.sightings()] == [4, None]


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ("true", "SCAN sighting_index USING INDEX ix_sighting_index_time"),
        (
            "label = 'Lion'",
            "SEARCH sighting_index USING INDEX ix_sighting_index_label_time (label=?)",
        ),
        (
            "station_id = 3 AND time >= '2026-03-01'",
            "SEARCH sighting_index USING INDEX ix_sighting_index_station_id_time"
            " (station_id=? AND time>?)",
        ),
        (
            "station_id = 3 AND label = 'Lion'",
            "SEARCH sighting_index USING INDEX ix_sighting_index_station_id_label_time"
            " (station_id=? AND label=?)",
        ),
        (
            "reviewed = 0",
            "SEARCH sighting_index USING INDEX ix_sighting_index_reviewed_time (reviewed=?)",
        ),
        (
            "reason = 'novel'",
            "SEARCH sighting_index USING INDEX ix_sighting_index_reason_time (reason=?)",
        ),
    ],
)
def test_a_listing_comes_from_the_index_without_sorting_everything(
    tmp_path: Path, where: str, index: str
) -> None:
    url = f"sqlite:///{tmp_path / 'sightings.sqlite3'}"
    Store.open(url).close()
    query = f"SELECT * FROM sightings WHERE {where}"  # noqa: S608
    query += " ORDER BY time NULLS LAST, path_bytes, photo_id"
    plan = [row[3] for row in ask(url, f"EXPLAIN QUERY PLAN {query}")]
    assert plan[0] == index
    assert plan[-1] == "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"
    searched = [step for step in plan if step.startswith("S")][1:]
    assert all(step.startswith("SEARCH") for step in searched), searched
