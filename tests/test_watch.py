"""watch: wakes for what is there, what changes and what comes back; never for reading."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from trapsort import watch as room
from trapsort.watch import Wake, watch, way_of

PATIENCE_SECONDS = 10.0  # how long a test waits for what must come
QUIET = 0.4
NEVER = 3600.0

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def wakes(
    roots: list[Path], stop: threading.Event, rescan_seconds: float = NEVER
) -> Generator[Wake, None, None]:
    return watch(roots, stop=stop, quiet_seconds=QUIET, rescan_seconds=rescan_seconds)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """An event that a timer sets, so that a wake that never comes fails the test."""
    event = threading.Event()
    timer = threading.Timer(PATIENCE_SECONDS, event.set)
    timer.start()
    yield event
    timer.cancel()


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The mount table, of one text: whatever this machine's file systems are."""
    text = [""]
    monkeypatch.setattr(room, "mount_table", lambda: text[0])
    return text


def after(seconds: float, stop: threading.Event) -> None:
    threading.Timer(seconds, stop.set).start()


def test_each_root_comes_once_at_the_start(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    roots = [tmp_path / "a", tmp_path / "b", tmp_path / "a"]
    after(1.0, stop)
    assert list(wakes(roots, stop)) == [
        Wake(roots[0], appeared=True),
        Wake(roots[1], appeared=True),
    ]


def test_a_new_file_in_a_new_folder_wakes_its_root_after_the_quiet_time(
    tmp_path: Path, stop: threading.Event
) -> None:
    card, other = tmp_path / "card", tmp_path / "other"
    card.mkdir()
    other.mkdir()
    woken = wakes([other, card], stop)
    assert [next(woken).root, next(woken).root] == [other, card]
    (card / "DCIM").mkdir()
    written = time.monotonic()
    (card / "DCIM" / "IMG_0001.JPG").write_bytes(b"photo")
    assert next(woken) == Wake(card, appeared=False)
    assert QUIET <= time.monotonic() - written < 5
    after(3 * QUIET, stop)
    assert list(woken) == []


def test_changes_that_go_on_are_waited_out(tmp_path: Path, stop: threading.Event) -> None:
    woken = wakes([tmp_path], stop)
    next(woken)
    ended: list[float] = []

    def copy() -> None:
        with (tmp_path / "IMG_0001.JPG").open("wb", buffering=0) as file:
            for _ in range(20):
                file.write(b"x" * 1000)
                time.sleep(QUIET / 6)
        ended.append(time.monotonic())

    copying = threading.Thread(target=copy)
    copying.start()
    next(woken)
    assert ended, "woken while the file was still being written"
    assert time.monotonic() - ended[0] >= QUIET * 0.9
    copying.join()
    woken.close()


def test_reading_a_root_does_not_wake_it(tmp_path: Path, stop: threading.Event) -> None:
    photo = tmp_path / "IMG_0001.JPG"
    photo.write_bytes(b"photo")
    after(6 * QUIET, stop)
    seen = 0
    for wake in wakes([tmp_path], stop):
        assert wake.root is not None
        seen += len([path.read_bytes() for path in wake.root.iterdir()])
    assert seen == 1


def test_the_timer_wakes_without_events(tmp_path: Path, stop: threading.Event) -> None:
    after(1.5, stop)
    count = len(list(wakes([tmp_path], stop, rescan_seconds=0.4)))
    assert 2 <= count <= 4


def test_an_unfinished_scan_is_repeated_after_the_quiet_time(
    tmp_path: Path, stop: threading.Event
) -> None:
    woken = wakes([tmp_path], stop)
    first = next(woken)
    first.unfinished = True
    started = time.monotonic()
    assert next(woken).root == tmp_path
    assert QUIET <= time.monotonic() - started < 5
    after(3 * QUIET, stop)
    assert list(woken) == []  # the second was finished


def test_a_missing_root_is_waited_for_and_a_returned_one_has_appeared(
    tmp_path: Path, stop: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    card = tmp_path / "card"
    threading.Timer(0.5, card.mkdir).start()
    woken = wakes([card], stop)
    assert next(woken) == Wake(card, appeared=True)
    assert caplog.messages == [f"{str(card)!r} is not there; waiting for it"]
    shutil.rmtree(card)
    threading.Timer(0.7, card.mkdir).start()
    assert next(woken) == Wake(card, appeared=True)
    (card / "IMG_0001.JPG").write_bytes(b"photo")  # the new folder is followed, not the old one
    assert next(woken) == Wake(card, appeared=False)
    woken.close()


def test_a_root_that_is_one_file(tmp_path: Path, stop: threading.Event) -> None:
    photo = tmp_path / "IMG_0001.JPG"
    photo.write_bytes(b"photo")
    woken = wakes([photo], stop)
    assert next(woken).root == photo
    photo.write_bytes(b"another photo")
    assert next(woken).root == photo
    woken.close()


def test_with_no_root_present_it_still_wakes_for_the_clock(
    tmp_path: Path, stop: threading.Event
) -> None:
    woken = wakes([tmp_path / "card"], stop, rescan_seconds=0.4)
    assert next(woken) == Wake(None)
    assert next(woken) == Wake(None)
    woken.close()


def test_a_mount_below_the_root_makes_it_appear_again(
    tmp_path: Path, stop: threading.Event, table: list[str]
) -> None:
    line = "36 35 98:0 / {} rw,noatime master:1 - ext4 /dev/sdb1 rw\n"
    table[0] = line.format("/elsewhere")
    woken = wakes([tmp_path], stop)
    assert next(woken).appeared
    table[0] += line.format("/elsewhere/too")
    after_mount = threading.Timer(
        1.0, lambda: table.__setitem__(0, table[0] + line.format(tmp_path / "card"))
    )
    started = time.monotonic()
    after_mount.start()
    assert next(woken) == Wake(tmp_path, appeared=True)
    assert time.monotonic() - started >= 1.0  # not for the mount elsewhere
    woken.close()


@linux
def test_without_a_watcher_a_root_is_polled_and_that_is_said_once(
    tmp_path: Path,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from tests.test_changes import refuse

    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        (root / "DCIM" / "deep").mkdir(parents=True)
    refuse(monkeypatch, "deep", errno.ENOSPC)
    woken = watch(
        roots, stop=stop, quiet_seconds=QUIET, rescan_seconds=NEVER, poll_seconds=2 * QUIET
    )
    assert [next(woken).root, next(woken).root] == roots
    started = time.monotonic()
    again = [next(woken).root for _ in range(4)]
    assert set(again) == set(roots)
    assert time.monotonic() - started >= 2 * QUIET, "polled in a busy loop"
    woken.close()
    assert caplog.messages == [
        "the system's limit fs.inotify.max_user_watches is reached (raise it, for example: "
        "sudo sysctl fs.inotify.max_user_watches=1048576); looking at everything every 0.8 s "
        "instead"
    ]


@linux
def test_a_full_queue_of_events_wakes_every_root(
    tmp_path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.test_changes import lose_next

    lose_next(monkeypatch)
    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        root.mkdir()
    woken = wakes(roots, stop)
    assert [next(woken).root, next(woken).root] == roots
    (roots[0] / "IMG_0001.JPG").write_bytes(b"photo")  # its event is lost
    assert [next(woken), next(woken)] == [Wake(root) for root in roots]
    woken.close()


@pytest.mark.parametrize("where", [".", "nas"])
def test_a_network_share_is_polled_with_a_warning(
    tmp_path: Path,
    stop: threading.Event,
    table: list[str],
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    point = tmp_path / where
    table[0] = f"36 35 0:52 / {point} rw - cifs //nas/photos rw\n"
    woken = watch([tmp_path], stop=stop, quiet_seconds=0.1, rescan_seconds=NEVER, poll_seconds=1.0)
    assert next(woken) == Wake(tmp_path, appeared=True)
    (tmp_path / "IMG_0001.JPG").write_bytes(b"photo")
    started = time.monotonic()
    assert next(woken) == Wake(tmp_path)
    assert 0.9 <= time.monotonic() - started < 3, "not polled every second"
    woken.close()
    assert caplog.messages == [
        f"{str(point)!r} is a network share (cifs), of whose changes the system does not tell; "
        f"looking at {str(tmp_path)!r} every 1 s instead"
    ]
    assert way_of(tmp_path) == "polling (cifs)"
    table[0] = ""
    assert way_of(tmp_path) == "events"


def test_folders_that_are_renamed_in_or_filled_at_once_are_followed(
    tmp_path: Path, stop: threading.Event
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    (outside / "DCIM" / "100").mkdir(parents=True)
    woken = wakes([root], stop)
    next(woken)
    outside.rename(root / "card")
    assert next(woken) == Wake(root)
    (root / "card" / "DCIM" / "100" / "IMG_0001.JPG").write_bytes(b"photo")
    assert next(woken) == Wake(root)
    (root / "new" / "a" / "b").mkdir(parents=True)
    (root / "new" / "a" / "b" / "IMG_0002.JPG").write_bytes(b"photo")
    assert next(woken) == Wake(root)
    (root / "new" / "a" / "b" / "IMG_0003.JPG").write_bytes(b"photo")
    assert next(woken) == Wake(root)
    woken.close()


def test_a_root_that_cannot_be_reached_is_waited_for_with_the_reason(
    tmp_path: Path, stop: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    threading.Timer(0.5, lambda: (loop.unlink(), loop.mkdir())).start()
    woken = wakes([loop], stop)
    assert next(woken) == Wake(loop, appeared=True)
    woken.close()
    reason = os.strerror(errno.ELOOP)
    assert caplog.messages == [f"{str(loop)!r} cannot be read ({reason}); waiting for it"]


# cards


def cards_in(
    places: list[Path], stop: threading.Event, rescan_seconds: float = NEVER
) -> Generator[Wake, None, None]:
    return watch(places, stop=stop, cards=True, quiet_seconds=QUIET, rescan_seconds=rescan_seconds)


def test_cards_come_go_and_return_two_at_once(tmp_path: Path, stop: threading.Event) -> None:
    one, two, away = tmp_path / "me" / "ONE", tmp_path / "me" / "TWO", tmp_path / "away"
    for card in (one, two):
        (card / "DCIM").mkdir(parents=True)
    (tmp_path / "me" / "stick" / "music").mkdir(parents=True)
    woken = cards_in([tmp_path / "me"], stop)
    assert [next(woken), next(woken)] == [Wake(one, appeared=True), Wake(two, appeared=True)]
    (one / "DCIM" / "IMG_0001.JPG").write_bytes(b"photo")
    assert next(woken) == Wake(one)
    one.rename(away)
    assert next(woken) == Wake(one, gone=True)
    away.rename(one)
    assert next(woken) == Wake(one, appeared=True)
    woken.close()


def test_a_copy_becomes_a_card_when_it_has_its_folder(
    tmp_path: Path, stop: threading.Event
) -> None:
    card = tmp_path / "2024" / "ridge" / "card 7"
    card.mkdir(parents=True)
    woken = cards_in([tmp_path], stop)
    threading.Timer(0.5, lambda: (card / "DCIM").mkdir()).start()
    assert next(woken) == Wake(card, appeared=True)
    woken.close()


def test_a_mounted_card_is_seen_at_once_and_again_after_another_mount(
    tmp_path: Path, stop: threading.Event, table: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CARDS_SECONDS", NEVER)  # only the mount table tells
    card = tmp_path / "CARD"
    line = f"{{}} 35 8:17 / {card} rw - vfat /dev/sdb1 rw\n"

    def mount(number: int) -> None:
        (card / "DCIM").mkdir(parents=True, exist_ok=True)
        table[0] = line.format(number)

    woken = cards_in([tmp_path], stop)
    threading.Timer(0.5, mount, [36]).start()
    assert next(woken) == Wake(card, appeared=True)
    threading.Timer(0.5, mount, [37]).start()
    assert next(woken) == Wake(card, appeared=True)

    def unmount() -> None:
        (card / "DCIM").rmdir()
        table[0] = ""

    threading.Timer(0.5, unmount).start()
    assert next(woken) == Wake(card, gone=True)
    woken.close()


def test_a_card_that_is_pulled_without_a_word_is_gone(
    tmp_path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CARDS_SECONDS", NEVER)
    card = tmp_path / "CARD"
    (card / "DCIM").mkdir(parents=True)
    woken = cards_in([tmp_path], stop)
    next(woken)
    threading.Timer(0.5, shutil.rmtree, [card]).start()
    assert next(woken) == Wake(card, gone=True)
    woken.close()


def test_a_place_without_cards_still_wakes_for_the_clock_and_what_is_wrong_is_said_once(
    tmp_path: Path,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(room, "CARDS_SECONDS", 0.0)
    (tmp_path / "bad").mkdir()
    (tmp_path / "mine").mkdir()
    scandir = os.scandir

    def failing(folder: Path) -> object:
        number = {"bad": errno.EIO, "mine": errno.EACCES}.get(folder.name)
        if number:
            raise OSError(number, os.strerror(number))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", failing)
    woken = cards_in([tmp_path, tmp_path / "nowhere"], stop, rescan_seconds=1.0)
    assert next(woken) == Wake(None)
    woken.close()
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
        f"no cards can be found in {str(tmp_path / 'bad')!r}: {os.strerror(errno.EIO)}",
        f"{str(tmp_path / 'nowhere')!r} is not there; waiting for it",
    ]


def test_stop_ends_it_soon_and_leaves_no_thread(tmp_path: Path, stop: threading.Event) -> None:
    before = threading.active_count()
    woken = wakes([tmp_path], stop)
    next(woken)
    started: list[float] = []

    def end() -> None:
        started.append(time.monotonic())
        stop.set()

    threading.Timer(0.5, end).start()
    assert list(woken) == []
    assert time.monotonic() - started[0] < 1.0
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before
