"""Copy a card's recorded photos to where they are kept; every copy is verified, nothing replaced.

A copy is written under a temporary name in its folder, synced, read back, and only then given its
name. Nothing is ever deleted or written on a card, and nothing outside the archive.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from trapsort.audit import OpenProblem, Views
from trapsort.errors import BusyError, InputError, PhotoError
from trapsort.fingerprint import Content, read_content
from trapsort.scan import Card, Photo, Problem, card_of, display_name, scan

if TYPE_CHECKING:
    from trapsort.store.audit import CardRow, Original, PlaceRow

LAYOUTS: dict[str, Callable[[str, str, list[str]], list[str]]] = {
    "station/date": lambda station, day, _: [station, day],
    "date": lambda _, day, __: [day],
    "station": lambda station, _, __: [station],
    "station/folders": lambda station, _, folders: [station, *folders],
}
"""The folders of a copy, from the station's (or card's) name, the day and the card's folders."""

COPIED = ("copied", "already_there")
"""States of files whose copy is in the archive and verified."""

UNDATED = "undated"
AT_ONCE = 200  # files that are looked up together
MOST_FOLDERS = 1000  # that are remembered
MAX_NAME, MAX_SUFFIX = 180, 20  # bytes of UTF-8; systems take 255, and a digest may be added
DIGEST_DIGITS = (0, 8, 16, 64)  # for a name that other content has already
NOT_RECORDED = "not in the record; take it in first (trapsort ingest)"

_PART = re.compile(r"\.trapsort-[0-9a-f]{8}\.part")
_FORBIDDEN = frozenset('/\\:*?"<>|')
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.I)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")

_ROOM = "Make room, or name another folder with --to"
_RIGHTS = "Allow writing there, or name another folder with --to"
_HINTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _RIGHTS),
}
_OTHER_HINT = "Check the disk and its connection, or name another folder with --to"


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one file of a card.

    `state`: one of `COPIED`, `not_recorded`, `problem` (nothing that could be recorded) or
    `unreadable` now; `target`: its copy, relative to the archive, '' without one; `size`: bytes.
    """

    relative: bytes
    state: str
    target: str = ""
    size: int = 0
    detail: str = ""

    @property
    def name(self) -> str:
        """Relative path as safe text."""
        return display_name(self.relative)


def archive(root: Path, to: Path, *, views: Views, layout: str = "station/date") -> Iterator[Kept]:
    """Copy every recorded photo below `root` into `to`, in the order of the card.

    `views` are those of `audit.views_of`, `layout` is a key of `LAYOUTS`. What is not recorded or
    cannot be read is left out. Raises `InputError` where `to` and the card lie in each other, `to`
    cannot be written or the card goes away; `BusyError` where another trapsort writes to `to`;
    `DatabaseError` for a database that fails.
    """
    card = card_of(root)
    folder = Path(card.root)
    for inner, outer in ((to, folder), (folder, to)):
        if _lies_in(inner, outer):
            raise InputError(
                f"{inner} lies inside {outer}: nothing is written to a card.",
                "Name another folder with --to.",
            )
    work = _Archive(card, to, views, layout)
    for item in scan(root):
        work.files_left += 1
        work.bytes_left += item.size if isinstance(item, Photo) else 0
    with work.told():
        _make_folder(to)
        work.to = to.resolve(strict=True)
    items = scan(root)
    with _alone(work.to):
        while handful := list(islice(items, AT_ONCE)):
            places = views.places(item.relative for item in handful)
            problems = views.problems(item.relative for item in handful)
            for item in handful:
                here, problem = places.get(item.relative, []), problems.get(item.relative)
                if (kept := work.keep(item, here, problem)) is not None:
                    yield kept
                work.files_left -= 1
                work.bytes_left -= item.size if isinstance(item, Photo) else 0


@dataclass(slots=True)
class _Archive:
    """One card on its way into an archive."""

    card: Card
    to: Path
    views: Views
    layout: str
    files_left: int = 0
    bytes_left: int = 0
    cards: dict[int, CardRow] = field(default_factory=dict)
    ready: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cards = {row.id: row for row in self.views.store.cards()}

    def keep(
        self, item: Photo | Problem, here: Sequence[PlaceRow], problem: OpenProblem | None
    ) -> Kept | None:
        """Copy one file, if it is a recorded photo; None where it went away since the scan."""
        if isinstance(item, Problem):
            return Kept(item.relative, "problem", detail=item.reason)
        try:
            content = read_content(item)
        except PhotoError as error:
            self.card.check_is_there()
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            state = "unreadable" if problem is None else "problem"
            return Kept(item.relative, state, detail=f"{error.reason}: {error.detail}")
        original = self.views.store.originals([content.sha256]).get(content.sha256)
        if original is None:
            if problem is not None:
                return Kept(item.relative, "problem", detail=problem[0])
            return Kept(item.relative, "not_recorded", detail=NOT_RECORDED)
        owner = self._owner(content, here, original)
        *folders, name = map(safe_name, item.relative.split(b"/"))
        with self.told():
            folder = self._folder(LAYOUTS[self.layout](owner, _day(original), folders))
            target, is_new = _copy(content, folder, name)
        state = "copied" if is_new else "already_there"
        shown = display_name(os.fsencode(target.relative_to(self.to)))
        return Kept(item.relative, state, shown, item.size)

    def _owner(self, content: Content, here: Sequence[PlaceRow], original: Original) -> str:
        """The station of the card that a photo was seen on, this one if it was, or its name."""
        mine = (place.card_id for place in here if place.sha256 == content.sha256)
        row = self.cards.get(next(mine, original.card_id or 0))
        if row is None:
            return safe_name(os.fsencode(self.card.root.name or "card"))
        name = PurePath(row.root).name or "card"
        return safe_name((row.station or "-".join(filter(None, (name, row.volume)))).encode())

    def _folder(self, names: list[str]) -> Path:
        """A folder of the archive, there and without what an interrupted run left in it."""
        key = tuple(names)
        if key not in self.ready:
            path = self.to
            for name in names:
                path = path / name
                _make_folder(path)
                if not path.resolve().is_relative_to(self.to):
                    raise InputError(
                        f"{path} leads out of {self.to}.", "Remove that link, or name another --to."
                    )
            for entry in list(os.scandir(path)):
                if _PART.fullmatch(entry.name):
                    Path(entry).unlink(missing_ok=True)
            if len(self.ready) > MOST_FOLDERS:
                self.ready.clear()
            self.ready[key] = path
        return self.ready[key]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what goes wrong in the archive into an `InputError` that says what is missing."""
        try:
            yield
        except OSError as error:
            free = ""
            with suppress(OSError):
                free = f" and {shutil.disk_usage(self.to).free / 1e6:,.1f} MB are free there"
            raise InputError(
                f"cannot write to {self.to}: {error.strerror or error}; {self.files_left:,} files"
                f" ({self.bytes_left / 1e6:,.1f} MB) are still to be looked at{free}.",
                f"{_HINTS.get(error.errno or 0, _OTHER_HINT)}, then run the same again: what was"
                " copied is whole and is kept.",
            ) from error


