"""daemon: two signals, what was taken, and the loop; with a tiny ingest of its own."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as day_time
from pathlib import Path

import pytest

from trapsort.daemon import LOOKS, Settled, Skip, run, stop_on_signals
from trapsort.errors import DatabaseError, InputError
from trapsort.scan import Photo, Problem, scan
from trapsort.store import Account

SECOND = 1_000_000_000


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
    return Settled(2.0, clock=clock)


def looks(
    settled: Settled, clock: Clock, item: Photo | Problem, seconds: float = 2.0
) -> list[bool]:
    """Whether each of two looks at one file takes it."""
    taken = []
    for _ in range(2):
        settled.begin()
        taken.append(settled.take(item))
        settled.keep()
        clock.now += seconds
    return taken


def test_a_file_is_taken_at_the_second_look_and_once(settled: Settled, clock: Clock) -> None:
    assert looks(settled, clock, photo("a", mtime=5)) == [False, True]
    assert looks(settled, clock, photo("a", mtime=5)) == [False, False]
    for other in (photo("a", mtime=6), photo("a", size=11, mtime=5), photo("b", mtime=5)):
        assert looks(settled, clock, other) == [False, True]
    assert not settled.waiting


def test_two_looks_that_follow_at_once_say_nothing(settled: Settled, clock: Clock) -> None:
    assert looks(settled, clock, photo("a"), seconds=1.0) == [False, False]
    assert looks(settled, clock, photo("a"), seconds=1.0) == [True, False]


def test_one_pass_answers_as_often_as_asked(settled: Settled, clock: Clock) -> None:
    looks(settled, clock, photo("a"), seconds=1.0)
    settled.begin()
    assert [settled.take(photo("a")), settled.take(photo("a"))] == [True, True]


@pytest.mark.parametrize(
    "states",  # size and modification time at looks that are 2 s apart; whole at the last
    [
        [(1, 1001), (2, 1003), (3, 1005)],  # a copy that grows
        [(1, 7), (2, 7), (3, 7)],  # that grows under the original's time
        [(9, 1001), (9, 1003), (9, 7)],  # that has its size from the start, and its time at last
        [(9, 9999), (9, 9998), (9, 9997)],  # by a clock that runs ahead
        [(0, 7), (9, 7), (9, 1005)],  # that is made by a camera before it is filled
    ],
)
def test_what_is_still_being_written_is_not_taken(
    settled: Settled, clock: Clock, states: list[tuple[int, int]]
) -> None:
    for size, mtime in states:
        settled.begin()
        assert not settled.take(photo("a", size=size, mtime=mtime))
        assert settled.waiting == 1
        settled.keep()
        clock.now += 2
    settled.begin()
    assert settled.take(photo("a", size=states[-1][0], mtime=states[-1][1]))
    assert not settled.waiting


def test_a_file_that_is_renamed_when_it_is_whole_is_a_new_file(
    settled: Settled, clock: Clock
) -> None:
    assert looks(settled, clock, photo("b.jpg")) == [False, True]
    assert looks(settled, clock, photo("a.jpg")) == [False, True]


def test_what_a_failed_pass_took_is_taken_again_at_once(settled: Settled, clock: Clock) -> None:
    names = ("a", "b")
    for _ in range(2):
        settled.begin()
        taken = [settled.take(photo(name)) for name in names]
        clock.now += 2
    assert taken == [True, True]
    settled.begin()  # fails before it meets b
    assert settled.take(photo("a"))
    settled.begin()
    assert [settled.take(photo(name)) for name in names] == [True, True]
    settled.keep()
    settled.begin()
    assert [settled.take(photo(name)) for name in names] == [False, False]


def test_another_card_is_looked_at_afresh(settled: Settled, clock: Clock) -> None:
    assert looks(settled, clock, photo("a")) == [False, True]
    settled.forget()
    assert looks(settled, clock, photo("a")) == [False, True]


def test_a_file_that_went_away_is_neither_waited_for_nor_remembered(
    settled: Settled, clock: Clock
) -> None:
    looks(settled, clock, photo("a"))
    settled.begin()
    settled.keep()
    assert not settled.waiting
    assert looks(settled, clock, photo("a")) == [False, True]  # it came back


def test_a_problem_is_taken_once_until_it_was_over(settled: Settled, clock: Clock) -> None:
    link = Problem(Path("/card"), b"a", "link", "points to b")
    assert looks(settled, clock, link) == [False, True]
    assert looks(settled, clock, link) == [False, False]
    assert looks(settled, clock, Problem(Path("/card"), b"a", "link", "to c")) == [False, True]
    assert looks(settled, clock, link) == [False, True]


def test_a_file_that_could_not_be_read_is_taken_again_in_the_next_pass(
    settled: Settled, clock: Clock
) -> None:
    looks(settled, clock, photo("a"), seconds=1.0)
    for _ in range(2):
        settled.begin()
        assert settled.take(photo("a"))
        settled.forget_one(photo("a"))
        settled.keep()
        assert not settled.waiting  # no hurry: the next scan comes by itself


def test_an_impatient_pass_takes_what_is_not_ready(settled: Settled) -> None:
    settled.begin()
    assert not settled.take(photo("a"))
    settled.keep()
    settled.begin(patient=False)
    assert settled.take(photo("a"))
    assert not settled.waiting


# the loop


class Desk:
    """An ingest that takes what it may, and everything that the loop told it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.taken: list[str] = []
        self.accounts: list[tuple[str, int]] = []
        self.errors: list[Exception] = []  # to raise, one a pass that takes something
        self.stop_after = 0  # files

    def ingest(self, root: Path, skip: Skip) -> Account:
        names = [item.relative.decode() for item in scan(root) if not skip(item)]
        if names and self.errors:
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
        cards: bool = False,
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
                cards=cards,
                on_account=self.on_account,
                report=report,
                report_at=report_at,
                quiet_seconds=0.2,
                rescan_seconds=0.3,
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


