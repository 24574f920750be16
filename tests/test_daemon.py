"""daemon: one lock, two signals, what was taken, and the loop; with a tiny ingest of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as day_time
from pathlib import Path

import pytest

from trapsort.daemon import LOOKS, Lock, Settled, Skip, lock_path, run, stop_on_signals
from trapsort.errors import BusyError, DatabaseError
from trapsort.scan import Photo, Problem, scan
from trapsort.store import Account

SECOND = 1_000_000_000


# the lock


def test_a_second_daemon_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/sightings.db"
    with Lock(url) as lock:
        assert lock.path == tmp_path / "new" / "sightings.db.daemon.lock"
        holder = json.loads(lock.path.read_text())
        assert holder["pid"] == os.getpid()
        assert holder["host"] == socket.gethostname()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", holder["since"])
        with pytest.raises(BusyError) as refused, Lock(url):
            pass
        assert refused.value.exit_code == 5
        assert str(refused.value) == (
            f"this database is being watched already: process {os.getpid()} on "
            f"{socket.gethostname()} since {holder['since']}\n"
            f"Stop it first (process {os.getpid()}), or choose another database with --db."
        )
    with Lock(url):  # released
        pass


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path) -> None:
    database = tmp_path / "sightings.db"
    program = (
        "import sys, time; from trapsort.daemon import Lock\n"
        "with Lock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(database)], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=f"process {first.pid} on "), Lock(database):
        pass
    first.kill()
    first.wait()
    first.stdout.close()
    with Lock(database):
        pass


def test_the_lock_follows_links_to_the_database(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with Lock(tmp_path / "link.db"), pytest.raises(BusyError), Lock(tmp_path / "real.db"):
        pass


def test_where_each_database_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "a.db.daemon.lock"
    for database in ("a.db", Path("a.db"), "sqlite:///a.db", f"sqlite+pysqlite:///{tmp_path}/a.db"):
        assert lock_path(database) == here
    assert lock_path("sqlite:///file:a.db?mode=rw&uri=true") == here
    assert lock_path("sqlite://") is None
    assert lock_path("sqlite:///:memory:") is None
    with Lock("sqlite://"), Lock("sqlite://"):
        pass
    server = lock_path("postgresql+psycopg://me:secret@db/traps")
    other = lock_path("postgresql+psycopg://me:secret@db/other")
    assert server is not None
    assert other is not None
    assert server != other
    assert server.parent.name == "trapsort"
    assert re.fullmatch(r"[0-9a-f]{16}\.daemon\.lock", server.name)


def test_a_lock_that_cannot_be_made_is_a_database_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"cannot lock .*sightings\.db\.daemon\.lock: "):
        Lock(tmp_path / "file" / "sightings.db").__enter__()


# signals


def handlers() -> list[object]:
    return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_stop_and_the_handlers_come_back(number: signal.Signals) -> None:
    before, stop = handlers(), threading.Event()
    with stop_on_signals(stop):
        signal.raise_signal(number)
        assert stop.wait(5)
        signal.raise_signal(signal.SIGTERM)  # patient, however often
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert handlers() == before


def test_a_signal_that_interrupts_the_event_itself_does_not_deadlock() -> None:
    inside = threading.Lock()

    class Event(threading.Event):
        def set(self) -> None:
            assert inside.acquire(timeout=5), "the handler waits for the code that it interrupted"
            super().set()

    stop = Event()
    with stop_on_signals(stop):
        with inside:
            signal.raise_signal(signal.SIGTERM)
        assert stop.wait(2)


# what was taken


def photo(name: str, *, size: int = 10, mtime: float = 0) -> Photo:
    card = Path("/card")
    return Photo(card, card / name, os.fsencode(name), size, int(mtime * SECOND))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settled(clock: Clock) -> Settled:
    return Settled(2.0, clock=clock, wall_clock=clock)


def test_an_old_file_is_taken_at_first_sight_and_once(settled: Settled) -> None:
    settled.begin()
    assert settled.take(photo("a", mtime=998))
    assert settled.take(photo("a", mtime=998))  # in the same pass, for whoever asks twice
    settled.keep()
    settled.begin()
    assert not settled.take(photo("a", mtime=998))
    assert settled.take(photo("a", mtime=990))  # another modification time
    assert settled.take(photo("a", size=11, mtime=998))
    assert settled.take(photo("b", mtime=998))
    assert not settled.waiting


@pytest.mark.parametrize("mtime", [998.5, 5000])  # just written; a card's clock in the future
def test_a_doubtful_file_is_taken_when_it_stood_still(
    settled: Settled, clock: Clock, mtime: float
) -> None:
    for moment, expected in ((1000, False), (1001, False), (1002, True)):
        clock.now = moment
        settled.begin()
        assert settled.take(photo("a", mtime=mtime)) is expected
        assert settled.waiting is not expected


def test_a_growing_file_is_waited_for_even_with_an_old_time(settled: Settled, clock: Clock) -> None:
    for moment, size, expected in ((0, 1, False), (3, 2, False), (4, 2, False), (5, 2, True)):
        clock.now = 1000 + moment
        settled.begin()
        assert settled.take(photo("a", size=size, mtime=999)) is expected


def test_what_was_not_kept_is_taken_again(settled: Settled) -> None:
    settled.begin()
    assert settled.take(photo("a"))
    settled.begin()  # the pass failed
    assert settled.take(photo("a"))
    settled.keep()
    settled.forget()  # another card
    settled.begin()
    assert settled.take(photo("a"))


def test_a_file_that_went_away_is_not_waited_for(settled: Settled) -> None:
    settled.begin()
    assert not settled.take(photo("a", mtime=1000))
    assert settled.waiting
    settled.begin()
    assert not settled.waiting


def test_a_problem_is_taken_once(settled: Settled) -> None:
    link = Problem(Path("/card"), b"a", "link", "points to b")
    settled.begin()
    assert settled.take(link)
    settled.keep()
    settled.begin()
    assert not settled.take(link)
    assert settled.take(Problem(Path("/card"), b"a", "link", "points to c"))


def test_a_problem_that_was_over_and_comes_back_is_taken_again(settled: Settled) -> None:
    link = Problem(Path("/card"), b"a", "link", "points to b")
    for there, expected in ((True, True), (True, False), (False, False), (True, True)):
        settled.begin()
        if there:
            assert settled.take(link) is expected
        settled.keep()


def test_a_file_that_could_not_be_read_is_taken_again_in_the_next_pass(settled: Settled) -> None:
    for _ in range(2):
        settled.begin()
        assert settled.take(photo("a"))
        settled.forget_one(photo("a"))
        settled.keep()
        assert not settled.waiting  # no hurry: the next scan comes by itself


def test_an_impatient_pass_takes_what_is_not_ready(settled: Settled) -> None:
    settled.begin()
    assert not settled.take(photo("a", mtime=1000))
    settled.begin(patient=False)
    assert settled.take(photo("a", mtime=1000))
    assert not settled.waiting


# the loop


class Desk:
    """An ingest that takes what it may, and everything that the loop told it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.taken: list[str] = []
        self.accounts: list[tuple[str, int]] = []
        self.errors: list[Exception] = []  # to raise, one a pass, after taking
        self.stop_after = 0  # files

    def ingest(self, root: Path, skip: Skip) -> Account:
        names = [item.relative.decode() for item in scan(root) if not skip(item)]
        if self.errors:
            raise self.errors.pop(0)
        self.taken += names
        if self.stop_after and len(self.taken) >= self.stop_after:
            self.stop.set()
        return Account(files=len(names), recorded=len(names), seen_before=0, problems=0)

    def on_account(self, root: Path, account: Account) -> None:
        self.accounts.append((root.name, account.files))

    def run(
        self,
        roots: list[Path],
        *,
        once: bool = False,
        report: Callable[[date], None] | None = None,
        report_at: day_time | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        timer = threading.Timer(10, self.stop.set)
        timer.start()
        try:
            run(
                roots,
                ingest=self.ingest,
                stop=self.stop,
                once=once,
                on_account=self.on_account,
                report=report,
                report_at=report_at,
                quiet_seconds=0.3,
                rescan_seconds=0.5,
                now=now,
            )
        finally:
            timer.cancel()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def card(folder: Path, *names: str, age: float = 100) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, (time.time() - age,) * 2)
    return folder


