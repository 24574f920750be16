"""The whole harness: `python -m tests.faults --kills 200 --seed 1`; exit code 1 if it found any."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.faults.kills import A_ROUND, Outcome, measured_start_up, play
from tests.faults.program import PROJECT
from tests.faults.supply import Supply
from tests.faults.sweep import CALLS, FAULTS, SCENES, Sweep, missing
from tests.toy import write_bundle


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often watch is killed")
    parser.add_argument("--seed", help="what the random instants come from; printed")
    parser.add_argument("--no-sweep", action="store_true", help="without strace's sweep")
    parser.add_argument("--jobs", type=int, default=2, help="commands of the sweep at a time")
    here = Path(os.environ.get("TRAPSORT_SHARED", PROJECT.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=here, help="folder with data/species11")
    return parser.parse_args(given)


def show(*words: str) -> None:
    """Say how far it is: one line that is written over on a terminal, many elsewhere."""
    print(*words, end="\033[K\r" if sys.stdout.isatty() else "\n", flush=True)


def kill_often(folder: Path, bundle: Path, supply: Supply, kills: int, seed: str) -> Outcome:
    """Rounds on new cards each, until so many kills were made or something is violated."""
    start_up = measured_start_up(bundle, folder / "start-up")
    print(f"trapsort watch takes {start_up:.2f} s to start", flush=True)
    total, rounds = Outcome(), -(-kills // A_ROUND)
    for number in range(1, rounds + 1):
        total += play(
            folder / f"round {number}",
            supply=supply,
            bundle=bundle,
            seed=f"{seed} {number}",
            kills=min(A_ROUND, kills - (number - 1) * A_ROUND),
            start_up=start_up,
            say=partial(show, f"round {number}/{rounds}, kill"),
        )
        if total.violations:
            total.violations.append(f"this was round {number}, in {folder / f'round {number}'}")
            break
    return total


def sweep_all(folder: Path, bundle: Path, supply: Supply, jobs: int) -> tuple[int, list[str]]:
    """Every fault at every call; how many, and what was violated."""
    sweep = Sweep(folder, supply=supply, bundle=bundle)
    counts = {scene: sweep.counts(scene) for scene in SCENES}
    made: Counter[str] = Counter()
    violations: list[str] = []

    def column(scene: str, calls: str, fault: str) -> None:
        done = 0
        for case, wrong in sweep.every(scene, calls, fault):
            done += 1
            made[f"{scene} {fault}"] += 1
            violations.extend(f"{case}: {text}" for text in wrong)
            for text in wrong:
                print(f"\nviolated: {case}: {text}", flush=True)
            show(f"sweep {case} of {counts[scene][calls]}; {made.total()} faults so far")
        if counts[scene][calls] and not done:
            violations.append(f"{scene}: strace made no {fault} at {calls}")

    with ThreadPoolExecutor(jobs) as pool:
        columns = [(s, c, f) for s in SCENES for c in CALLS for f in FAULTS]
        for future in [pool.submit(column, *each) for each in columns]:
            future.result()
    print(f"\nsweep: {_listed(made)}")
    return made.total(), violations


def main(given: Sequence[str] | None = None) -> int:
    """Run what was asked for and say what it showed."""
    asked = arguments(given)
    seed = asked.seed or secrets.token_hex(4)
    began, swept = time.monotonic(), 0
    folder = Path(tempfile.mkdtemp(prefix="trapsort-faults-")).resolve()
    data: Path | None = asked.shared / "data"
    if data is not None and not (data / "species11").is_dir():
        print(f"no photographs at {data}: drawn ones instead")
        data = None
    print(f"seed {seed}, in {folder}", flush=True)
    bundle = write_bundle(folder / "toy")
    supply = Supply(data, folder, seed)
    total = kill_often(folder, bundle, supply, asked.kills, seed) if asked.kills else Outcome()
    kinds = {name: count for name, count in total.kills.items() if not name.startswith("during")}
    times = {name: count for name, count in total.kills.items() if name.startswith("during")}
    print(f"\nkills: {_listed(kinds)}\n  {_listed(times)}")
    print(f"fed: {_listed(total.fed)}\nfound: {_listed(total.found)}", flush=True)
    violations = total.violations
    if not asked.no_sweep and not violations:
        reason = missing()
        if reason:
            print(f"no sweep: {reason}")
        else:
            swept, violations = sweep_all(folder / "sweep", bundle, supply, asked.jobs)
    print(
        f"seed {seed}: {sum(times.values())} kills, {swept} injected faults,"
        f" {len(violations)} violations, {time.monotonic() - began:.0f} s"
    )
    print("\n".join(violations))
    return 1 if violations else 0


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