def test_once_takes_a_file_that_grows_for_ever_at_last_and_says_so(
    tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
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
    assert len(looks) == 1 + LOOKS + 1
    assert desk.taken == ["1.jpg", "2.jpg"]
    assert desk.accounts == [("A", 2)]
    assert caplog.messages == [f"{str(root)!r}: 1 file is still being written; taken in as is"]


def test_an_unreadable_file_is_tried_in_every_scan_and_said_once(
    tmp_path: Path, desk: Desk
) -> None:
    root = card(tmp_path / "A", "1.jpg", "2.jpg")
    passes: list[list[str]] = []

    def ingest(root: Path, skip: Skip) -> Account:
        items = [item for item in scan(root) if not skip(item)]
        passes.append([item.relative.decode() for item in items])
        bad = [i for i in items if isinstance(i, Photo) and i.relative == b"2.jpg"]
        if passes.count(["2.jpg"]) == 3:  # it can be read at last
            desk.stop.set()
            bad = []
        good = len(items) - len(bad)
        return Account(len(items), good, 0, len(bad), again=tuple(bad))

    desk.ingest = ingest  # type: ignore[method-assign]
    started = time.monotonic()
    desk.run([root])
    assert [each for each in passes if each] == [["1.jpg", "2.jpg"], *[["2.jpg"]] * 3]
    assert time.monotonic() - started > 0.7  # quiet_seconds, two rescan_seconds: no busy loop
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
    assert desk.accounts == [("B", 0), ("A", 1), ("A", 1)]


def test_a_database_that_fails_is_said_once_for_all_cards_until_it_works(
    tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    roots = [card(tmp_path / "A", "1.jpg"), card(tmp_path / "B", "2.jpg"), card(tmp_path / "C")]
    desk.errors = [DatabaseError("the disk is full", "make room")] * 5
    desk.stop_after = 2
    desk.run(roots)
    assert sorted(desk.taken) == ["1.jpg", "2.jpg"]
    assert sorted(desk.accounts) == [("A", 1), ("B", 1), ("C", 0)]
    assert caplog.messages == [
        "the disk is full; trying again until it works, nothing is lost",
        "the database works again; going on",
    ]


@pytest.mark.parametrize("words", ["database disk image is malformed", "file is not a database"])
def test_a_damaged_database_ends_the_watch(tmp_path: Path, desk: Desk, words: str) -> None:
    desk.errors = [DatabaseError(f"database /x: {words}", "restore a backup")]
    with pytest.raises(DatabaseError, match="restore a backup"):
        desk.run([card(tmp_path / "A", "1.jpg")])


def test_a_card_that_fails_stops_and_the_others_go_on(
    tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    pulled, other = card(tmp_path / "A", "1.jpg"), card(tmp_path / "B", "2.jpg")
    desk.errors = [
        InputError(f"{pulled} went away while it was read.", "Repeat the command."),
        OSError(5, "Input/output error"),
    ]
    desk.stop_after = 2
    desk.run([pulled, other])
    assert sorted(desk.taken) == ["1.jpg", "2.jpg"]
    assert sorted(desk.accounts) == [("A", 1), ("B", 1)]
    assert sorted(caplog.messages) == sorted(
        [
            f"{pulled} went away while it was read; going on with it when it can be read",
            f"{str(other)!r}: [Errno 5] Input/output error; going on with it when it can be read",
            f"{str(pulled)!r}: going on",
            f"{str(other)!r}: going on",
        ]
    )


def test_content_that_changed_is_taken_again(tmp_path: Path, desk: Desk) -> None:
    root = card(tmp_path / "A", "1.jpg")
    again: list[Photo] = []

    def ingest(root: Path, skip: Skip) -> Account:
        items = [item for item in scan(root) if not skip(item)]
        desk.taken += [f"{item.relative.decode()} {item.size}" for item in items]  # type: ignore[union-attr]
        changed = [item for item in items if isinstance(item, Photo) and item.size == 5]
        if changed and not again:  # it grows in the moment in which it is read
            again.extend(changed)
            (root / "1.jpg").write_bytes(b"longer than before")
            return Account(1, 0, 0, 1, again=tuple(changed))
        if any("18" in each for each in desk.taken):
            desk.stop.set()
        return Account(len(items), len(items), 0, 0)

    desk.ingest = ingest  # type: ignore[method-assign]
    desk.run([root])
    assert desk.taken == ["1.jpg 5", "1.jpg 18"]


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


# cards


def test_every_card_has_its_own_account_also_when_it_returns(tmp_path: Path, desk: Desk) -> None:
    for name in ("ONE", "TWO"):
        (tmp_path / "media" / name).mkdir(parents=True)
        card(tmp_path / "media" / name / "DCIM", f"{name}.jpg")
    card(tmp_path / "media" / "stick", "holiday.jpg")
    one, away = tmp_path / "media" / "ONE", tmp_path / "away"

    def swap() -> None:
        one.rename(away)
        time.sleep(2.6)  # longer than between two looks for cards
        away.rename(one)

    threading.Timer(1.5, swap).start()
    desk.stop_after = 3
    desk.run([tmp_path / "media"], cards=True)
    assert desk.taken == ["DCIM/ONE.jpg", "DCIM/TWO.jpg", "DCIM/ONE.jpg"]
    assert desk.accounts == [("ONE", 1), ("TWO", 1), ("ONE", 1)]


def test_once_takes_the_cards_that_are_there(
    tmp_path: Path, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.run([tmp_path], once=True, cards=True)
    assert caplog.messages == ["no cards there: a card is a folder that holds a folder DCIM"]
    (tmp_path / "me" / "ONE").mkdir(parents=True)
    card(tmp_path / "me" / "ONE" / "DCIM", "1.jpg")
    card(tmp_path / "notes", "2.jpg")
    desk.run([tmp_path], once=True, cards=True)
    assert desk.accounts == [("ONE", 1)]


def cost() -> tuple[int, int, int]:
    """Bytes that trapsort and its watcher allocated, open descriptors, threads."""
    time.sleep(0.3)  # for events that are under way
    gc.collect()
    ours = [tracemalloc.Filter(True, f"*/{name}/*") for name in ("trapsort", "watchdog")]
    taken = tracemalloc.take_snapshot().filter_traces(ours).statistics("filename")
    files = Path("/proc/self/fd")
    open_files = sum(1 for _ in files.iterdir()) if files.is_dir() else 0
    return sum(each.size for each in taken), open_files, threading.active_count()


class Day(threading.Event):
    """A stop event: its waiting is the time that passes, 24 hours of it, and what comes and goes.

    Every ten minutes a card and a file are there for five minutes.
    """

    def __init__(self, clock: Clock, place: Path) -> None:
        super().__init__()
        clock.now = 0
        self.clock, self.place, self.end = clock, place, 24 * 3600
        self.number = 0
        self.costs: list[tuple[int, int, int]] = []  # in the sixth hour and in the last

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now += 60  # a slow machine: fewer turns of the loop
        if self.clock.now % 600 == 0:
            self.number += 1
            name = f"{self.number:04d}"
            (self.place / f"CARD{name}").mkdir()
            card(self.place / f"CARD{name}" / "DCIM", *(f"{name}-{each}.jpg" for each in range(8)))
        elif self.clock.now % 600 == 300:
            for path in self.place.iterdir():
                shutil.rmtree(path)
        if self.number in (36, 143) and self.clock.now % 600 == 540:
            self.costs.append(cost())
        if self.clock.now >= self.end:
            self.set()
        return self.is_set()


@pytest.mark.parametrize("cards", [True, False])
def test_a_day_of_cards_costs_neither_memory_nor_descriptors(
    tmp_path: Path, clock: Clock, cards: bool
) -> None:
    day, files = Day(clock, tmp_path), [0]

    def ingest(root: Path, skip: Skip) -> Account:
        return Account(sum(not skip(item) for item in scan(root)))

    def count(root: Path, account: Account) -> None:
        files[0] += account.files

    logging.disable(logging.CRITICAL)  # pytest keeps every line
    tracemalloc.start()
    try:
        run(
            [tmp_path],
            ingest=ingest,
            stop=day,
            once=False,
            cards=cards,
            on_account=count,
            clock=clock,
        )
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)
    assert files[0] == 143 * 8  # the last came as the day ended
    early, late = day.costs
    assert late[0] - early[0] < 40_000, f"{late[0] - early[0]:,} bytes more"
    assert late[1] <= early[1], "more descriptors"
    assert late[2] <= early[2], "more threads"


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