def test_once_takes_each_root_and_ends(tmp_path: Path, desk: Desk) -> None:
    roots = [card(tmp_path / "A", "1.jpg", "2.jpg"), card(tmp_path / "B"), tmp_path / "A"]
    desk.run(roots, once=True)
    assert desk.taken == ["1.jpg", "2.jpg"]
    assert desk.accounts == [("A", 2), ("B", 0)]
    assert not desk.stop.is_set()


def test_once_waits_for_a_file_that_was_just_written(tmp_path: Path, desk: Desk) -> None:
    root = card(tmp_path / "A", "1.jpg")
    card(root, "2.jpg", age=-3600)
    desk.run([root], once=True)
    assert desk.taken == ["1.jpg", "2.jpg"]
    assert desk.accounts == [("A", 2)]


def test_once_stopped_before_it_began_gives_no_account(tmp_path: Path, desk: Desk) -> None:
    desk.stop.set()
    desk.run([card(tmp_path / "A", "1.jpg")], once=True)
    assert desk.accounts == []


def test_once_ends_although_a_file_grows_for_ever(tmp_path: Path, desk: Desk) -> None:
    root = card(tmp_path / "A", "1.jpg")
    card(root, "2.jpg", age=-3600)
    take_in, looks = desk.ingest, []

    def grow_and_ingest(root: Path, skip: Skip) -> Account:
        looks.append(root)
        with (root / "2.jpg").open("ab") as file:
            file.write(b"more")
        return take_in(root, skip)

    desk.ingest = grow_and_ingest  # type: ignore[method-assign]
    desk.run([root], once=True)
    assert not desk.stop.is_set()
    assert len(looks) == LOOKS + 1
    assert desk.taken == ["1.jpg", "2.jpg"]
    assert desk.accounts == [("A", 2)]


