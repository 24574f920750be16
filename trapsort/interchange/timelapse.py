"""A CSV file that Timelapse merges into an image set (File, Import data from a CSV file).

Timelapse refuses a header that the template lacks, so only the two that name a photo are there
unless the user names columns of the template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.errors import InputError
from trapsort.interchange.card_paths import CardPaths
from trapsort.interchange.exported import Exported
from trapsort.interchange.names import common_name, taxon_of
from trapsort.interchange.place import check_free, check_place
from trapsort.interchange.streamed import captures
from trapsort.interchange.table_text import exact_line
from trapsort.reports.csv_file import write_lines

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Capture

NAMING = ("File", "RelativePath")
FIELDS: dict[str, Callable[[Capture], str]] = {
    "species": lambda c: common_name(c.label) if c.label else "",
    "scientific_name": lambda c: taxon_of(c.label).scientific_name if c.label else "",
    "count": lambda c: "" if c.individuals is None else str(c.individuals),
    "probability": lambda c: "" if c.probability is None else f"{c.probability:.4f}",
    "reason": lambda c: c.reason or "",
    "reviewed": lambda c: "true" if c.reviewed else "false",
    "reviewer": lambda c: c.reviewer or "",
    "model": lambda c: c.model or "",
    "station": lambda c: c.station or "",
    "deployment": lambda c: c.deployment or "",
    "time": lambda c: (c.time or "").replace("T", " "),
    "note": lambda c: c.note,
}
"""What a column of the template may take; flags and times as Timelapse writes them."""


def parse_columns(given: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=FIELD` pairs; raises InputError for another form, field or a name twice."""
    columns: dict[str, str] = {}
    for text in given:
        name, separator, field = text.rpartition("=")
        if not separator or not name or field not in FIELDS:
            raise InputError(
                f"--column {text!r} is not NAME=FIELD",
                f"NAME is a data label of your template, FIELD one of {', '.join(FIELDS)}",
            )
        if name in columns or name in NAMING:
            raise InputError(f"the column {name} is given twice", "each column once")
        columns[name] = field
    return columns


def export(
    store: Store,
    query: SightingQuery,
    out: Path,
    *,
    columns: Mapping[str, str],
    force: bool = False,
) -> Exported:
    """Write one file; `columns`: data label of the template -> a key of `FIELDS`.

    Raises:
        InputError: two photos have the same path, or `out` cannot be written.
    """
    check_place(out, store)
    check_free(out, force=force)
    paths = CardPaths.of(store, query)
    fields = [FIELDS[name] for name in columns.values()]
    photos = 0

    def line(capture: Capture) -> str:
        nonlocal photos
        photos += 1
        folder, _, name = paths.relative(capture).rpartition("/")
        place = (name, folder.replace("/", "\\"))  # a program of Windows compares it as text
        return exact_line((*place, *(field(capture) for field in fields)))

    def lines() -> Iterator[str]:
        yield exact_line((*NAMING, *columns))
        yield from map(line, captures(store, query, order="path"))

    write_lines(out, lines())
    note = f"the image set's root folder is {paths.base}"
    return Exported(photos=photos, notes=(note,))
