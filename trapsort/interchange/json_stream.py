"""JSON files of any length, an entry of their long list at a time, in little memory.

Nothing is believed before the file was read to its end: a reader goes over it once to check it and
once more for what it says.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from trapsort.errors import InputError
from trapsort.scan import check_root

AT_ONCE = 1 << 20  # characters
LARGEST = 1 << 24  # characters of one entry; a photo's is about a thousand
_BEGIN = object()  # in place of the list itself
_SPACE = re.compile(r"[ \t\n\r]*")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A JSON object whose member `entries` is a long list; `head` holds its other members."""

    path: Path
    entries: str
    head: dict[str, Any]
    stamp: tuple[int, int, int]

    def read(self) -> Iterator[Any]:
        """The entries in their order; raises `InputError` where the file has changed."""
        with _opened(self.path) as file:
            if _stamp(file) != self.stamp:
                raise InputError(f"{self.path} changed while it was read.", "Try again.")
            for key, value in _members(_Text(file), self.entries):
                if key == self.entries and value is not _BEGIN:
                    yield value


def open_json(path: Path, entries: str) -> JsonFile:
    """Read a file to its end and return it; raises `InputError` for what is no such object."""
    head: dict[str, Any] = {}
    with _opened(path) as file:
        for key, value in _members(_Text(file), entries):
            if key != entries or value is _BEGIN:
                if key in head:
                    raise ValueError(f"it holds {key!r} twice")
                head[key] = value
        if head.pop(entries, None) is not _BEGIN:
            raise ValueError(f"it holds no list {entries!r}")
        return JsonFile(path, entries, head, _stamp(file))


def _members(text: _Text, entries: str) -> Iterator[tuple[str, Any]]:
    """Key and value of each member; of the list `entries` `_BEGIN`, then each entry."""
    text.take("{")
    ended = text.peek() == "}" and bool(text.take("}"))
    while not ended:
        key = text.value()
        text.take(":")
        if key == entries and text.peek() == "[":
            yield key, _BEGIN
            yield from ((key, value) for value in _elements(text))
        else:
            yield str(key), text.value()
        ended = text.take(",}") == "}"
    if text.peek():
        raise ValueError("it goes on behind its end")


def _elements(text: _Text) -> Iterator[Any]:
    text.take("[")
    ended = text.peek() == "]" and bool(text.take("]"))
    while not ended:
        yield text.value()
        ended = text.take(",]") == "]"


class _Text:
    """The text of a file from where it was read to; errors are `ValueError`."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0

    def _more(self) -> bool:
        rest = self._text[self._at :]
        data = self._file.read(max(AT_ONCE, len(rest)))  # doubled: a long value is read log times
        self._text, self._at = rest + data, 0
        return bool(data)

    def peek(self) -> str:
        """The next character that is no space; '' at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, allowed: str) -> str:
        """The next character, one of those that are allowed."""
        found = self.peek()
        if not found:
            raise ValueError("it ends too early")
        if found not in allowed:
            raise ValueError(f"{found!r} stands where {' or '.join(allowed)} is due")
        self._at += 1
        return found

    def value(self) -> Any:
        """The next whole value."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at <= LARGEST and self._more():
                    continue
                # At the end of what there is, or in a word that is not whole: true, false, null.
                cut = "Unterminated" in error.msg or error.pos >= len(self._text.rstrip()) - 4
                unsaid = cut and "control" not in error.msg
                raise ValueError("it ends too early" if unsaid else error.msg) from error
            if end < len(self._text) or not self._more():  # a number might go on
                self._at = end
                return value


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """A text file; what is wrong with it as an `InputError`."""
    check_root(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file.", "Give a file: it is read twice.")
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check it.") from error
    except (ValueError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        if isinstance(error, RecursionError):
            why = "it nests too deep"
        raise InputError(
            f"{path} is no JSON file of results, or not all of it: {why}.",
            "Copy it again or have it written anew; nothing was recorded.",
        ) from error


def _stamp(file: TextIO) -> tuple[int, int, int]:
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_size, status.st_mtime_ns
