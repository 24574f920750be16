"""What is derived from the record equals what it is derived from, whatever is done to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.records import LION, NOVEL, ask, photo, record, sha
from trapsort.cli.main import main
from trapsort.store import DeploymentRow, Record, SightingQuery, Store
from trapsort.store.counting import COUNTS, count_sightings, is_counted
from trapsort.store.engine import connect, reading, writing
from trapsort.store.first import FEW, find_first
from trapsort.store.imported import ReviewRow, Told
from trapsort.store.index import find_faults, rebuild

RHINO = replace(LION, label="Rhino", probability=0.6)
UNCERTAIN = replace(NOVEL, probability=None, reason="unclassified")
SAID = (LION, RHINO, NOVEL, UNCERTAIN, None)
TIMES = (None, "2026-03-01T05:06:07", "2026-03-01T05:59:00", "2026-03-31T23:30:00")
CARDS = (Path("/ridge"), Path("/loose"))
SPRING = DeploymentRow(
    name="spring", station="ridge", card="/ridge", start="2026-03-01T00:00:00", end=None
)

Step = Callable[[Store], object]


def faults(url: str) -> list[str]:
    engine = connect(url)
    try:
        with reading(engine) as connection:
            return list(find_faults(connection))
    finally:
        engine.dispose()


def photos_of(store: Store) -> list[int]:
    return sorted(sighting.photo_id for sighting in store.sightings())


def told(store: Store, photo_id: int) -> None:
    theirs = store.imported_model("theirs", "megadetector")
    store.tell([Told(photo_id, theirs, RHINO), Told(photo_id, theirs, LION, (0, 0, 0.5, 0.5), "d")])


def undone(store: Store, place: int) -> None:
    found = [shown for shown in store.desk.some(photos_of(store), "iucn") if shown.review_id]
    if found:
        chosen = found[place % len(found)].review_id
        assert chosen is not None
        store.desk.undo([chosen], reviewer="bob")


def without_deployments(store: Store) -> None:
    if names := [row.name for row in store.deployments()]:
        store.remove_deployments(names)


def clock_put_right(store: Store) -> None:
    for row in store.deployments():
        store.correct_clock(row.name, offset_seconds=3600)


def batch(card: int, model: int, files: list[tuple[int, int, int, int]], station: bool) -> Step:
    """Photos at a few paths, with few contents, so that some meet again and some give way."""

    def step(store: Store) -> None:
        at = store.card(CARDS[card], station="ridge" if station else None)
        by = store.model("iucn11", f"{model}", f"d{model}")
        records: list[Record] = [
            record(
                f"{path}.jpg", content=f"{content}", camera_time=TIMES[time], prediction=SAID[said]
            )
            for path, content, time, said in files
        ]
        store.record(at, by, records=records[:3])
        again = [(photo(f"again-{path}.jpg"), sha(f"{content}")) for path, content, *_ in files[:3]]
        store.record(at, by, records=records[3:], seen=again)

    return step


def on_one(act: Callable[[Store, int], object]) -> Callable[[int], Step]:
    """Something that is done to one of the photos there are."""

    def with_place(place: int) -> Step:
        def step(store: Store) -> None:
            if ids := photos_of(store):
                act(store, ids[place % len(ids)])

        return step

    return with_place


def reviewed_elsewhere(store: Store, photo_id: int) -> None:
    store.import_reviews([ReviewRow(photo_id, None, 1, "cy", "", "no idea")])


PLACES = st.integers(0, 20)
FILES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 3), st.integers(0, 4)),
    min_size=1,
    max_size=5,
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(batch, st.integers(0, 1), st.integers(0, 1), FILES, st.booleans()),
    st.builds(on_one(lambda store, id_: store.review(id_, "Lion", reviewer="ada")), PLACES),
    st.builds(on_one(lambda store, id_: store.review(id_, None, reviewer="ada")), PLACES),
    st.builds(on_one(told), PLACES),
    st.builds(on_one(undone), PLACES),
    st.builds(on_one(reviewed_elsewhere), PLACES),
    st.sampled_from(
        [
            lambda store: store.import_deployments([SPRING]),
            without_deployments,
            clock_put_right,
            lambda store: store.model("iucn11", "0", "d0"),
            lambda store: store.model("iucn11", "1", "d1"),
            lambda store: store.card(CARDS[1], station="valley"),
        ]
    ),
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record without photos, to be copied: making one takes longer than a test of it."""
    file = tmp_path_factory.mktemp("index") / "empty.sqlite3"
    Store.open(f"sqlite:///{file}").close()
    return file


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, min_size=2, max_size=7))
def test_whatever_is_done_the_index_and_the_counts_say_what_the_record_says(
    empty: Path, tmp_path: Path, steps: list[Step]
) -> None:
    file = tmp_path / "sightings.sqlite3"
    shutil.copyfile(empty, file)
    url = f"sqlite:///{file}"
    with Store(connect(url)) as store:
        for step in steps:
            step(store)
        assert faults(url) == []
        compare_counts(url)


QUERIES = (
    SightingQuery(),
    SightingQuery(species=("Lion",)),
    SightingQuery(species=("unknown", "Rhino"), reviewed=False),
    SightingQuery(station="ridge"),
    SightingQuery(iucn=("VU",), station="ridge", until=date(2026, 3, 1)),
    SightingQuery(since=date(2026, 3, 2)),
    SightingQuery(reviewed=True),
    SightingQuery(station="nowhere"),
)