def test_an_unreadable_file_is_tried_in_every_scan_and_said_once(
    tmp_path: Path, desk: Desk
) -> None:
    root = card(tmp_path / "A", "1.jpg", "2.jpg")
    passes: list[list[str]] = []

    def ingest(root: Path, skip: Skip) -> Account:
        items = [item for item in scan(root) if not skip(item)]
        passes.append([item.relative.decode() for item in items])
        bad = [i for i in items if isinstance(i, Photo) and i.relative == b"2.jpg"]
        if len(passes) == 4:  # it can be read at last
            desk.stop.set()
            bad = []
        good = len(items) - len(bad)
        return Account(len(items), good, 0, len(bad), again=tuple(bad))

    desk.ingest = ingest  # type: ignore[method-assign]
    started = time.monotonic()
    desk.run([root])
    assert passes == [["1.jpg", "2.jpg"], ["2.jpg"], ["2.jpg"], ["2.jpg"]]
    assert time.monotonic() - started > 1.2  # three times rescan_seconds: no busy loop
    assert desk.accounts == [("A", 2), ("A", 1)]


def test_once_passes_an_error_on(tmp_path: Path, desk: Desk) -> None:
    desk.errors = [DatabaseError("disk full")]
    with pytest.raises(DatabaseError, match="disk full"):
        desk.run([card(tmp_path / "A", "1.jpg")], once=True)


def test_watching_takes_what_arrives_and_says_nothing_of_empty_passes(
    tmp_path: Path, desk: Desk
) -> None:
    root, empty = card(tmp_path / "A", "1.jpg"), card(tmp_path / "B")
    desk.stop_after = 2
    threading.Timer(1.3, lambda: card(root, "2.jpg", age=0)).start()
    desk.run([root, empty])
    assert desk.taken == ["1.jpg", "2.jpg"]
    assert desk.accounts == [("A", 1), ("B", 0), ("A", 1)]


