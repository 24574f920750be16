"""An Excel workbook: sightings, species and deployments on sheets of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapsort.interchange.exported import Exported
from trapsort.interchange.names import taxon_of
from trapsort.interchange.place import check_free, check_place, sync, told
from trapsort.interchange.sites import Sites
from trapsort.interchange.streamed import captures
from trapsort.redlist import COLOURS, red_list

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

    from trapsort.interchange.xlsx_rows import RowSheet
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Capture

SIGHTINGS = (
    *("station", "deployment", "time", "species", "scientific_name", "iucn", "count"),
    *("probability", "reason", "reviewed", "card", "path"),
)
SPECIES = ("species", "scientific_name", "iucn", "photos", "reviewed", "stations")
DEPLOYMENTS = (
    *("deployment", "station", "latitude", "longitude", "start", "end", "photos"),
    "coordinatePrecision",  # degrees to which the position is rounded
)
WIDTHS = {"path": 34, "card": 24, "time": 20, "scientific_name": 26, "start": 26, "end": 26}
USUAL_WIDTH = 15
MOST_ROWS = 1_048_576  # of a sheet, the header among them


def export(
    store: Store,
    query: SightingQuery,
    out: Path,
    *,
    precision: float | None = None,
    force: bool = False,
) -> Exported:
    """Write one workbook; `precision` in degrees, None by the most threatened species of a place.

    Text is text: nothing in it is run as a formula.

    Raises:
        InputError: `out` cannot be written.
    """
    import xlsxwriter

    check_place(out, store)
    check_free(out, force=force)
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    options = {"constant_memory": True, "strings_to_urls": False, "tmpdir": str(out.parent)}
    try:
        with told(out):
            with xlsxwriter.Workbook(part, options) as book:
                work = _Book(book, query.red_list)
                exported = work.fill(store, query, precision)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(out)
            sync(out.parent)
    except xlsxwriter.exceptions.FileCreateError as error:
        with told(out):
            raise OSError(None, str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return exported


class _Book:
    """The sheets of a workbook, written row by row."""

    def __init__(self, book: Workbook, listed: str) -> None:
        self._book = book
        self._listed = red_list(listed)
        self._bold = book.add_format({"bold": True, "bottom": 1})
        dark = ("EX", "EW", "RE", "CR")
        self._colours = {
            category: book.add_format(
                {"bg_color": colour, "font_color": "#FFFFFF" if category in dark else "#000000"}
            )
            for category, colour in COLOURS.items()
        }

    def fill(self, store: Store, query: SightingQuery, precision: float | None) -> Exported:
        """Write all sheets."""
        sites = Sites.of(store, precision)
        photos: Counter[str] = Counter()
        reviewed: Counter[str] = Counter()
        stations: dict[str, set[str]] = {}

        def rows() -> Iterator[tuple[Any, ...]]:
            for capture in captures(store, query, order="deployment"):
                if capture.time is not None:
                    sites.of_photo(capture).add(capture)
                label = capture.label or ""
                photos[label] += 1
                reviewed[label] += bool(capture.reviewed)
                stations.setdefault(label, set()).add(capture.station or "")
                yield self._sighting(capture)

        self._write("Sightings", SIGHTINGS, rows())
        self._write("Species", SPECIES, self._species(photos, reviewed, stations))
        self._write("Deployments", DEPLOYMENTS, _deployments(sites))
        notes = [note for note in sites.notes if "left out" not in note]
        return Exported(photos=photos.total(), notes=tuple(notes))

    def _sighting(self, capture: Capture) -> tuple[Any, ...]:
        return (
            capture.station,
            capture.deployment,
            (capture.time or "").replace("T", " "),
            *self._names(capture.label),
            capture.individuals,
            None if capture.probability is None else round(capture.probability, 4),
            capture.reason,
            "yes" if capture.reviewed else "",
            capture.card,
            capture.path,
        )

    def _names(self, label: str | None) -> tuple[str, str, str]:
        if label is None:
            return ("", "", "")
        return (label, taxon_of(label).scientific_name, self._listed.category(label) or "")

    def _species(
        self, photos: Counter[str], reviewed: Counter[str], stations: dict[str, set[str]]
    ) -> Iterator[tuple[Any, ...]]:
        for label, number in sorted(photos.items(), key=lambda item: (item[0] == "", item[0])):
            where = len(stations[label] - {""})
            yield (*self._names(label or None), number, reviewed[label], where)

    def _write(self, name: str, columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
        """Write rows to a sheet, and to further ones where it is full."""
        sheet, number, at = self._sheet(name, columns), 1, 1
        coloured = columns.index("iucn") if "iucn" in columns else None
        plain: tuple[Format | None, ...] = (None,) * len(columns)
        for row in rows:
            if at == MOST_ROWS:
                number += 1
                sheet, at = self._sheet(f"{name} {number}", columns), 1
            formats = plain
            if coloured is not None and row[coloured] in self._colours:
                formats = (*plain[:coloured], self._colours[row[coloured]], *plain[coloured + 1 :])
            sheet.add_row(at, row, formats)
            at += 1

    def _sheet(self, name: str, columns: Sequence[str]) -> RowSheet:
        from trapsort.interchange.xlsx_rows import RowSheet

        sheet: RowSheet = self._book.add_worksheet(name, RowSheet)
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, WIDTHS.get(column, USUAL_WIDTH))
            sheet.write_string(0, place, column, self._bold)
        return sheet


def _deployments(sites: Sites) -> Iterator[tuple[Any, ...]]:
    for site in sites.used:
        place = (None, None) if site.exact is None else site.position
        span = (site.start.replace("T", " "), site.end.replace("T", " "))
        precision = (site.exact and site.precision) or None  # none of no place, or an exact one
        yield (site.name, site.station, *place, *span, site.photos, precision)
