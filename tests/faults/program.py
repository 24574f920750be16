"""trapsort as a real process in a group of its own, with its waiting times shortened."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
QUIET_SECONDS, RESCAN_SECONDS, TICK_SECONDS = 0.3, 1.0, 0.05
"""Instead of 2 s, 60 s and 0.2 s; `broken` sets them, and no option of trapsort does."""

TOGETHER = 8
"""Files in a transaction, instead of those of half a second."""

WATCHING = b"; Ctrl-C ends it"
"""The program says so when it begins to work."""

NEVER_SAID = (b"Traceback", b"bug of trapsort", b"Exception in thread")
PATIENCE_SECONDS = 60.0  # for what takes a second where nothing else runs


def environment(home: Path) -> dict[str, str]:
    """The environment of the programs under test: no settings or database of whoever runs them."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TRAPSORT_", "XDG_"))
    }
    return kept | {
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ORT_DISABLE_TELEMETRY": "1",  # its own database would be hit by faults instead of ours
    }


def command(variant: str, *arguments: object) -> list[str]:
    """The command line of trapsort, sound or broken on purpose (`broken.VARIANTS`)."""
    return [sys.executable, "-m", "tests.faults.broken", variant, *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ran to its end: exit code (negative: the signal) and all that it said."""

    code: int
    said: bytes

    @property
    def complaints(self) -> list[str]:
        """What it should never have said."""
        return complaints(self.said)


def complaints(said: bytes) -> list[str]:
    """What a program should never have said, in words."""
    if not any(text in said for text in NEVER_SAID):
        return []
    return [f"the program said: {said.decode(errors='replace')[-2000:]}"]


def run(line: Sequence[str], home: Path, *, seconds: float = PATIENCE_SECONDS) -> Ended:
    """Run a command line to its end."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        line,
        cwd=PROJECT,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


@dataclass(slots=True)
class Program:
    """`trapsort watch` on some cards, started again and again; it says everything into a file."""

    cards: Sequence[Path]
    database: Path
    bundle: Path
    folder: Path
    variant: str = "sound"
    started: float = 0.0
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def output(self) -> Path:
        """What it said since it was last started."""
        return self.folder / "output.txt"

    @property
    def wal(self) -> Path:
        """SQLite's journal, which grows with each transaction."""
        return self.database.with_name(f"{self.database.name}-wal")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, by itself or by a signal."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_watching(self) -> bool:
        """Whether it is past its start-up."""
        return WATCHING in self.output.read_bytes()

    def line(self, *options: object) -> list[str]:
        """The command line."""
        where = ("--db", self.database, "--bundle", self.bundle)
        return command(self.variant, "watch", *where, *options, *self.cards)

    def start(self) -> None:
        """Start it; one that runs already is left alone."""
        if self.is_running:
            return
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                self.line(),
                cwd=PROJECT,
                env=environment(home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started = time.monotonic()

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process, or to all that it started, too."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self._process.pid, number)

    def stop_still(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Stop all of it; return when no thread runs any more, where the system tells (Linux)."""
        assert self._process is not None
        self.signal(signal.SIGSTOP, group=True)
        end = time.monotonic() + seconds
        tasks = Path(f"/proc/{self._process.pid}/task")
        time.sleep(0.0 if tasks.exists() else 0.5)
        while tasks.exists() and time.monotonic() < end:
            with contextlib.suppress(OSError):
                states = [(task / "stat").read_text() for task in tasks.iterdir()]
                if all(state.rpartition(")")[2].split()[0] in "TZX" for state in states):
                    return
            time.sleep(0.01)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Exit code, negative for a signal; raises TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(seconds)

    def leaves_nobody(self, seconds: float = 10.0) -> bool:
        """Whether, after its end, all that it started has ended, too."""
        assert self._process is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                os.killpg(self._process.pid, 0)
            except (ProcessLookupError, PermissionError):
                return True
            time.sleep(0.02)
        return False

    def end(self) -> None:
        """Kill all of it, whatever state it is in."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def complaints(self) -> list[str]:
        """What it should never have said since it was last started, in words."""
        return complaints(self.output.read_bytes())
