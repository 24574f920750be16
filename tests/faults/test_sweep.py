"""A sample of the sweep: faults at some system calls of each kind; `make faults` takes them all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random

from tests.faults.conftest import SEED
from tests.faults.sweep import SCENES, Case, Sweep


def test_no_fault_of_the_disk_and_no_kill_leaves_half_of_anything(sweep: Sweep) -> None:
    random = Random(SEED)  # noqa: S311  # no secret
    cases = []
    for scene in SCENES:
        for calls, count in sweep.counts(scene).items():
            for fault in ("KILL", random.choice(["ENOSPC", "EIO"])) if count else ():
                k = random.randint(1, max(1, count * 9 // 10))  # the number varies by a few
                cases.append(Case(scene, calls, fault, k))
    assert len(cases) == 20

    def tried(case: Case) -> list[str] | None:
        """What was violated; how two threads share the files varies, and with it who makes K."""
        wrong = sweep.one(case)
        return tried(replace(case, k=case.k // 2)) if wrong is None and case.k > 1 else wrong

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(cases, pool.map(tried, cases), strict=True))
    assert {str(case): wrong for case, wrong in found.items() if wrong != []} == {}
