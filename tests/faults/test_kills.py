"""A short version of `make faults`: twenty kills."""

from __future__ import annotations

from pathlib import Path

from tests.faults.conftest import SEED
from tests.faults.kills import play
from tests.faults.supply import Supply


def test_nothing_is_lost_or_doubled_by_twenty_kills(
    tmp_path: Path, supply: Supply, bundle: Path, start_up: float
) -> None:
    outcome = play(tmp_path / "round", supply=supply, bundle=bundle, seed=SEED, start_up=start_up)
    assert outcome.violations == []
    made = sum(count for how, count in outcome.kills.items() if how.startswith("during "))
    assert made == 20
    assert outcome.found["checks"] >= 20
    assert outcome.found["photos"] > 50
    assert outcome.found["problems"] > 3