def safe_name(raw: bytes) -> str:
    """Return a file name of any system as one that no system takes for a path or a device.

    What cannot be printed or means something in a path becomes `_`; at most `MAX_NAME` bytes.
    """
    text = raw.decode("utf-8", "surrogateescape")
    text = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in text)
    encoded = text.encode()
    if len(encoded) > MAX_NAME:
        suffix = PurePath(text).suffix.encode()
        suffix = suffix if len(suffix) <= MAX_SUFFIX else b""
        text = (encoded[: MAX_NAME - len(suffix)]).decode("utf-8", "ignore") + suffix.decode()
    text = re.sub(r"^\.|[. ]+$", "_", text)
    return f"_{text}" if not text or _RESERVED.fullmatch(text) else text


def _day(original: Original) -> str:
    day = (original.camera_time or "")[:10]
    return day if _DAY.fullmatch(day) else UNDATED


def _lies_in(inner: Path, outer: Path) -> bool:
    """Whether a folder is another or lies below it, by any way and even if it is not there yet."""
    folder = inner.resolve()
    for each in (folder, *folder.parents):
        with suppress(OSError):
            if each.samefile(outer):
                return True
    return False


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Keep other archiving off a folder; where the system has no such lock, go on without."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(to, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another trapsort archives to {to}", "wait for it to end, then try again"
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def sentence(states: Mapping[str, int], copied_bytes: int) -> str:
    """'25 files: 23 copied (41.2 MB), 0 already there, 2 left out'.

    `states`: how many files have each state.
    """
    copied, there = (states.get(state, 0) for state in COPIED)
    files = sum(states.values())
    return (
        f"{files:,} file{'' if files == 1 else 's'}: {copied:,} copied"
        f" ({copied_bytes / 1e6:,.1f} MB), {there:,} already there,"
        f" {files - copied - there:,} left out"
    )


# One copy --------------------------------------------------------------------------------------


def _copy(content: Content, folder: Path, name: str) -> tuple[Path, bool]:
    """Return where a content is kept in a folder, and whether it was not there before."""
    digest, base = content.sha256.hex(), PurePath(name)
    for digits in DIGEST_DIGITS:
        mark = f"-{digest[:digits]}" if digits else ""
        target = folder / f"{base.stem}{mark}{base.suffix}"
        if not os.path.lexists(target) and _write(content, target):
            return target, True
        if _holds(target, content):
            return target, False
    raise OSError(errno.EIO, f"{target.name} is no longer what its name says")


def _holds(path: Path, content: Content) -> bool:
    status = path.lstat()
    is_alike = stat.S_ISREG(status.st_mode) and status.st_size == len(content.data)
    return is_alike and _digest(path) == content.sha256


def _write(content: Content, target: Path) -> bool:
    """Make a whole, verified file; False where the name was taken meanwhile."""
    part = target.with_name(f".trapsort-{secrets.token_hex(4)}.part")
    modified = content.photo.mtime_ns
    try:
        with part.open("xb") as file:
            file.write(content.data)
            file.flush()
            os.utime(part, ns=(modified, modified))
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # read back from the disk, not from memory
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if _digest(part) != content.sha256:
            raise OSError(errno.EIO, "what was written reads back as something else")
        _name(part, target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            return False
        raise
    _sync_folder(target.parent)
    return True


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _name(part: Path, target: Path) -> None:
    """Give a file its name, at once and never over another; raises FileExistsError."""
    if os.name != "nt":  # there, a rename replaces nothing
        try:
            target.hardlink_to(part)
        except FileExistsError:
            raise
        except OSError as error:  # FAT and many shares have no links
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, "File exists") from error
        else:
            part.unlink()
            return
    part.rename(target)


def _make_folder(path: Path) -> None:
    """Make a folder, and those above it, that are not there."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last; Windows has no such call, some shares refuse it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
