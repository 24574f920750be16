"""changes: the system's events, and the two ways in which they silently fail."""

from __future__ import annotations

import ctypes
import errno
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from trapsort.changes import Changes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def changes() -> Iterator[Changes]:
    made = Changes()
    yield made
    made.close()


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Let the kernel refuse to watch folders of one name, with an error of one number."""
    from watchdog.observers import inotify_c

    add = inotify_c.inotify_add_watch

    def refusing(descriptor: int, path: bytes, mask: int) -> inotify_c.WatchDescriptor:
        if path.endswith(name.encode()):
            ctypes.set_errno(number)
            return inotify_c.WatchDescriptor(-1)
        return add(descriptor, path, mask)

    monkeypatch.setattr(inotify_c, "inotify_add_watch", refusing)


def lose_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel's queue be full: it gives one event, which says so, and nothing else."""
    from watchdog.observers import inotify_c

    read = inotify_c.InotifyFD.read_events
    overflow = inotify_c.InotifyEvent(
        inotify_c.WatchDescriptor(-1), inotify_c.InotifyConstants.IN_Q_OVERFLOW, 0, b""
    )
    full = [overflow]

    def reading(inotify: inotify_c.InotifyFD) -> list[inotify_c.InotifyEvent]:
        read(inotify)
        return [full.pop()] if full else []

    monkeypatch.setattr(inotify_c.InotifyFD, "read_events", reading)


def test_a_change_calls_back_until_it_is_left(tmp_path: Path, changes: Changes) -> None:
    changed = threading.Event()
    following = changes.follow(tmp_path, changed.set)
    (tmp_path / "a.jpg").write_bytes(b"photo")
    assert changed.wait(5)
    changes.leave(following)
    changed.clear()
    (tmp_path / "b.jpg").write_bytes(b"photo")
    assert not changed.wait(0.3)
    assert (changes.take_lost(), changes.take_failure()) == (False, "")


def test_lost_changes_are_noticed_once(
    tmp_path: Path, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_next(monkeypatch)
    changed = threading.Event()
    changes.follow(tmp_path, changed.set)
    (tmp_path / "a.jpg").write_bytes(b"photo")
    for _ in range(100):
        if changes.take_lost():
            break
        changed.wait(0.05)
    else:
        pytest.fail("the full queue was not noticed")
    assert not changes.take_lost()


def test_a_burst_of_events_ends_with_a_call_or_a_loss_and_costs_no_memory(
    tmp_path: Path, changes: Changes
) -> None:
    """200,000 cost 2 MB; here are 40,000, more than the 16,384 that the kernel keeps."""
    names = tmp_path / "a.jpg", tmp_path / "b.jpg"
    names[0].touch()
    called = [0.0]

    def changed() -> None:
        called[0] = time.monotonic()

    changes.follow(tmp_path, changed)
    tracemalloc.start()
    try:
        for _ in range(10_000):
            last = time.monotonic()
            names[0].rename(names[1])
            names[1].rename(names[0])
        for _ in range(100):
            if called[0] > last or changes.take_lost():
                break
            time.sleep(0.05)
        else:
            pytest.fail("the last of many changes was neither told nor noted as lost")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000_000


@pytest.mark.parametrize("refused", ["root", "deep"])
def test_the_limit_of_watched_folders_is_noticed_at_any_depth(
    tmp_path: Path, changes: Changes, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    root = tmp_path / "root"
    (root / "a" / "deep").mkdir(parents=True)
    refuse(monkeypatch, refused, errno.ENOSPC)
    changes.follow(root, lambda: None)
    assert changes.take_failure() == (
        "the system's limit fs.inotify.max_user_watches is reached (raise it, for example: "
        "sudo sysctl fs.inotify.max_user_watches=1048576)"
    )
    assert changes.take_failure() == "", "said once"
    assert changes.follow(tmp_path, lambda: None) is None, "not tried again"


def test_the_limit_is_noticed_when_a_folder_comes_later(
    tmp_path: Path, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = threading.Event()
    refuse(monkeypatch, "later", errno.ENOSPC)
    changes.follow(tmp_path, changed.set)
    (tmp_path / "later").mkdir()
    assert changed.wait(5)
    assert "max_user_watches" in changes.take_failure()


def test_a_system_without_events_says_why(
    tmp_path: Path, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchdog.observers import inotify_c

    def limit() -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(inotify_c, "inotify_init", limit)
    assert changes.follow(tmp_path, lambda: None) is None
    assert changes.take_failure() == (
        "the system's limit fs.inotify.max_user_instances is reached (raise it, for example: "
        "sudo sysctl fs.inotify.max_user_instances=1024)"
    )


def test_a_folder_that_went_away_ends_nothing(tmp_path: Path, changes: Changes) -> None:
    assert changes.follow(tmp_path / "gone", lambda: None) is None
    assert changes.take_failure() == ""
    assert changes.follow(tmp_path, lambda: None) is not None
