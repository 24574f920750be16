"""Photos as the pipeline would record them, and SQL beside the store, on either database."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from trapsort.ensemble import Prediction
from trapsort.exif import NO_EXIF
from trapsort.scan import Photo
from trapsort.store import Record, Store
from trapsort.store.engine import connect, name_of

CARD = Path("/media/card")
TABLES = ("photos", "places_seen", "regions", "predictions", "problems")
LION = Prediction(
    "Lion", 0.91, None, (("Lion", 0.91), ("cheetahs", 0.09)), (("mobilenet", "Lion", 0.8),)
)
NOVEL = Prediction(None, 0.4, "novel", (("Panda", 0.4),), (("mobilenet", "Panda", 0.5),))


def photo(name: str | bytes, mtime_ns: int = 1) -> Photo:
    relative = name.encode() if isinstance(name, str) else name
    return Photo(CARD, CARD / "somewhere", relative, 1000, mtime_ns)


def sha(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def record(
    name: str,
    *,
    content: str | None = None,
    prediction: Prediction | None = LION,
    camera_time: str | None = None,
    near: tuple[int, int] | None = None,
    perceptual_hash: int = 0,
) -> Record:
    return Record(
        photo=photo(name),
        sha256=sha(content or name),
        size=1000,
        exif=replace(NO_EXIF, camera_time=camera_time, flags=("no_time",)),
        width=1920,
        height=1080,
        format="JPEG",
        flags=("no_end_marker",),
        perceptual_hash=perceptual_hash,
        near=near,
        prediction=prediction,
    )


def keys(store: Store) -> tuple[int, int]:
    return store.card(CARD), store.model("iucn11", "1.0.0", "d1")


def ask(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Run SQL beside the store; each ? stands for a value."""
    names = [f"value_{place}" for place in range(len(values))]
    for name in names:
        query = query.replace("?", f":{name}", 1)
    engine = connect(url)
    try:
        with engine.begin() as connection:
            found = connection.execute(text(query), dict(zip(names, values, strict=True)))
            return [tuple(row) for row in found] if found.returns_rows else []
    finally:
        engine.dispose()


def sizes(url: str) -> dict[str, int]:
    return {name: ask(url, f"SELECT count(*) FROM {name}")[0][0] for name in TABLES}  # noqa: S608


def named(url: str) -> str:
    """The database as messages name it."""
    return name_of(connect(url))
