"""`/sightings`, `/sightings.csv`, `/counts`: what the record holds, filtered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from trapsort.reports.csv_file import csv_line, encoded
from trapsort.reports.sighting_columns import COLUMNS
from trapsort.store import SightingQuery
from trapsort.store.paging import MOST_COUNTED, Asked
from trapsort.web import shown
from trapsort.web.answers import Count, CountFilter, Counts, Filter, PageFilter, SightingPage
from trapsort.web.shared import Held, Shared

router = APIRouter()

CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV, UTF-8"}
}


def asked(wanted: Filter, shared: Shared) -> Asked:
    """Return a filter as the store takes it."""
    query = SightingQuery(
        species=tuple(wanted.species),
        iucn=tuple(each.upper() for each in wanted.iucn),
        since=wanted.since,
        until=wanted.until,
        station=wanted.station,
        min_probability=wanted.min_probability,
        reason=wanted.reason,
        reviewed=wanted.reviewed,
        red_list=shared.red_list.name,
    )
    return Asked(
        query=query,
        max_probability=wanted.max_probability,
        card_id=wanted.card,
        sequence_id=wanted.sequence,
    )


@router.get("/sightings")
def sightings(shared: Held, wanted: Annotated[PageFilter, Query()]) -> SightingPage:
    """List sightings a page at a time.

    `newest`: what came in last first, the photos of a card in their order. `uncertain`: what a
    model said and nobody reviewed, the least probable first. `total_hint` comes with the first page
    only, and counts no further than `total_limit`.
    """
    what = asked(wanted, shared)
    page = shared.store.desk.page(what, wanted.order, wanted.after, wanted.limit)
    total = shared.store.desk.count_some(what) if wanted.after is None else None
    items = shown.sightings(page.items, shared.red_list)
    return SightingPage(items=items, next=page.next, total_hint=total, total_limit=MOST_COUNTED)


@router.get("/sightings.csv", response_class=StreamingResponse, responses=CSV)
def sightings_csv(shared: Held, wanted: Annotated[Filter, Query()]) -> StreamingResponse:
    """Download sightings as CSV, with the columns of `trapsort sightings --format csv`."""
    found = shared.store.desk.sightings(asked(wanted, shared))
    rows = (tuple(getattr(each, column) for column in COLUMNS) for each in found)
    return csv_answer(map(csv_line, chain([COLUMNS], rows)), "sightings.csv")


@router.get("/counts")
def counts(shared: Held, wanted: Annotated[CountFilter, Query()]) -> Counts:
    """Count photos; days and hours come in their order, others the most frequent first."""
    found = shared.store.desk.count(asked(wanted, shared), wanted.by)
    return Counts(by=wanted.by, counts=[Count(value=value, photos=n) for value, n in found])


def csv_answer(lines: Iterator[str], name: str) -> StreamingResponse:
    """Return lines as a file to keep; the first is made now, so that an error is still said."""
    first = next(lines, "")

    def chunks() -> Iterator[bytes]:
        yield encoded(first)
        yield from map(encoded, lines)

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(chunks(), media_type="text/csv; charset=utf-8", headers=headers)
