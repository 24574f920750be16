"""The harness can fail: each trapsort that is broken on purpose is caught, and for its fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.broken import VARIANTS
from tests.faults.kills import Mix, play
from tests.faults.supply import Supply
from tests.faults.sweep import Case, Sweep

KILL = {"leader": 1}
SLOWLY = {"filling": 3, "trailing": 3}
CAUGHT: dict[str, tuple[str, int, Mix]] = {
    "taken_first": ("never recorded: ", 4, Mix(KILL, {"work": 1}, {"folder": 1}, (6, 9))),
    "torn": (
        "a photo without one whole prediction: ",
        12,
        Mix(KILL, {"work": 1}, {"folder": 1}, (6, 9)),
    ),
    "no_settle": ("a content that was never fed: ", 12, Mix(KILL, {"work": 1}, SLOWLY, (9, 12))),
    "events_only": ("never recorded: ", 1, Mix(KILL, {"start-up": 1})),
    "another_card": ("a place twice: ", 12, Mix({"term": 1}, {"commit": 1})),
    "replaced": ("foreign_key_check: ", 12, Mix({"term": 1}, {"commit": 1})),
}
"""Variant -> what is said of it, after at most so many kills, fed and killed in such a way."""


@pytest.mark.parametrize("variant", CAUGHT)
def test_a_broken_trapsort_is_caught(
    variant: str, tmp_path: Path, supply: Supply, bundle: Path, start_up: float
) -> None:
    text, kills, mix = CAUGHT[variant]
    outcome = play(
        tmp_path / "round",
        supply=supply,
        bundle=bundle,
        seed=variant,
        kills=kills,
        start_up=start_up,
        variant=variant,
        mix=mix,
        settled_seconds=4,
    )
    assert [found for found in outcome.violations if text in found], outcome.violations


def test_a_report_that_is_written_in_place_is_caught(
    sweep: Sweep,
) -> None:
    wrong = sweep.one(Case("report", "write", "KILL", 2), "in_place")
    assert wrong is not None
    assert "the report is neither the old nor the new" in " ".join(wrong)


def test_each_variant_has_its_test() -> None:
    assert {"sound", "in_place", *CAUGHT} == VARIANTS.keys()
