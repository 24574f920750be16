"""The pages for people: templates that scripts fill from the API, and the texts of both."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

import trapsort
from trapsort.abstentions import REASON_CODES
from trapsort.redlist import CATEGORIES, UNRANKED
from trapsort.reports import REPORTS
from trapsort.scan import REASONS
from trapsort.web.shared import Held, shared
from trapsort.web.texts import KEYS, TEXTS

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("trapsort.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(name: str, request: Request, held: Held, **more: object) -> HTMLResponse:
    page = _templates().get_template(f"{name}.html")
    return HTMLResponse(
        page.render(
            t=TEXTS,
            keys=KEYS,
            page=name,
            token=request.state.token,
            reviewer=held.config.reviewer,
            version=trapsort.__version__,
            **more,
        )
    )


@router.get("/")
def review(request: Request, held: Held) -> HTMLResponse:
    """The grid."""
    return _page("review", request, held, **_codes())


@router.get("/photo/{photo_id}")
def photo(request: Request, held: Held, photo_id: int) -> HTMLResponse:
    """The same page; its script opens the photo that the address names."""
    return _page("review", request, held, **_codes())


@router.get("/look")
def look(request: Request, held: Held) -> HTMLResponse:
    """Filters, counts, activity, map."""
    return _page("look", request, held, reports=sorted(REPORTS), **_codes())


@router.get("/cards")
def cards(request: Request, held: Held) -> HTMLResponse:
    """Cards, their accounts and problems, and what is being taken in."""
    return _page("cards", request, held)


@router.get("/classify")
def classify(request: Request, held: Held) -> HTMLResponse:
    """One photo, without storing it."""
    return _page("classify", request, held)


@router.get("/login")
def login(wrong: Annotated[str, Query(max_length=10)] = "") -> HTMLResponse:
    """Where the page is open to other computers, people come here first."""
    page = _templates().get_template("login.html")
    return HTMLResponse(page.render(t=TEXTS, wrong=bool(wrong)))


def lost(request: Request) -> HTMLResponse:
    """What stands where there is no page."""
    answer = _page("lost", request, shared(request))
    answer.status_code = 404
    return answer


@router.get("/texts.js", response_class=Response)
def texts() -> Response:
    """Every text, as a module for the scripts."""
    return Response(_texts(), media_type="text/javascript; charset=utf-8")


@cache
def _texts() -> str:
    names = {"TEXTS": TEXTS, "REASONS": REASON_CODES, "ADVICE": REASONS}
    return "".join(f"export const {name} = {json.dumps(what)};\n" for name, what in names.items())


def _codes() -> dict[str, object]:
    return {"reasons": REASON_CODES, "categories": (*CATEGORIES, *UNRANKED)}
