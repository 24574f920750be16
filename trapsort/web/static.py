"""The page's own styles and scripts, read from the package once: no address becomes a path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response

from trapsort.web.errors import refusal

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class File:
    """A file of the package, with its type and its tag."""

    data: bytes
    kind: str
    tag: str


@cache
def static_files() -> dict[str, File]:
    """Return every file in `static/` by its path below it."""
    return dict(_read(files("trapsort.web").joinpath("static"), ""))


def _read(folder: Traversable, prefix: str) -> list[tuple[str, File]]:
    found = []
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.is_dir():
            found += _read(each, f"{prefix}{each.name}/")
            continue
        kind = KINDS.get(f".{each.name.rpartition('.')[2]}")
        if kind is not None:
            data = each.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
            found.append((prefix + each.name, File(data, kind, tag)))
    return found


@router.get("/static/{name:path}")
def static_file(name: str, request: Request) -> Response:
    """Return a file of the package; a browser keeps it and asks whether it is still the same."""
    found = static_files().get(name)
    if found is None:
        return refusal(404, "there is no such file")
    headers = {"ETag": found.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.data, media_type=found.kind, headers=headers)