def compare_counts(url: str) -> None:
    """Compare the counts that are kept with those of the photos one by one."""
    engine = connect(url)
    try:
        with reading(engine) as connection:
            for query in QUERIES:
                for by in COUNTS:
                    kept = count_sightings(connection, query, by)
                    plain = count_sightings(connection, replace(query, recorded_since=""), by)
                    assert not is_counted(replace(query, recorded_since=""), by)
                    assert kept == plain, (query, by)
    finally:
        engine.dispose()


@pytest.fixture
def field(store: Store) -> Iterator[Store]:
    """Some of everything, on a file and on a server."""
    batch(0, 0, [(0, 0, 1, 0), (1, 1, 2, 1), (2, 2, 0, 2), (3, 3, 3, 3)], True)(store)
    batch(1, 0, [(0, 0, 1, 0), (1, 4, 1, 4), (2, 5, 2, 0)], False)(store)
    yield store


def test_each_change_reaches_the_index_in_its_own_transaction(field: Store, url: str) -> None:
    changes: list[Step] = [
        lambda store: store.review(1, "Rhino", reviewer="ada", count=2),
        lambda store: store.desk.decide({2: None}, None, reviewer="ada"),
        lambda store: undone(store, 0),
        lambda store: told(store, 5),  # of which no bundle has said anything
        lambda store: reviewed_elsewhere(store, photos_of(store)[-1]),
        lambda store: store.import_deployments([SPRING]),
        clock_put_right,
        lambda store: store.card(CARDS[1], station="valley"),
        batch(0, 1, [(0, 6, 1, 1), (1, 1, 2, 0)], True),  # the first takes the place of another
        batch(1, 1, [(0, 0, 1, 0)], False),  # which is met again elsewhere
        lambda store: store.model("iucn11", "0", "d0"),  # the first model is back
        without_deployments,
    ]
    assert faults(url) == []
    before = everything(url)
    for number, change in enumerate(changes):
        change(field)
        assert faults(url) == [], number
        after = everything(url)
        assert after != before, number
        before = after
    compare_counts(url)


def everything(url: str) -> list[list[tuple[Any, ...]]]:
    tables = ("sighting_index", "sighting_counts", "card_counts")
    return [sorted(ask(url, f"SELECT * FROM {table}"), key=repr) for table in tables]  # noqa: S608


def test_what_went_wrong_is_found_and_made_anew(field: Store, url: str) -> None:
    right = everything(url)
    ask(url, "UPDATE sighting_index SET label = 'Panda' WHERE photo_id = 1")
    ask(url, "DELETE FROM sighting_counts WHERE station_id = -1 AND label = 'Rhino'")
    ask(url, "UPDATE card_counts SET photos = photos + 1 WHERE card_id = 1")
    assert [fault.partition(" ")[2] for fault in faults(url)] == [
        "rows of sighting_index do not say what the record says",
        *["rows of sighting_counts do not say what the record says"] * 3,
        "rows of card_counts do not say what the record says",
    ]
    field.rebuild()
    assert faults(url) == []
    assert everything(url) == right


def test_a_rebuild_that_fails_changes_nothing(field: Store, url: str) -> None:
    before = everything(url)
    engine = connect(url)
    with pytest.raises(RuntimeError), writing(engine) as connection:
        rebuild(connection)
        raise RuntimeError
    engine.dispose()
    assert everything(url) == before
    assert len(ask(url, "SELECT * FROM sightings")) == len(list(field.sightings()))


def test_the_first_sightings_are_the_first_of_all(field: Store) -> None:
    field.review(1, "Lion", reviewer="ada")
    queries = (
        *QUERIES,
        SightingQuery(species=("Lion", "Rhino", "unknown")),
        SightingQuery(species=("Lion",), iucn=("CR",)),
        SightingQuery(min_probability=0.7),
        SightingQuery(min_probability=0.7, reviewed=True),
        SightingQuery(min_probability=0.7, reviewed=False, species=("Lion",)),
        SightingQuery(recorded_since="2001-01-01"),
        SightingQuery(reason="novel"),
        SightingQuery(card="/loose"),
    )
    for query in queries:
        whole = list(field.sightings(query))
        for limit in (1, 3, 100):
            assert list(field.sightings(query, limit=limit)) == whole[:limit], (query, limit)


def test_probable_ones_are_found_alike_whether_they_are_few_or_many(
    field: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = SightingQuery(min_probability=0.7)
    engine = connect(url)
    with reading(engine) as connection:
        few = list(find_first(connection, query, 10))
        monkeypatch.setattr("trapsort.store.first.FEW", 1)
        many = list(find_first(connection, query, 10))
    engine.dispose()
    assert few == many == list(field.sightings(query))
    assert 0 < len(few) < FEW


def test_the_command_lists_the_first_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'sightings.sqlite3'}"
    with Store.open(url) as store:
        batch(0, 0, [(0, 0, 3, 0), (1, 1, 1, 1), (2, 2, 2, 2)], False)(store)
    command = ["sightings", "--db", url, "--limit", "2"]
    assert main([*command, "--format", "jsonl"]) == 0
    listed = [json.loads(line)["path"] for line in capfd.readouterr().out.splitlines()]
    assert listed == ["1.jpg", "2.jpg"]
    assert main([*command, "--count-by", "day"]) == 2
    said = "--limit says how many to list\nleave it out with --count-by"
    assert said in capfd.readouterr().err
