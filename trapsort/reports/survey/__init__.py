"""The survey report: one HTML file for people, its figures and tables as files of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import encoded, write_lines, write_whole
from trapsort.reports.survey.data import Asked, gather

if TYPE_CHECKING:
    from trapsort.bundle import Bundle
    from trapsort.ensemble import Classifier
    from trapsort.reports.survey.part import Part
    from trapsort.reports.survey.tables import Table
    from trapsort.store import Store

__all__ = ["Asked", "SurveyReport", "survey_report", "write_figures", "write_tables"]


@dataclass(frozen=True, slots=True)
class SurveyReport:
    """A report: the page, its figures by name, its tables, and what the workbook says of itself."""

    html: str
    parts: dict[str, Part]
    tables: tuple[Table, ...]
    about: tuple[tuple[str, str], ...]

    def write(self, path: Path) -> None:
        """Write the page; raises InputError where it cannot be written."""
        write_whole(path, [encoded(self.html)])

    def write_workbook(self, path: Path) -> None:
        """Write every table as a sheet of one XLSX file; raises InputError."""
        from trapsort.reports.survey.tables import workbook

        write_whole(path, [workbook(self.about, self.tables)])


def survey_report(
    store: Store,
    asked: Asked,
    *,
    title: str,
    made: date | None = None,
    photos: int = 0,
    classifier: Callable[[], Classifier | None] = lambda: None,
    bundle: Callable[[], Bundle | None] = lambda: None,
) -> SurveyReport:
    """Make the report of what counts; the same record and wishes give the same bytes.

    `made` is printed as its date; `photos` is how many examples it shows at most. `classifier` and
    `bundle` are called only where they are needed: for heat maps, and for the model's own figures
    where nobody has reviewed anything.
    """
    from trapsort.reports.silent import silences
    from trapsort.reports.survey import page, reliability, summary
    from trapsort.reports.survey.examples import examples
    from trapsort.reports.survey.parts import parts_of

    survey = gather(store, asked)
    trusted = reliability.from_reviews(survey.judged) or reliability.from_bundle(bundle())
    parts = parts_of(survey, trusted)
    last = max((each.day for each in survey.photo_days), default=None)
    silent = (
        silences(store.deployments(), survey.photo_days, date.fromisoformat(last)) if last else []
    )
    attention = summary.attention(
        survey,
        problems=sum(1 for _ in store.problems()),
        unmatched=store.undeployed(),
        silent=silent,
    )
    species = [(row["species"], row["iucn"]) for row in survey.species.to_dict("records")]
    wanted = bool(photos and species)
    shown = examples(
        store, survey.detections, species, classifier() if wanted else None, most=photos
    )
    html = page.render(survey, parts, shown, list(attention), title=title, made=made)
    tables = (
        page.species_table(survey),
        page.station_table(survey),
        *(part.table for part in parts.values() if part.table is not None),
    )
    about = (("title", title), ("period", summary.period(survey)), *page.methods(survey))
    return SurveyReport(html, parts, tables, about)


def write_figures(parts: Sequence[Part], folder: Path) -> list[Path]:
    """Write each figure that there is as PNG and SVG; return the files; raises InputError."""
    from trapsort.reports.survey.style import png_of, svg_of

    written = []
    for part in parts:
        if part.draw is None:
            continue
        for suffix, data in (("png", png_of(part.draw)), ("svg", svg_of(part.draw).encode())):
            path = folder / f"{part.name}.{suffix}"
            write_whole(path, [data], make_folder=True)
            written.append(path)
    return written


def write_tables(report: SurveyReport, folder: Path) -> list[Path]:
    """Write each table as CSV, and about.csv with their rules; return them; raises InputError."""
    from trapsort.reports.csv_file import csv_line
    from trapsort.reports.survey.tables import csv_lines

    about = folder / "about.csv"
    write_lines(about, map(csv_line, (("what", "how"), *report.about)), make_folder=True)
    written = [folder / f"{table.name}.csv" for table in report.tables]
    for path, table in zip(written, report.tables, strict=True):
        write_lines(path, csv_lines(table), make_folder=True)
    return [about, *written]