def test_a_failed_pass_is_logged_once_and_its_files_are_taken_again(
    tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    root = card(tmp_path / "A", "1.jpg")
    desk.errors = [DatabaseError("disk full"), DatabaseError("disk full"), OSError("card gone")]
    desk.stop_after = 1
    desk.run([root])
    assert desk.taken == ["1.jpg"]
    assert desk.accounts == [("A", 1)]
    assert caplog.messages == [
        f"{str(root)!r}: disk full; trying again at the next scan",
        f"{str(root)!r}: card gone; trying again at the next scan",
        f"{str(root)!r}: going on",
    ]


def test_a_returned_card_is_read_again(tmp_path: Path, desk: Desk) -> None:
    root = card(tmp_path / "A", "1.jpg")

    def swap() -> None:
        root.rename(tmp_path / "away")
        time.sleep(0.6)
        (tmp_path / "away").rename(root)

    threading.Timer(0.5, swap).start()
    desk.stop_after = 2
    desk.run([root])
    assert desk.taken == ["1.jpg", "1.jpg"]


# the nightly report


def test_the_report_is_made_once_a_day_and_a_failure_is_retried(
    tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    moments = [
        datetime(2025, 6, 1, 5, 58),  # the start
        datetime(2025, 6, 1, 5, 59),
        datetime(2025, 6, 1, 6, 0),  # fails
        datetime(2025, 6, 1, 6, 1),  # fails the same way
        datetime(2025, 6, 1, 6, 2),
        datetime(2025, 6, 1, 6, 3),
        datetime(2025, 6, 2, 5, 59),
        datetime(2025, 6, 2, 6, 1),
    ]
    asked: list[date] = []

    def report(day: date) -> None:
        asked.append(day)
        if len(asked) <= 2:
            raise ZeroDivisionError("no rows")

    def now() -> datetime:
        if len(moments) == 1:
            desk.stop.set()
        return moments.pop(0)

    desk.run([tmp_path / "away"], report=report, report_at=day_time(6), now=now)
    assert asked == [date(2025, 6, 1)] * 3 + [date(2025, 6, 2)]
    failures = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert failures == ["the nightly report failed (no rows); trying again at the next scan"]
    shown = [record for record in caplog.records if record.exc_info]
    assert {record.levelname for record in shown} <= {"DEBUG"}


def test_every_day_since_the_last_report_is_made_up_for(tmp_path: Path, desk: Desk) -> None:
    moments = [
        datetime(2025, 5, 31, 23, 50),  # the start; a pass runs over midnight
        datetime(2025, 6, 1, 0, 10),
        datetime(2025, 6, 4, 5, 59),  # the machine slept
        datetime(2025, 6, 4, 6, 0),
        datetime(2028, 1, 1, 7, 0),  # the clock was set
    ]
    asked: list[date] = []

    def now() -> datetime:
        if len(moments) == 1:
            desk.stop.set()
        return moments.pop(0)

    desk.run([tmp_path / "away"], report=asked.append, report_at=day_time(6), now=now)
    assert asked[:5] == [date(2025, 5, 31), *(date(2025, 6, day) for day in (1, 2, 3, 4))]
    assert (len(asked), asked[5], asked[-1]) == (5 + 366, date(2027, 1, 1), date(2028, 1, 1))


def test_once_makes_a_due_report_after_the_roots_and_lets_it_fail(
    tmp_path: Path, desk: Desk
) -> None:
    root = card(tmp_path / "A", "1.jpg")
    seen: list[tuple[date, list[str]]] = []
    noon = datetime(2025, 6, 1, 12)
    desk.run(
        [root],
        once=True,
        report=lambda day: seen.append((day, list(desk.taken))),
        report_at=day_time(6),
        now=lambda: noon,
    )
    assert seen == [(date(2025, 6, 1), ["1.jpg"])]

    def fail(day: date) -> None:
        raise OSError("read-only folder")

    with pytest.raises(OSError, match="read-only folder"):
        desk.run([root], once=True, report=fail, report_at=day_time(6), now=lambda: noon)
    desk.run([root], once=True, report=fail, report_at=day_time(13), now=lambda: noon)  # not due
