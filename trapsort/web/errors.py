"""Every error as `{"error": ..., "hint": ...}`, in words for the person who reads the page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from trapsort.errors import BundleError, DatabaseError, InputError, TrapsortError
from trapsort.web.answers import Refusal

_log = logging.getLogger(__name__)

_STATUS: dict[type[TrapsortError], int] = {InputError: 400, DatabaseError: 503, BundleError: 503}
_WORDS = {404: "there is no such page", 405: "this address does not take that method"}

REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "Refused; the hint says what to do"},
    "5XX": {"model": Refusal, "description": "The database or the model failed"},
}
"""What every path of the API may answer beside its own."""


class NotFoundError(InputError):
    """There is no such photo, review or picture."""


class RejectedError(InputError):
    """What was sent is well-formed, but cannot be."""


_OF_OURS: dict[type[TrapsortError], int] = {NotFoundError: 404, RejectedError: 422}


def refusal(status: int, error: str, hint: str = "") -> JSONResponse:
    """Return an error as the API answers it."""
    return JSONResponse({"error": error, "hint": hint}, status)


def _is_person(request: Request) -> bool:
    """Say whether a browser goes to a page; scripts and programs get refusals as JSON."""
    is_page = request.method == "GET" and not request.url.path.startswith("/api/")
    return is_page and "text/html" in request.headers.get("accept", "")


def add_handlers(app: FastAPI, lost: Callable[[Request], Response]) -> None:
    """Turn every exception into a refusal; people who mistype an address get the page `lost`."""

    @app.exception_handler(TrapsortError)
    def _(_request: Request, error: TrapsortError) -> JSONResponse:
        status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
        status = _OF_OURS.get(type(error), status)
        return refusal(status, error.message, error.hint)

    @app.exception_handler(RequestValidationError)
    def _(request: Request, error: RequestValidationError) -> Response:
        if _is_person(request):
            return lost(request)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return refusal(
            422, f"{where}: {first['msg']}", "see /api/v1/openapi.json for what is taken"
        )

    @app.exception_handler(HTTPException)
    def _(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404 and _is_person(request):
            return lost(request)
        return JSONResponse(
            {"error": _WORDS.get(error.status_code, str(error.detail)), "hint": ""},
            error.status_code,
            dict(error.headers or {}),
        )

    @app.exception_handler(Exception)
    def _(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(500, "that is a bug of trapsort", "see the terminal in which it runs")
