"""Photos that somebody has named: class folders, or a CSV file with a line for each photo.

Nothing is opened but the CSV file; what it gets wrong is said before any photo is looked at.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trapsort.bundle import REASON_OF_REJECTION
from trapsort.errors import InputError
from trapsort.scan import check_root, display_name, scan

REQUIRED = ("path", "label")
OPTIONAL = ("group", "site", "split")
NEGATIVES = (*REASON_OF_REJECTION, "unknown", "none")
"""Labels of photos that show no species of the bundle, whatever labels the bundle has."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A photo with the label that somebody gave it.

    name: its path as the user wrote it, safe to print; label: one of the bundle's labels or of
    `NEGATIVES`; group (photos that belong together), site and split: as in the CSV file, or ''.
    """

    path: Path
    name: str
    label: str
    group: str = ""
    site: str = ""
    split: str = ""


def read_labelled(source: Path, labels: Sequence[str]) -> list[Labelled]:
    """Labelled photos below class folders, or of a CSV file; `labels` are the bundle's.

    A label may be written in upper or lower case. Raises `InputError` for one that is unknown, for
    a column that is missing, and where there is no photo at all.
    """
    folder = source.is_dir()
    check_root(source)
    known = {label.casefold(): label for label in (*NEGATIVES, *labels)}
    photos = list(_of_folders(source, known) if folder else _of_csv(source, known))
    if not photos:
        where = "below its class folders" if folder else "in it"
        raise InputError(f"{source}: there is no photo {where}.", _layout(labels))
    return photos


def _layout(labels: Iterable[str]) -> str:
    named = ", ".join(label for label in labels if label not in NEGATIVES)
    return (
        "Give a folder with a folder for each label, or a CSV file with the columns path, label. "
        f"The bundle's labels: {named}. For photos of anything else: {', '.join(NEGATIVES)}."
    )


def _check_labels(source: Path, found: Sequence[str], known: dict[str, str]) -> None:
    unknown = [repr(name) for name in dict.fromkeys(found) if name.casefold() not in known]
    if unknown:
        what = "is no label" if len(unknown) == 1 else "are no labels"
        shown = ", ".join(unknown[:20]) + (", ..." if len(unknown) > 20 else "")
        raise InputError(f"{source}: {shown} {what} of the bundle.", _layout(known.values()))


def _of_folders(source: Path, known: dict[str, str]) -> Iterator[Labelled]:
    with os.scandir(source) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    _check_labels(source, names, known)
    for name in names:
        for item in scan(source / name):
            path = source / name / os.fsdecode(item.relative)
            shown = display_name(os.fsencode(path))
            yield Labelled(path, shown, known[name.casefold()])


def _of_csv(source: Path, known: dict[str, str]) -> Iterator[Labelled]:
    rows = _rows(source)
    _check_labels(source, [row["label"] for _, row in rows], known)
    seen: dict[Path, int] = {}
    for line, row in rows:
        path = source.parent / Path(row["path"]).expanduser()
        if path in seen:
            raise InputError(
                f"{source}, line {line}: {row['path']!r} stands in line {seen[path]} already.",
                "Give each photo one line.",
            )
        seen[path] = line
        more = {column: row.get(column, "") for column in OPTIONAL}
        shown = display_name(os.fsencode(row["path"]))
        yield Labelled(path, shown, known[row["label"].casefold()], **more)


def _rows(source: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of each line of a CSV file, path and label never empty."""
    try:
        text = source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}.", "Check it.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} is not a CSV file in UTF-8.",
            "Save it as CSV UTF-8; photos without labels are for trapsort classify.",
        ) from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        for column in REQUIRED:
            if column not in columns:
                raise InputError(
                    f"{source} has no column {column!r}; its first line is {head.strip()[:200]!r}.",
                    f"It needs {' and '.join(REQUIRED)}, and may have {', '.join(OPTIONAL)}.",
                )
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            row = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
            for column in REQUIRED:
                if not row.get(column):
                    raise InputError(
                        f"{source}, line {reader.line_num}: there is no {column}.",
                        "Complete the line or remove it.",
                    )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise InputError(
            f"{source}, line {reader.line_num}: {error}.", "Correct or remove the line."
        ) from error
    return rows
