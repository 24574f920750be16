"""Walk a card: every regular file once, in path order, without following or opening anything.

Nothing here writes to a card or looks into a file: what a file holds is decided later.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trapsort.errors import InputError
from trapsort.urls import Url, UrlStatus, list_folder, status_of

REASONS: dict[str, str] = {
    "empty": "The file has no bytes; copy it again from the card if the original is larger.",
    "not_an_image": "The content is not that of a photo; nothing is to be done unless it was one.",
    "unsupported": "The format is not read; convert the file to JPEG and ingest that.",
    "truncated": "The end of the photo is missing; copy it again from the card.",
    "too_large": "The photo is larger than any camera trap's; scale it down if it is wanted.",
    "unreadable": "The system could not read it; check the card and permissions, ingest again.",
    "changed": "The file changed while it was read; ingest again when the copying has ended.",
    "link": "Links are not followed; ingest the folder that it points to.",
    "special_file": "This is a pipe, socket or device, which cannot hold a photo; remove it.",
    "decode_failed": "The content is damaged; copy it again from the card.",
    "no_memory": "Memory ran out on this photo; close other programs or lower --workers, repeat.",
    "fatal": "trapsort itself ended, again and again, while it decoded this photo; convert it with"
    " another program, and report it to the makers of trapsort with the photo.",
    "failed": "trapsort itself failed on this photo; report it to its makers with the detail.",
    "unclassified": "The model gave no usable answer; report the photo to the bundle's makers.",
}
"""Each reason why a file gave no sighting, and what to do about it."""

_UNFINISHED = (b".part", b".tmp", b".crdownload", b".filepart", b"~")
_SYSTEM = (b"system volume information", b"$recycle.bin", b"lost+found", b"@eadir")
_VOLUMES = Path("/dev/disk/by-uuid")  # Linux: a link to its device for each file system
_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: Windows' folder link, not an S_ISLNK

# Neither a link nor a pipe that took a file's place since it was listed may be followed or block.
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | _FOLDER | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_ATIME = getattr(os, "O_NOATIME", 0)  # reading must not write the time of reading to the card
_STEPWISE = os.open in os.supports_dir_fd and os.scandir in os.supports_fd  # not on Windows
LINKED = (errno.ELOOP, errno.ENOTDIR)
"""What the system says where a link lies on the way that `open_below` goes."""


def display_name(relative: bytes) -> str:
    r"""Path on a card as text that is safe to print.

    Control, format and other unprintable characters become `\n`, `\x1b` or `\u202e`, bytes that
    are not UTF-8 become `\xff`.
    """
    return "".join(
        character if character.isprintable() else _escaped(character)
        for character in relative.decode("utf-8", "surrogateescape")
    )


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class Photo:
    """A regular file on a card, presumably a photo.

    card: the scanned folder, absolute; path: the file, absolute; relative: its path below the
    card as bytes, `/` between folders; size: bytes; mtime_ns: modification time, ns since 1970;
    version: where card and path are URLs, what else changes with the content (an ETag), or ''.
    """

    card: Path | Url
    path: Path | Url
    relative: bytes
    size: int
    mtime_ns: int
    version: str = ""

    @property
    def name(self) -> str:
        """Relative path as safe text."""
        return display_name(self.relative)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something on a card that gave no sighting: `reason` is a key of `REASONS`."""

    card: Path | Url
    relative: bytes
    reason: str
    detail: str

    @property
    def name(self) -> str:
        """Relative path as safe text."""
        return display_name(self.relative)


def check_root(root: Path) -> os.stat_result:
    """Status of a folder or file to scan; raises `InputError` if it is not there or not allowed."""
    try:
        return root.stat()
    except FileNotFoundError as error:
        said = "is a link to nothing" if root.is_symlink() else "does not exist"
        raise InputError(f"{root} {said}.", "Give a folder or a file that exists.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{root} cannot be read: {said}.", "Check the card and your permissions."
        ) from error


