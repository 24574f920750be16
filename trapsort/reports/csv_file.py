"""CSV text that a spreadsheet cannot run, in files that are whole or not there.

RFC 4180 with `\\n` line ends (as in `sort`, `diff` and git), UTF-8 without a byte-order mark.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, TypeAlias

from trapsort.errors import InputError

Cell: TypeAlias = str | int | float | bool | None

STALE_SECONDS = 3600.0
"""Nobody writes any more to a temporary file of ours that was last written to so long ago."""

_PART = re.compile(r"\.trapsort-[0-9a-f]{8}\.part")

# A spreadsheet takes a cell that begins so for a formula; the apostrophe makes it text again.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: Cell) -> str:
    """Return one cell: None is empty, text is made harmless, our own numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = f"'{value}" if value.startswith(FORMULA_STARTS) else value
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_line(row: Iterable[Cell]) -> str:
    """Return one line of CSV with its line end."""
    return ",".join(map(csv_cell, row)) + "\n"


def encoded(text: str) -> bytes:
    """Return UTF-8; a lone surrogate, from a name that is not UTF-8, becomes its escape."""
    return text.encode("utf-8", "backslashreplace")


def write_lines(path: Path, lines: Iterable[str], *, make_folder: bool = False) -> None:
    """Write text as `write_whole` writes bytes."""
    write_whole(path, map(encoded, lines), make_folder=make_folder)


def write_whole(path: Path, chunks: Iterable[bytes], *, make_folder: bool = False) -> None:
    """Write a file under a temporary name beside it, sync it to the disk, then rename it.

    Whoever reads `path` sees the old file or the whole new one. What a program that was killed
    left beside it is removed. A device or a pipe cannot be replaced and is written straight.

    Raises:
        InputError: the folder is not there or something cannot be written.
    """
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                file.writelines(chunks)
        else:
            _replace(path.resolve(), chunks)  # a link keeps pointing at the file it names
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}",
            "choose another place with --out; a file that was there before is unchanged",
        ) from error


def _replace(path: Path, chunks: Iterable[bytes]) -> None:
    if path.is_dir():
        raise IsADirectoryError(None, "it is a folder")
    _remove_stale(path.parent)
    part = path.with_name(f".trapsort-{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.writelines(chunks)
            _sync(file)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _remove_stale(folder: Path) -> None:
    """Remove temporary files of ours that nobody writes to any more; what cannot be is left."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < time.time() - STALE_SECONDS:
                        Path(entry).unlink()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last; some systems (Windows) have no such call for folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
