"""Where an export goes: never onto a card, and whole or not there."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from trapsort.errors import InputError

if TYPE_CHECKING:
    from trapsort.store import Store

CAMERA_FOLDER = "DCIM"
"""What a camera makes at the top of a card (JEITA CP-3461, the DCF standard)."""


def check_place(out: Path, store: Store | None = None) -> None:
    """Refuse a place on a card: one that was taken in, or any folder below one with `DCIM`.

    Raises:
        InputError: it names the card.
    """
    place = Path(os.path.abspath(out)).resolve()  # noqa: PTH100 - a link's own place counts too
    roots = {Path(card.root).resolve() for card in store.cards()} if store else set()
    for folder in (place, *place.parents):
        if folder in roots or (folder / CAMERA_FOLDER).is_dir():
            raise InputError(
                f"{out} lies on the card {folder}: nothing is written to a card.",
                "Name a place on this computer's own disk with --out.",
            )


@contextmanager
def new_folder(out: Path, *, force: bool, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give a folder to write into that becomes `out` at the end, or vanishes after any exception.

    A folder that is there and not empty is replaced only with `force`, and only where each of its
    files `is_ours`.

    Raises:
        InputError: there is something else, or it cannot be written.
    """
    check_free(out, force=force, is_ours=is_ours)
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    with told(out):
        part.mkdir(parents=True)
    try:
        with told(out):
            yield part
            _swap(part, out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def check_free(out: Path, *, force: bool, is_ours: Callable[[Path], bool] | None = None) -> None:
    """Refuse what is there: a file without `force`, a folder that holds what is not ours.

    `is_ours` is None where a file is to be written.

    Raises:
        InputError: it says what is there.
    """
    if is_ours is None:
        if out.is_dir():
            raise InputError(f"{out} is a folder", "name a file with --out")
        if out.is_file() and not force:
            raise InputError(f"{out} is there already", "--force replaces it")
        return
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file", "name a folder with --out")
    found = sorted(each for each in out.rglob("*") if not each.is_dir())
    strange = next((each for each in found if not is_ours(each)), None)
    if strange is not None:
        raise InputError(
            f"{out} holds {strange.relative_to(out)}, which is none of this export",
            "name another folder with --out: this one would be replaced as a whole",
        )
    if found and not force:
        raise InputError(f"{out} holds an export already", "--force replaces it")


@contextmanager
def told(out: Path) -> Iterator[None]:
    """Turn what goes wrong while writing into an `InputError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror or error}",
            "make room, allow writing there or choose another place with --out; what was there"
            " before is unchanged",
        ) from error


def sync(folder: Path) -> None:
    """Make the names in a folder last; some systems (Windows) have no such call for folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(part: Path, out: Path) -> None:
    sync(part)
    old = None
    if out.exists():
        old = out.with_name(f".{out.name}.{secrets.token_hex(4)}.old")
        out.rename(old)
    try:
        part.rename(out)
    except OSError:
        if old is not None:
            old.rename(out)
        raise
    sync(out.parent)
    if old is not None:
        shutil.rmtree(old)


_QUOTED = re.compile(r'["\r\n]')  # what makes a cell one in quotes, beside the comma


class Table:
    """A CSV file that is being written row by row: RFC 4180, `\\n` line ends, UTF-8.

    Exact cells, also such as begin with `=`: other programs look them up.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self._file = path.open("x", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)
        self.rows = 0

    def add(self, row: Iterable[Any]) -> None:
        """Write a row; None is an empty cell."""
        self._writer.writerow(row)
        self.rows += 1

    def add_all(self, rows: Sequence[Iterable[Any]]) -> None:
        """Write rows."""
        self._writer.writerows(rows)
        self.rows += len(rows)

    def add_texts(self, rows: Iterable[Sequence[str]]) -> None:
        """Write rows whose cells are all text: the same bytes as `add_all`, several times faster.

        Most rows need no quotes, which shows in the whole line at once; cell by cell it is long.
        """
        for row in rows:
            line = ",".join(row)
            if line.count(",") == len(row) - 1 and not _QUOTED.search(line):
                self._file.write(f"{line}\n")
            else:
                self._writer.writerow(row)
            self.rows += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