@dataclass(frozen=True, slots=True)
class Card:
    """The folder that a scan is about, and which one it is.

    root: absolute, or a URL; identity: device and inode, or nothing; volume: its file system's
    UUID, '' where unknown.
    """

    root: Path | Url
    identity: tuple[int, int]
    volume: str

    @property
    def is_there(self) -> bool:
        """Whether the same folder is still there: a pulled card leaves an empty mount point."""
        if isinstance(self.root, Url):
            return self.root.is_dir()
        try:
            return _identity(self.root.stat()) == self.identity
        except OSError:
            return False

    def check_is_there(self) -> None:
        """Raise `InputError` if the card was pulled out: its files are neither gone nor bad."""
        if not self.is_there:
            raise InputError(
                f"{self.root} went away while it was read.",
                "Insert the card again and repeat the command.",
            )


def check_url(root: Url) -> UrlStatus:
    """What is at a URL that is to be scanned; raises `InputError` as `check_root` does."""
    try:
        return status_of(root)
    except FileNotFoundError as error:
        raise InputError(f"{root} does not exist.", "Give a folder that exists.") from error
    except OSError as error:
        raise InputError(
            f"{root} cannot be read: {error.strerror or error}.",
            "Check the address, the network and your permissions.",
        ) from error


def card_of(root: Path | Url) -> Card:
    """The card that a root is, or that a root which is a file lies on; raises `InputError`."""
    if isinstance(root, Url):
        return Card(root if check_url(root).kind == "directory" else root.parent, (0, 0), "")
    is_folder = stat.S_ISDIR(check_root(root).st_mode)
    top = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would rename a linked card
    folder = top if is_folder else top.parent
    status = check_root(folder)
    return Card(folder, _identity(status), volume_of(status.st_dev))


def volume_of(device: int) -> str:
    """UUID of the file system on a device (`st_dev`); '' where the system does not tell.

    Cards that take turns in one reader share a path; this tells them apart.
    """
    try:
        links = sorted(_VOLUMES.iterdir())
    except OSError:  # no Linux, or a container
        return ""
    return next((link.name for link in links if _is_device(link, device)), "")


def _is_device(link: Path, device: int) -> bool:
    try:
        return link.stat().st_rdev == device
    except OSError:  # pulled out since it was listed
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def scan(root: Path | Url) -> Iterator[Photo | Problem]:
    """All files below `root` in byte order of their paths; a root that is a file gives itself.

    Links and special files, and what cannot be listed, give a `Problem`. Hidden, unfinished
    (`.part`, `.tmp`, `~`, ...) and system files are left out. Memory: the names of one folder and
    of those that it lies in. Raises `InputError`, at once where there is no root, and later where
    the card is pulled out.
    """
    card = card_of(root)
    if isinstance(root, Url):
        if root == card.root:
            return _walk_url(card, root)
        return iter([_classify_url(root.parent, os.fsencode(root.name), check_url(root))])
    top = Path(os.path.abspath(root))  # noqa: PTH100 - as the card's own path
    if top == card.root:
        return _walk(card, top)
    return iter([_classify(top.parent, os.fsencode(top.name), top.lstat())])


def _walk(top: Card, card: Path) -> Iterator[Photo | Problem]:
    below = os.path.join(os.fsencode(card), b"")  # noqa: PTH118 - bytes: names need not be UTF-8
    waiting = [b""]  # paths below the card, next one last; folders end in "/"
    while waiting:
        relative = waiting.pop()
        try:
            if relative and not relative.endswith(b"/"):
                yield _classify(card, relative, os.lstat(below + relative))
            else:
                names = _listing(card, relative)
                names.sort(reverse=True)
                waiting += [relative + name for name in names]
        except OSError as error:
            top.check_is_there()
            # A file that went away since its folder was listed is no problem; a folder's is rare.
            if not isinstance(error, FileNotFoundError):
                place = relative.removesuffix(b"/") or b"."
                if error.errno in LINKED:
                    yield Problem(card, place, "link", "a link or a file took the folder's place")
                else:
                    yield Problem(card, place, "unreadable", error.strerror or str(error))


