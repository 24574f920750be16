"""The K-th system call of a kind fails or kills, for each K: what strace injects (Linux)."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.faults import record
from tests.faults.kills import FAR
from tests.faults.ledger import Ledger, Place
from tests.faults.program import command, run
from tests.faults.supply import Supply

CALLS = {
    "sync": ("fsync", "fdatasync"),
    "rename": ("?rename", "?renameat", "?renameat2"),  # not every machine has each
    "write": ("write",),
    "pwrite": ("pwrite64",),
}
SCENES = ("ingest", "watch", "report")
FAULTS = {"KILL": "signal=KILL", "ENOSPC": "error=ENOSPC", "EIO": "error=EIO"}
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
SECONDS = 120.0
OLD_REPORT = b"the report of yesterday\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One fault: the K-th call of a kind during a command."""

    scene: str
    calls: str
    fault: str
    k: int

    def __str__(self) -> str:
        return f"{self.scene}: {self.fault} at {self.calls} {self.k}"


def missing() -> str | None:
    """Why there can be no sweep here; None where there can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed (Debian: apt-get install strace)"
    try:
        tried = subprocess.run(
            [strace, "-f", "-qq", "-o", "/dev/null", "-e", "inject=pwrite64:error=EIO", "true"],
            capture_output=True,
            timeout=30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "strace hangs here"
    return f"strace may not trace here: {tried.stderr.decode()[:200]}" if tried.returncode else None


class Sweep:
    """A small card, what an undisturbed run makes of it, and commands with one fault each.

    Scenes: `ingest` into a new database, whose schema is created; `watch --once` into one that
    holds half of the card; `report` of one that holds it all.
    """

    def __init__(self, folder: Path, *, supply: Supply, bundle: Path) -> None:
        self.folder, self.bundle = folder, bundle
        self.card = folder / "card"
        self.ledger = Ledger(0.0)
        self._home = folder / "home"
        half = folder / "half"
        photos = [supply.photo() for _ in range(4)]
        self._put("DCIM/IMG_0001.JPG", photos[0])
        self._put("DCIM/IMG_0002.JPG", photos[1])
        self._put("DCIM/NOTES.TXT", b"", bad=True)
        shutil.copytree(self.card, half)
        self._put("DCIM/IMG_0003.JPG", photos[2])
        self._put("DCIM/IMG_0004.JPG", photos[1])
        self._put("DCIM/IMG_0005.JPG", photos[3])
        self._half = folder / "half.sqlite3"
        self._whole = folder / "whole.sqlite3"
        whole = self.card.rename(folder / "all")
        half.rename(self.card)
        self._must(self._line("ingest", self._half))
        self.card.rename(half)
        whole.rename(self.card)
        self._must(self._line("ingest", self._whole))
        self.expected = record.described(self._whole)
        self._report = folder / "whole.csv"
        self._must(self._line("report", self._whole, self._report))
        wrong = self._wrong(self._whole)
        assert not wrong, wrong

    # Cases --------------------------------------------------------------------------------------

    def counts(self, scene: str) -> dict[str, int]:
        """How often each kind of call is made in an undisturbed run, by one thread at most."""
        log = self._log(f"{scene} count")
        names = ",".join(name for calls in CALLS.values() for name in calls)
        trace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={names}"]
        where = self._begin(scene, f"{scene} count")
        self._must(trace + self._line(scene, *where))
        lines = log.read_text(errors="replace").splitlines()
        found = {}
        for kind, calls in CALLS.items():
            most = 0
            for name in calls:
                made = [line.split()[0] for line in lines if f" {name.strip('?')}(" in line]
                most = max([most, *(made.count(thread) for thread in set(made))])
            found[kind] = most
        return found

    def every(self, scene: str, calls: str, fault: str) -> Iterator[tuple[Case, list[str]]]:
        """Each K until the command ends undisturbed, with what was violated."""
        for k in itertools.count(1):
            case = Case(scene, calls, fault, k)
            wrong = self.one(case)
            if wrong is None:
                return
            yield case, wrong

    def one(self, case: Case, variant: str = "sound") -> list[str] | None:
        """What was violated after one fault; None where the call was never made."""
        name = f"{variant} {case.scene} {case.calls} {case.fault} {case.k}"
        database, *out = self._begin(case.scene, name)
        log = self._log(name)
        # Stopping only at these calls saves a second, but then strace sends no signal.
        fast = [] if case.fault == "KILL" else ["--seccomp-bpf"]
        trace = ["strace", "-f", "-qq", *fast, "-o", str(log)]
        # strace counts each of the calls of a kind for itself, and each thread's.
        calls = ",".join(CALLS[case.calls])
        trace += [
            "-e",
            f"trace={calls}",
            "-e",
            f"inject={calls}:{FAULTS[case.fault]}:when={case.k}",
        ]
        line = self._line(case.scene, database, *out, variant=variant)
        ended = run(trace + line, self._home, seconds=SECONDS)
        if case.fault == "KILL":
            if ended.code not in KILLED:
                return None if ended.code == 0 else [f"exit code {ended.code}: {ended.said!r}"]
        elif b"(INJECTED)" not in log.read_bytes():
            return None
        wrong = ended.complaints
        wrong += self._after(case, database, ended.code, ended.said)
        if case.scene == "report":
            wrong += self._report_is_whole(out[0], ended.code)
        wrong += self._clean(case.scene, database, *out)
        shutil.rmtree(database.parent)
        return wrong

    # After a fault ------------------------------------------------------------------------------

    def _after(self, case: Case, database: Path, code: int, said: bytes) -> list[str]:
        """What is wrong with the exit code and with the database as it lies there."""
        wrong = []
        if case.fault != "KILL":
            # 0: the fault cost nothing (what is printed, a checkpoint); 2: the report, 4: the rest.
            documented = (0, 2, 4) if case.scene == "report" else (0, 4)
            if code not in documented:
                wrong.append(f"exit code {code}: {said.decode(errors='replace')}")
        copy = record.copied(database, database.parent / "copy")
        if copy is not None:
            try:
                with closing(sqlite3.connect(copy)) as connection:
                    wrong += record.violations(connection, self.ledger.fed())
                    now = record.state(connection)
            except sqlite3.Error as error:
                return [*wrong, f"the database cannot be read: {error}"]
            if code == 0 and case.scene != "report":
                wrong += [f"exit code 0, but {text}" for text in self._differs(now)]
        elif code == 0:
            wrong.append("exit code 0, but there is no database")
        return wrong

    def _report_is_whole(self, out: Path, code: int) -> list[str]:
        """A report is the old one or the new one, and the new one after exit code 0."""
        found, new = out.read_bytes() if out.exists() else b"", self._report.read_bytes()
        if found == new or (found == OLD_REPORT and code != 0):
            return []
        return [f"exit code {code}, and the report is neither the old nor the new: {found[:200]!r}"]

    def _clean(self, scene: str, database: Path, *out: Path) -> list[str]:
        """A run without faults completes what a fault left."""
        ended = run(self._line(scene, database, *out), self._home, seconds=SECONDS)
        if ended.code or ended.complaints:
            return [f"the run after it ended with {ended.code}: {ended.said.decode()}"]
        wrong = self._wrong(database)
        if out and out[0].read_bytes() != self._report.read_bytes():
            wrong.append("the report of the run after it differs")
        return wrong

    def _wrong(self, database: Path) -> list[str]:
        with closing(record.opened(database)) as connection:
            wrong = list(record.violations(connection, self.ledger.fed()))
            return wrong + self._differs(record.state(connection))

    def _differs(self, now: record.State) -> list[str]:
        fed = self.ledger.fed()
        missing = record.unfinished(now, fed, supersedes=True)
        return [*missing, *record.differences(now, self.expected, fed)]

    # Steps --------------------------------------------------------------------------------------

    def _put(self, name: str, content: bytes, *, bad: bool = False) -> None:
        path = self.card / name
        path.parent.mkdir(parents=True, exist_ok=True)
        place: Place = (str(self.card), name.encode())
        if bad:
            self.ledger.bad(place)
        else:
            self.ledger.whole(place, content)
        path.write_bytes(content)

    def _begin(self, scene: str, name: str) -> list[Path]:
        """Database and report of a case, as they are before its command."""
        folder = self.folder / "cases" / name
        folder.mkdir(parents=True)
        database = folder / "record.sqlite3"
        if scene == "report":
            shutil.copyfile(self._whole, database)
            (folder / "report.csv").write_bytes(OLD_REPORT)
            return [database, folder / "report.csv"]
        if scene == "watch":
            shutil.copyfile(self._half, database)
        return [database]

    def _line(
        self, scene: str, database: Path, out: Path | None = None, *, variant: str = "sound"
    ) -> list[str]:
        where = ("--db", database)
        if scene == "report":
            return command(variant, "report", "nightly", *FAR, *where, "--out", out)
        once = ("--once",) if scene == "watch" else ()
        bundle = ("--bundle", self.bundle)
        return command(variant, scene, *once, *where, *bundle, self.card)

    def _must(self, line: list[str]) -> None:
        ended = run(line, self._home, seconds=SECONDS)
        assert ended.code == 0, ended.said.decode()

    def _log(self, name: str) -> Path:
        folder = self.folder / "logs"
        folder.mkdir(exist_ok=True)
        return folder / re.sub(r"\W", "-", name)
