"""`trapsort sightings`: list or count what is in the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options
from trapsort.cli.listing import FORMS, Row, format_option, write_listing
from trapsort.cli.options import day_option, open_existing, redlist_option
from trapsort.errors import InputError
from trapsort.reports.sighting_columns import COLUMNS
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.store import Sighting, Store

UNKNOWN = "unknown"  # how people, and the store, name a sighting without a label
# What fits a terminal.
TABLE = ("camera_time", "station", "sighting", "iucn", "probability", "reviewed", "path")


@click.command()
@click.option(
    "--species",
    multiple=True,
    metavar="NAME",
    help="Only this label or scientific name, or 'unknown'; may be repeated.",
)
@click.option(
    "--iucn", multiple=True, metavar="CATEGORY", help="Only this Red List category, e.g. VU."
)
@day_option("--since", help="Only from this day on.")
@day_option("--until", help="Only to this day, included.")
@click.option("--station", metavar="NAME", help="Only this station.")
@click.option(
    "--min-probability", type=click.FloatRange(0, 1), metavar="P", help="Only at least this sure."
)
@click.option("--reason", metavar="CODE", help="Only photos left out for this reason.")
@click.option("--reviewed/--unreviewed", default=None, help="Only with, or without, a review.")
@click.option("--card", metavar="DIR", help="Only from this card.")
@click.option(
    "--count-by",
    type=click.Choice(("species", "station", "day", "iucn")),
    help="Count photos instead of listing them.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N, however many."
)
@format_option(*FORMS)
@redlist_option
@common_options
def sightings(
    settings: Settings,
    /,
    *,
    species: tuple[str, ...],
    iucn: tuple[str, ...],
    since: date | None,
    until: date | None,
    station: str | None,
    min_probability: float | None,
    reason: str | None,
    reviewed: bool | None,
    card: str | None,
    count_by: str | None,
    limit: int | None,
    form: str,
) -> None:
    """List or count the sightings.

    A photo appears once: the newest review if there is one, else what the model used last said of
    it. An empty label means that the model abstained; the reason says why.
    """
    from trapsort.store import SightingQuery

    if count_by and form == "geojson":
        raise InputError("counts have no place on a map", "use another --format with --count-by")
    if count_by and limit is not None:
        raise InputError("--limit says how many to list", "leave it out with --count-by")
    check_codes(iucn, reason)
    query = SightingQuery(
        iucn=tuple(map(str.upper, iucn)),
        since=since,
        until=until,
        station=station,
        min_probability=min_probability,
        reason=reason,
        reviewed=reviewed,
        card=card,
        red_list=settings.red_list,
    )
    with open_existing(settings.db) as store:
        query = replace(query, species=labels_meant(species, store, settings.red_list))
        if count_by:
            write_listing((count_by, "photos"), store.count(query, count_by), form)
            return
        found = store.sightings(query, limit=limit)
        if form == "table":
            write_listing(TABLE, map(_table_row, found), form)
        else:
            write_listing(COLUMNS, _rows(found), form)


def check_codes(categories: tuple[str, ...], reason: str | None) -> None:
    """Refuse a code that does not exist, because nothing would be found for it.

    Raises:
        InputError: it names the codes there are.
    """
    from trapsort.abstentions import REASON_CODES
    from trapsort.redlist import CATEGORIES, UNRANKED

    known = (*CATEGORIES, *UNRANKED)
    for category in categories:
        if category.upper() not in known:
            raise InputError(
                f"there is no Red List category {category}", f"choose from {', '.join(known)}"
            )
    if reason is not None and reason not in REASON_CODES:
        raise InputError(f"there is no reason {reason}", f"choose from {', '.join(REASON_CODES)}")


def labels_meant(names: tuple[str, ...], store: Store, listed: str) -> tuple[str, ...]:
    """Return the labels that the names mean, whatever their case, and the names themselves.

    The record is asked only for what the Red List does not know: that reads all of it.

    Raises:
        InputError: neither knows a name; it lists the labels that there are.
    """
    from trapsort.redlist import red_list
    from trapsort.store import SightingQuery

    categories = red_list(listed)
    recorded: dict[str, int] = {}
    meant = list(names)
    for name in names:
        labels = categories.labels(name)
        if not labels:
            recorded = recorded or {UNKNOWN: 0, **dict(store.count(SightingQuery(), "species"))}
            labels = tuple(each for each in recorded if each.casefold() == name.casefold())
        if not labels:
            known = sorted({*categories.entries, *recorded}, key=str.casefold)
            raise InputError(f"no species is called {name}", f"choose from {', '.join(known)}")
        meant += labels
    return tuple(dict.fromkeys(meant))


def _rows(found: Iterator[Sighting]) -> Iterator[Row]:
    for sighting in found:
        yield tuple(getattr(sighting, column) for column in COLUMNS)


def _table_row(found: Sighting) -> Row:
    """What people look at first: when, what or why not, how sure, where it lies."""
    said = found.label or (f"unknown: {found.reason}" if found.reason else "unknown")
    when = (found.camera_time or "").replace("T", " ")
    return when, found.station, said, found.iucn, found.probability, found.reviewed, found.path