def _walk_url(top: Card, card: Url) -> Iterator[Photo | Problem]:
    """As `_walk`; a listing tells the status of each file, too."""
    waiting: list[tuple[bytes, UrlStatus | None]] = [(b"", None)]
    while waiting:
        relative, status = waiting.pop()
        if status is not None:
            yield _classify_url(card, relative, status)
            continue
        folder = card / os.fsdecode(relative.removesuffix(b"/")) if relative else card
        try:
            names = [
                (name + b"/" if is_folder else name, None if is_folder else found)
                for name, is_folder, found in (
                    (os.fsencode(name), found.kind == "directory", found)
                    for name, found in list_folder(folder).items()
                )
                if not _is_left_out(name, is_folder)
            ]
            names.sort(key=lambda each: each[0], reverse=True)
            waiting += [(relative + name, found) for name, found in names]
        except OSError as error:
            top.check_is_there()
            if not isinstance(error, FileNotFoundError):
                place = relative.removesuffix(b"/") or b"."
                yield Problem(card, place, "unreadable", error.strerror or str(error))


def _classify_url(card: Url, relative: bytes, status: UrlStatus) -> Photo | Problem:
    if status.kind == "file":
        path = card / os.fsdecode(relative)
        return Photo(card, path, relative, status.size, status.mtime_ns, status.version)
    if status.kind == "link":
        return Problem(card, relative, "link", "a symbolic link")
    return Problem(card, relative, "special_file", "no regular file")


def open_below(folder: Path, relative: bytes, flags: int = _READ) -> int:
    """Open what lies below a folder, for reading; return its descriptor.

    No link is followed on the way, not even one that took a folder's place a moment ago; and the
    time of reading is not written. Raises `OSError`, with an `errno` of `LINKED` for a link.
    """
    if not _STEPWISE:
        return os.open(folder / os.fsdecode(relative), flags)
    *folders, name = relative.split(b"/")
    here = os.open(folder, _STEP)
    try:
        for step in folders:
            below = os.open(step, _STEP | _NO_LINK, dir_fd=here)
            os.close(here)
            here = below
        with suppress(PermissionError):  # only the owner may ask for no time of reading
            return os.open(name or b".", flags | _NO_ATIME, dir_fd=here)
        return os.open(name or b".", flags, dir_fd=here)
    finally:
        os.close(here)


def _listing(card: Path, relative: bytes) -> list[bytes]:
    """Names in a folder that may matter, folders with a "/": so they sort as whole paths do."""
    if not _STEPWISE:
        with os.scandir(card / os.fsdecode(relative)) as entries:
            return _names(entries)
    descriptor = open_below(card, relative, _READ | _FOLDER)
    try:
        with os.scandir(descriptor) as entries:
            return _names(entries)
    finally:
        os.close(descriptor)


def _names(entries: Iterable[os.DirEntry[str]]) -> list[bytes]:
    return [
        name + b"/" if is_folder else name
        for name, is_folder in ((os.fsencode(entry.name), _is_folder(entry)) for entry in entries)
        if not _is_left_out(name, is_folder)
    ]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir(follow_symlinks=False):
        return False
    status = entry.stat(follow_symlinks=False) if os.name == "nt" else None
    return getattr(status, "st_reparse_tag", 0) != _JUNCTION


def _is_left_out(name: bytes, is_folder: bool) -> bool:
    lower = name.lower()
    if lower.startswith(b".") or lower in _SYSTEM:
        return True  # also ._AppleDouble, .rsync.a1B2c3, .Trashes and .Spotlight-V100
    return not is_folder and lower.endswith(_UNFINISHED)


def _classify(card: Path, relative: bytes, status: os.stat_result) -> Photo | Problem:
    """Photo or problem, by what the file system says about the file, never by its name."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        path = card / os.fsdecode(relative)
        return Photo(card, path, relative, status.st_size, status.st_mtime_ns)
    if stat.S_ISLNK(mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION:
        return Problem(card, relative, "link", "a symbolic link")
    kind = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}.get(stat.S_IFMT(mode))
    return Problem(card, relative, "special_file", kind or "a device")
