"""Stations, cards with their accounts, problems, what is being taken in, reports, and the end."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request
from fastapi.responses import StreamingResponse

import trapsort
from trapsort.reports import REPORTS, report_lines
from trapsort.store.paging import Asked
from trapsort.web.answers import (
    BIGGEST,
    Account,
    Card,
    Problem,
    ProblemPage,
    Progress,
    Session,
    Station,
    Stopped,
)
from trapsort.web.api.sightings import CSV, csv_answer
from trapsort.web.errors import NotFoundError
from trapsort.web.shared import Held

router = APIRouter()

ReportName = Annotated[str, Path(json_schema_extra={"enum": list(REPORTS)})]


@router.get("/session")
def session(shared: Held, request: Request) -> Session:
    """Return the token of writes, for the header X-Trapsort-Token; the cookie comes with it."""
    return Session(
        token=request.state.token,
        reviewer=shared.config.reviewer,
        version=trapsort.__version__,
    )


@router.get("/stations")
def stations(shared: Held) -> list[Station]:
    """List the places with cameras, and how many photos each has."""
    counted = dict(shared.store.desk.count(Asked(), "station"))
    return [
        Station(
            name=each.name,
            latitude=each.latitude,
            longitude=each.longitude,
            photos=counted.get(each.name, 0),
        )
        for each in shared.store.stations()
    ]


@router.get("/cards")
def cards(shared: Held) -> list[Card]:
    """List the cards, those first that were seen last, each with its last account."""
    return [
        Card(
            **each._replace(account=None)._asdict()
            | {"account": Account(**each.account._asdict()) if each.account else None}
        )
        for each in shared.store.desk.cards()
    ]


@router.get("/problems")
def problems(
    shared: Held,
    after: Annotated[int | None, Query(ge=1, le=BIGGEST)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> ProblemPage:
    """List the files that gave no sighting, the newest first; `after` is `next` of a page."""
    found = shared.store.desk.problems(after, limit)
    items = [Problem(**each._asdict()) for each in found]
    return ProblemPage(items=items, next=found[-1].id if len(found) == limit else None)


@router.get("/progress")
def progress(shared: Held) -> list[Progress]:
    """List the cards that are being taken in now."""
    return [Progress(**each._asdict()) for each in shared.store.desk.under_way()]


@router.get("/reports/{name}", response_class=StreamingResponse, responses=CSV)
def report(
    shared: Held, name: ReportName, day: Annotated[date | None, Query(alias="date")] = None
) -> StreamingResponse:
    """Download a report of one day, today if none is given, as CSV."""
    if name not in REPORTS:
        raise NotFoundError(f"there is no report {name}", f"choose from {', '.join(REPORTS)}")
    day = day or date.today()
    listed = shared.red_list.name
    lines = report_lines(REPORTS[name], shared.store, day, day, red_list=listed)
    return csv_answer(lines, f"{name}-{day.isoformat()}.csv")


@router.post("/quit")
def quit_(shared: Held, after: BackgroundTasks) -> Stopped:
    """Stop the server; every decision is saved already."""
    after.add_task(shared.config.stop)
    return Stopped(stopped=True)
