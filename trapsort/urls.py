"""Folders and files that have a URL: s3, gcs, sftp and whatever else fsspec opens; its only home.

Nothing here writes. How to log in is the business of each file system (environment, configuration
files, keys), never of the URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from trapsort.errors import InputError

_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "sftp": "paramiko",
    "ssh": "paramiko",
}
_LOCAL = ("file", "local")
_VERSIONS = ("ETag", "etag", "generation", "version_id", "content_md5")
_TIMES = ("LastModified", "mtime", "last_modified", "updated", "modified", "created")


class Url(str):
    """The URL of a folder or file, without a slash at its end; below it `/` leads on, as in a path.

    Made by `url_of`, which checks it.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """Its last part."""
        return self.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        """The folder that it lies in."""
        return Url(self.rpartition("/")[0])

    def __truediv__(self, below: str) -> Url:
        return Url(f"{self}/{below}")

    def is_dir(self) -> bool:
        """Whether it is a folder that can be seen now."""
        try:
            return status_of(self).kind == "directory"
        except (OSError, InputError):
            return False


@dataclass(frozen=True, slots=True)
class UrlStatus:
    """What a file system says of a name, without opening it.

    kind: `directory`, `file`, `link` or `other`; size: bytes; mtime_ns: modification time, ns since
    1970, 0 where it is not known; version: ETag or the like, which changes with the content, ''
    where there is none.
    """

    kind: str
    size: int
    mtime_ns: int
    version: str

    def is_same(self, other: UrlStatus) -> bool:
        """Whether nothing says that the file was written between two looks.

        Versions decide where both are known: listings may round times.
        """
        if self.version and other.version:
            return (self.size, self.version) == (other.size, other.version)
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


def is_url(text: str) -> bool:
    """Whether a text names something by URL and not by path."""
    return "://" in text


def url_of(text: str) -> Url:
    """Check a URL and return it; raises `InputError` for one that cannot be opened here."""
    parts = urlsplit(text)
    shown = _shown(text)
    if "::" in text:
        raise InputError(f"{shown} joins several URLs.", "Give the URL of the photos alone.")
    if parts.scheme in _LOCAL:
        raise InputError(f"{shown} is on this machine.", "Give it as a path.")
    if parts.password is not None:
        raise InputError(
            f"{shown} holds a password, which would stay in the record and in logs.",
            "Keep it where the file system looks for it: a key file, ~/.aws, the environment.",
        )
    url = Url(text.rstrip("/"))
    _file_system(url)
    return url


def _shown(text: str) -> str:
    """A URL as messages name it: never with a password."""
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def status_of(url: Url) -> UrlStatus:
    """What is at a URL; raises `OSError`."""
    system, path = _file_system(url)
    with _as_os_errors():
        system.invalidate_cache(path)
        return _status(system.info(path))


def list_folder(url: Url) -> dict[str, UrlStatus]:
    """Names in a folder, each with its status; raises `OSError`."""
    system, path = _file_system(url)
    with _as_os_errors():
        system.invalidate_cache(path)
        entries = system.ls(path, detail=True)
        system.invalidate_cache(path)  # else every listing stays in memory
    here = path.strip("/")
    found = {}
    for entry in entries:
        inside = str(entry["name"]).strip("/")
        if inside != here:  # object stores list a folder's own empty marker
            found[inside.rpartition("/")[2]] = _status(entry)
    return found


def read_url(url: Url, *, start: int = 0, end: int) -> bytes:
    """Bytes of a file from `start` up to `end`, fewer where it ends before; raises `OSError`.

    One request for that range, where the file system knows ranges: a file that grew meanwhile
    takes no more memory than it said.
    """
    system, path = _file_system(url)
    with _as_os_errors():
        data: bytes = system.cat_file(path, start=start, end=end)
    return data


def _file_system(url: Url) -> tuple[Any, str]:
    """What opens a URL, the same object each time, and the path that it knows the file by."""
    try:
        import fsspec
    except ImportError as error:
        raise InputError(
            f"{_shown(url)} needs fsspec.", 'Install it: pip install "trapsort[cluster]"'
        ) from error
    scheme = urlsplit(url).scheme
    try:
        with _as_os_errors():
            system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(scheme, "")
        install = f": pip install {package}" if package else f"; it says: {error}"
        raise InputError(f"{_shown(url)} needs another package.", f"Install it{install}") from error
    except ValueError as error:
        raise InputError(
            f"{_shown(url)} cannot be opened: {error}.", "Check how it is written."
        ) from error
    except OSError as error:  # no such host, no permission
        raise InputError(
            f"{_shown(url)} cannot be opened: {error}.", "Check the address and how to log in."
        ) from error
    return system, str(path)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Make an `OSError` of what file systems raise: their libraries have no common base for it."""
    try:
        yield
    except (OSError, ImportError, ValueError, MemoryError):
        raise
    except Exception as error:
        raise OSError(" ".join(f"{type(error).__name__}: {error}".split())[:200]) from error


def _status(info: Mapping[str, Any]) -> UrlStatus:
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), "")
    time = next((info[key] for key in _TIMES if info.get(key)), None)
    kind = str(info.get("type") or "other")
    return UrlStatus(kind, int(info.get("size") or 0), _nanoseconds(time), version.strip('"'))


def _nanoseconds(time: object) -> int:
    """A file system's time, of whatever type, as ns since 1970; 0 where it cannot be told."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return 0
    if isinstance(time, datetime):
        moment = time if time.tzinfo else time.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    return round(time * 10**6) * 1000 if isinstance(time, int | float) else 0
