"""Kill `trapsort watch` at random instants while cards are fed, and look at what is left."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.faults import record
from tests.faults.feeder import WEIGHTS, Feeder
from tests.faults.ledger import Fed, Ledger
from tests.faults.program import QUIET_SECONDS, Program, command, run
from tests.faults.supply import Supply

CARDS = ("card A", "card B", "card C")
A_ROUND = 20  # kills; then new cards: after a start all that is there is read again


@dataclass(frozen=True, slots=True)
class Mix:
    """How often what is chosen, and from how many orders to the feeders a kill to the next.

    how: SIGKILL to the group, to the leader, SIGTERM, a crash of a worker (a thread, so that it is
    the crash of all: SIGSEGV, as a decoder would get it), STOP and CONT; when: while it starts, in
    the time after that, just after its journal grew; feed: the feeder's ways.
    """

    how: Mapping[str, int] = field(
        default_factory=lambda: {"group": 5, "leader": 3, "term": 4, "crash": 2, "pause": 3}
    )
    when: Mapping[str, int] = field(default_factory=lambda: {"start-up": 4, "work": 5, "commit": 5})
    feed: Mapping[str, int] = field(default_factory=lambda: WEIGHTS)
    orders: tuple[int, int] = 3, 9


MIX = Mix()
WORK_SECONDS = 1.0  # and as long again as it takes to start: slow machines work slowly, too
COMMITS = 8  # of which one is hit: the card, the model, the run, then batches
COMMIT_SECONDS = 0.03
TERM_SECONDS = 20.0  # that a batch may take to finish
SETTLED_SECONDS = 20.0  # without anything new: no more is to be expected
FAR = ("--since", "1970-01-01", "--until", "2200-12-31")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kill:
    """One entry of a plan; `instant` is a part of the time that `when` takes, 0 to 1."""

    how: str
    when: str
    instant: float
    orders: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """What a round showed: counts by kind, and what was violated."""

    violations: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    fed: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Outcome) -> Outcome:
        self.violations += other.violations
        self.kills += other.kills
        self.fed += other.fed
        self.found += other.found
        return self


def plan(random: Random, kills: int, mix: Mix) -> list[Kill]:
    """When and how to kill, and what to feed meanwhile."""

    def choice(table: Mapping[str, int]) -> str:
        return random.choices(list(table), list(table.values()))[0]

    return [
        Kill(
            choice(mix.how),
            choice(mix.when),
            random.random(),
            tuple(choice(mix.feed) for _ in range(random.randint(*mix.orders))),
        )
        for _ in range(kills)
    ]


def measured_start_up(bundle: Path, folder: Path) -> float:
    """Seconds from the start of `trapsort watch` to its first work, the longer of two."""
    card = folder / "nothing"
    card.mkdir(parents=True)
    program = Program([card], folder / "scratch.sqlite3", bundle, folder)
    seconds = []
    for _ in range(2):
        program.start()
        try:
            while program.is_running and not program.is_watching:
                time.sleep(0.005)
            seconds.append(time.monotonic() - program.started)
            assert program.is_watching, program.output.read_text()
        finally:
            program.end()
    return max(seconds)


def play(
    folder: Path,
    *,
    supply: Supply,
    bundle: Path,
    seed: str,
    kills: int = A_ROUND,
    start_up: float,
    variant: str = "sound",
    mix: Mix = MIX,
    settled_seconds: float = SETTLED_SECONDS,
    say: Say = lambda text: None,
) -> Outcome:
    """Play a round in a new folder; it ends with the first violation."""
    cards = [folder / "cards" / name for name in CARDS]
    for card in cards:
        card.mkdir(parents=True)
    ledger = Ledger(0.7 * QUIET_SECONDS)
    feeders = [Feeder(card, ledger, supply, f"{seed} {card.name}") for card in cards]
    program = Program(cards, folder / "record.sqlite3", bundle, folder, variant)
    game = Round(program, ledger, feeders, start_up, settled_seconds)
    random = Random(seed)  # noqa: S311  # no secret
    for feeder in feeders:
        feeder.start()
    try:
        for number, kill in enumerate(plan(random, kills, mix), start=1):
            wrong = list(game.kill(kill, random))
            say(f"{number}/{kills} {kill.how} during {kill.when}: {game.counts()}")
            game.outcome.violations += [f"kill {number} ({kill.how}): {text}" for text in wrong]
            if wrong:
                return game.outcome
        program.end()
        for feeder in feeders:  # nothing tells of these: trapsort is not running
            feeder.order("at_once")
            feeder.finish()
        game.outcome.violations += game.last()
    finally:
        program.end()
        for feeder in feeders:
            feeder.finish()
            game.outcome.fed += feeder.fed
    return game.outcome


@dataclass(slots=True)
class Round:
    """The cards, the program, and what was recorded so far."""

    program: Program
    ledger: Ledger
    feeders: list[Feeder]
    start_up: float
    settled_seconds: float
    outcome: Outcome = field(default_factory=Outcome)
    before: frozenset[bytes] = frozenset()

    # One kill -----------------------------------------------------------------------------------

    def kill(self, kill: Kill, random: Random) -> Iterator[str]:
        """Start the program if need be, kill it, and say what is wrong after that."""
        half = len(kill.orders) // 2
        self._feed(kill.orders[:half], random)
        self.program.start()
        if kill.when != "start-up":
            self._until(lambda: self.program.is_watching, 20 * self.start_up)
        self._feed(kill.orders[half:], random)
        self._wait(kill)
        if not self.program.is_running:
            yield f"it had ended by itself, with {self.program.wait()}: {self._said()}"
            return
        self.outcome.kills[kill.how] += 1
        self.outcome.kills[f"during {kill.when}"] += 1
        yield from getattr(self, f"_{kill.how}")()
        yield from self.program.complaints()
        if kill.how != "pause":
            yield from self.check()

    def _feed(self, orders: Sequence[str], random: Random) -> None:
        for kind in orders:
            random.choice(self.feeders).order(kind)

    def _wait(self, kill: Kill) -> None:
        """Let time pass until the instant of a kill."""
        if kill.when == "start-up":
            time.sleep(kill.instant * self.start_up)
            return
        seconds = WORK_SECONDS + self.start_up
        if kill.when == "work":
            time.sleep(kill.instant * seconds)
            return
        commit, delay = divmod(kill.instant * COMMITS, 1)
        end = time.monotonic() + seconds
        for _ in range(int(commit) + 1):
            before = self._journal()
            self._until(partial(self._grew, before), end - time.monotonic())
        time.sleep(delay * COMMIT_SECONDS)

    def _until(self, met: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.program.is_running and not met() and time.monotonic() < end:
            time.sleep(0.001)

    def _grew(self, before: tuple[int, int]) -> bool:
        return self._journal() != before

    def _journal(self) -> tuple[int, int]:
        try:
            status = self.program.wal.stat()
        except OSError:
            return 0, 0
        return status.st_size, status.st_mtime_ns

    def _group(self) -> Iterator[str]:
        self.program.signal(signal.SIGKILL, group=True)
        yield from self._ended(signal.SIGKILL)

    def _leader(self) -> Iterator[str]:
        self.program.signal(signal.SIGKILL)
        yield from self._ended(signal.SIGKILL)

    def _crash(self) -> Iterator[str]:
        self.program.signal(signal.SIGSEGV)
        yield from self._ended(signal.SIGSEGV)

    def _term(self) -> Iterator[str]:
        watching = self.program.is_watching
        self.program.signal(signal.SIGTERM)
        try:
            code = self.program.wait(TERM_SECONDS)
        except subprocess.TimeoutExpired:
            yield f"it had not ended {TERM_SECONDS:.0f} s after SIGTERM"
            self.program.end()
            return
        # Python itself takes a moment to start, in which nobody can listen.
        expected = (0,) if watching else (0, -signal.SIGTERM)
        if code not in expected:
            yield f"it ended with {code} after SIGTERM: {self._said()}"
        if not watching and code:
            self.outcome.kills["term before it could listen"] += 1
        if not self.program.leaves_nobody():
            yield "after SIGTERM something that it started runs on"

    def _pause(self) -> Iterator[str]:
        self.program.stop_still()
        yield from self.check()
        self.program.signal(signal.SIGCONT, group=True)

    def _ended(self, number: signal.Signals) -> Iterator[str]:
        code = self.program.wait()
        if code != -number:
            yield f"it had ended by itself, with {code}: {self._said()}"
        if not self.program.leaves_nobody():
            yield "something that it started runs on"

    def _said(self) -> str:
        return self.program.output.read_text(errors="replace")[-2000:]

    # What is left -------------------------------------------------------------------------------

    def check(self) -> Iterator[str]:
        """What is wrong with the database as it lies there now; on a copy of it."""
        copy = record.copied(self.program.database, self.program.folder / "copy")
        self.outcome.found["checks"] += 1
        if copy is None:
            if self.before:
                yield "the database has gone"
            return
        fed = self.ledger.fed()
        try:
            with closing(sqlite3.connect(copy)) as connection:
                yield from record.violations(connection, fed)
                now = record.state(connection)
        except sqlite3.Error as error:
            yield f"the database cannot be read: {error}"
            return
        lost = self.before - now.ever
        if lost:
            yield f"{len(lost)} contents that were recorded before are not there any more"
        self.before = now.ever

    def counts(self) -> str:
        """How far the round is."""
        fed = self.ledger.fed()
        return f"{len(self.before)} of {len(set(fed.now.values()))} contents recorded"

    # The end ------------------------------------------------------------------------------------

    def last(self) -> list[str]:
        """What is wrong after a last run without kills; nothing is fed any more."""
        wrong = [*self._clean_run(), *self.check()]
        if wrong:
            return wrong
        now = record.described(self.program.database)
        wrong += self._second_run(now)
        wrong += self._reports()
        wrong += self._calm(now, self.ledger.fed())
        self.outcome.found["photos"] += len(now.photos)
        self.outcome.found["places"] += len(now.places)
        self.outcome.found["problems"] += len(now.problems)
        return wrong

    def _clean_run(self) -> Iterator[str]:
        """Watch until all is recorded; say what is missing when nothing more comes."""
        fed, calm, left = self.ledger.fed(), time.monotonic(), ["nothing is recorded"]
        before = record.EMPTY
        self.program.start()
        while left and time.monotonic() - calm < self.settled_seconds:
            if not self.program.is_running:
                yield f"the last run ended by itself, with {self.program.wait()}: {self._said()}"
                return
            time.sleep(0.1)
            if not self.program.database.exists():
                continue
            with closing(record.opened(self.program.database)) as connection:
                now = record.state(connection)
                left = list(record.unfinished(now, fed, supersedes=record.supersedes(connection)))
            if now != before:
                before, calm = now, time.monotonic()
        yield from left[:20]
        yield from self._term()
        yield from self.program.complaints()

    def _second_run(self, before: record.State) -> Iterator[str]:
        """Another run over the same files changes nothing."""
        home = self.program.folder / "home"
        ended = run(self.program.line("--once"), home)
        if ended.code or ended.complaints:
            yield f"a second run ended with {ended.code}: {ended.said.decode()[-2000:]}"
        if record.described(self.program.database) != before:
            yield "a second run over the same files changed the record"

    def _reports(self) -> Iterator[str]:
        """Two reports of the same record are the same bytes."""
        for name in ("nightly", "problems"):
            written = []
            for number in (1, 2):
                out = self.program.folder / f"{name} {number}.csv"
                where = ("--db", self.program.database, "--out", out)
                line = command(self.program.variant, "report", name, *FAR, *where)
                ended = run(line, self.program.folder / "home")
                if ended.code or ended.complaints:
                    yield f"report {name} ended with {ended.code}: {ended.said.decode()}"
                    return
                written.append(out.read_bytes())
            if written[0] != written[1] or written[0].count(b"\n") < 2:
                yield f"two reports {name} of the same record differ, or are empty"

    def _calm(self, now: record.State, fed: Fed) -> Iterator[str]:
        """The same files taken in by a run that nothing disturbs give the same record."""
        database = self.program.folder / "calm.sqlite3"
        where = ("--db", database, "--bundle", self.program.bundle)
        line = command("sound", "ingest", *where, *self.program.cards)
        ended = run(line, self.program.folder / "home", seconds=600)
        if ended.code or ended.complaints:
            yield f"the run without faults ended with {ended.code}: {ended.said.decode()}"
            return
        yield from list(record.differences(now, record.described(database), fed))[:20]
