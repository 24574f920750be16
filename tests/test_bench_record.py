"""`python -m bench record`: its record is a whole one, and every question finds its index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.record import COUNTED, LISTED, answers, found_by, make
from trapsort.store.engine import connect, reading
from trapsort.store.index import find_faults

PHOTOS = 2_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record as the bench makes it."""
    file = tmp_path_factory.mktemp("bench") / "sightings.sqlite3"
    make(file, PHOTOS)
    return file


def test_what_is_derived_in_the_made_up_record_says_what_the_record_says(made: Path) -> None:
    engine = connect(f"sqlite:///{made}")
    with reading(engine) as connection:
        assert list(find_faults(connection)) == []
    engine.dispose()


def test_no_question_reads_all_photos(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.record.REPEATS", 1)
    found = {each.question: each for each in answers(f"sqlite:///{made}")}
    asked = [name for name in found if name.startswith("sightings: ")]
    assert len(asked) == len(LISTED)
    assert {f"count of {name} by day" for name in COUNTED} <= set(found)
    for name, answer in found.items():
        assert answer.milliseconds >= 0
        scans = [step for step in answer.plan if step.startswith("SCAN sighting_index")]
        # The first of all, in the order of time, are read from the index of times.
        assert {step.partition(" USING ")[2] for step in scans} <= {
            "INDEX ix_sighting_index_time",
            "COVERING INDEX ix_sighting_index_time",
            "INTEGER PRIMARY KEY",
        }, name
        if name.startswith("count of "):
            assert not any("sighting_index" in step for step in answer.plan), name


def test_the_part_says_by_which_index_each_answer_came(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.record.REPEATS", 1)
    monkeypatch.setattr("bench.record.LOOK_UPS", 10)
    done = CliRunner().invoke(main, ["--format", "json", "record", "--record", str(made)])
    assert done.exit_code == 0, done.output
    ((table,),) = [part["tables"] for part in json.loads(done.stdout)["parts"]]
    assert table["title"] == "A record of 2,000 photos"
    found = {row["question"]: row for row in table["rows"]}
    assert found["hashes: read"]["rows"] == PHOTOS
    assert found["sightings: species"]["found_by"].startswith("sighting_index_label_time, ")
    assert found["count of all by day"]["found_by"] == "sighting_counts"


def test_a_plan_in_short_leaves_out_rows_that_are_fetched_by_number() -> None:
    plan = (
        "SCAN sighting_index USING COVERING INDEX ix_sighting_index_time",
        "SEARCH sighting_index USING INDEX ix_sighting_index_label (label=? AND time>?)",
        "SEARCH photos USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
        "SEARCH sighting_index USING INDEX ix_sighting_index_label (label=?)",
        "SEARCH stations USING COVERING INDEX sqlite_autoindex_stations_1 (name=?)",
        "SEARCH counts USING PRIMARY KEY (span=?)",
        "SCAN cards",
        "SCAN anon_1",
        "CORRELATED SCALAR SUBQUERY 1",
        "USE TEMP B-TREE FOR ORDER BY",
    )
    assert found_by(plan) == (
        "sighting_index_time, sighting_index_label, stations, counts, all cards, sorted"
    )
