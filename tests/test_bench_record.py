"""`python -m bench record`: its record is a whole one, and every question finds its index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.record import COUNTED, LISTED, make, record
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
    monkeypatch.setattr("bench.record.LOOK_UPS", 10)
    done = CliRunner().invoke(record, ["--record", str(made), "--format", "json"])
    assert done.exit_code == 0, done.output
    answers = {each["question"]: each for each in json.loads(done.stdout)}
    asked = [name for name in answers if name.startswith("sightings: ")]
    assert len(asked) == len(LISTED)
    assert {f"count of {name} by day" for name in COUNTED} <= set(answers)
    for name, answer in answers.items():
        assert answer["milliseconds"] >= 0
        scans = [step for step in answer["plan"] if step.startswith("SCAN sighting_index")]
        # The first of all, in the order of time, are read from the index of times.
        assert {step.partition(" USING ")[2] for step in scans} <= {
            "INDEX ix_sighting_index_time",
            "COVERING INDEX ix_sighting_index_time",
            "INTEGER PRIMARY KEY",
        }, name
        if name.startswith("count of "):
            assert not any("sighting_index" in step for step in answer["plan"]), name
    assert answers["hashes: read"]["rows"] == PHOTOS
