"""watch: wakes for what is there, what changes and what comes back; never for reading."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from trapsort import watch as room
from trapsort.watch import Wake, mounts_below, watch

PATIENCE_SECONDS = 10.0  # how long a test waits for what must come
QUIET = 0.4
NEVER = 3600.0


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
    tmp_path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "36 35 98:0 / {} rw,noatime master:1 - ext4 /dev/sdb1 rw\n"
    table = [line.format("/elsewhere")]
    monkeypatch.setattr(room, "mount_table", lambda: table[0])
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


def test_mounts_below_reads_octal_names_and_no_neighbours() -> None:
    lines = [
        f"36 35 98:0 / {point} rw - vfat /dev/sdb1 rw"
        for point in ("/", "/media", "/media/my\\040cards/A", "/media/my\\040cards2", "/media/my")
    ]
    table = "\n".join(lines) + "\n"
    assert mounts_below("/media/my cards", table) == (lines[2],)
    assert mounts_below("/media", table) == (*lines[1:],)
    assert mounts_below("/", table) == tuple(lines)


def test_without_a_watcher_the_timer_alone_goes_on(
    tmp_path: Path,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import watchdog.observers

    def limit_reached() -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(watchdog.observers, "Observer", limit_reached)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    after(1.0, stop)
    with caplog.at_level(logging.WARNING):
        woken = [wake.root for wake in wakes([tmp_path / "a", tmp_path / "b"], stop, 0.4)]
    assert len(woken) >= 4
    assert caplog.messages == [
        f"changes in {str(tmp_path / 'a')!r} cannot be watched ([Errno 28] inotify watch limit "
        "reached); looking there from time to time instead"
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
