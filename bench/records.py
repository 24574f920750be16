"""A record of many made-up sightings, written straight into its tables: nothing is decoded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from trapsort.redlist import red_list
from trapsort.store import Store
from trapsort.store.engine import connect, writing
from trapsort.store.tables import (
    attributions,
    cards,
    deployments,
    models,
    photos,
    places_seen,
    predictions,
    regions,
    reviews,
    stations,
)

STATIONS = 50
REVIEWED_EVERY = 20
NAMELESS_EVERY = 3
ROWS_AT_ONCE = 10_000
NOW = "2026-11-01T00:00:00Z"


def make(file: Path, count: int) -> str:
    """Write a record of `count` photos at `STATIONS` stations; return its URL."""
    url = f"sqlite:///{file.as_posix()}"
    Store.open(url).close()
    engine = connect(url)
    try:
        with writing(engine) as connection:
            for table, listed in _places().items():
                connection.execute(insert(table), listed)
            for table, rows in _said(count).items():
                while chunk := list(islice(rows, ROWS_AT_ONCE)):
                    connection.execute(insert(table), chunk)
    finally:
        engine.dispose()
    with Store.open(url) as store:
        store.rebuild()  # what is derived from the tables, which were written behind its back
    return url


def _places() -> dict[Any, list[dict[str, Any]]]:
    numbers = range(1, STATIONS + 1)
    span = {"start": "2026-01-01T00:00:00", "end": "2026-10-31T23:59:59", "utc_offset": "+03:00"}
    return {
        stations: [
            {"id": n, "name": f"S{n:02}", "latitude": -2 - n / 100, "longitude": 34 + n / 90}
            for n in numbers
        ],
        cards: [
            {
                "id": n,
                "root": f"/media/cards/S{n:02}",
                "volume": "",
                "station_id": n,
                "first_seen": NOW,
                "last_seen": NOW,
            }
            for n in numbers
        ],
        deployments: [{"id": n, "name": f"S{n:02}-2026", "station_id": n, **span} for n in numbers],
        models: [
            {
                "id": 1,
                "name": "iucn11",
                "version": "1.0.0",
                "digest": "0" * 64,
                "added": NOW,
                "last_used": 1,
            }
        ],
    }


def _said(count: int) -> dict[Any, Iterator[dict[str, Any]]]:
    """Return what the tables of photos hold; every table draws its own random numbers."""
    ids = range(1, count + 1)
    labels = sorted(red_list().entries)
    begin = datetime(2026, 1, 1)
    step = timedelta(days=300) / max(count // STATIONS, 1)

    def time(n: int) -> str:
        return (begin + n // STATIONS * step).isoformat(timespec="seconds")

    def photo(n: int) -> dict[str, Any]:
        sha = random.Random(n).randbytes(32)  # noqa: S311 - a drawing, not a secret
        return {
            "id": n,
            "sha256": sha,
            "size": 1_000_000,
            "camera_time": time(n),
            "make": "RECONYX",
            "model": "HYPERFIRE 2",
            "trigger": "motion",
            "temperature_c": 21.0,
            "perceptual_hash": n,
            "width": 2048,
            "height": 1536,
            "format": "JPEG",
            "flags": "",
            "first_seen": NOW,
        }

    def place(n: int) -> dict[str, Any]:
        path = f"DCIM/{100 + n // 500_000}RECNX/IMG_{n:07}.JPG"
        return {
            "photo_id": n,
            "card_id": n % STATIONS + 1,
            "path_bytes": path.encode(),
            "path": path,
            "mtime_ns": n,
            "first_seen": NOW,
            "last_seen": NOW,
        }

    def prediction(n: int) -> dict[str, Any]:
        label = None if n % NAMELESS_EVERY == 0 else labels[n % len(labels)]
        return {
            "region_id": n,
            "model_id": 1,
            "label": label,
            "probability": 0.5 + n % 499 / 1000,
            "reason": "blank" if label is None else None,
            "top": "[]",
            "members": "[]",
            "created": NOW,
        }

    def attribution(n: int) -> dict[str, Any]:
        here = n % STATIONS + 1
        keys = {"deployment_id": here, "station_id": here, "matched_by": "station"}
        return {"photo_id": n, "time": time(n), **keys}

    whole = {"x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0, "detector": ""}
    said = {"label": "Lion", "count": 2, "reviewer": "Ada", "time": NOW, "note": ""}
    return {
        photos: map(photo, ids),
        places_seen: map(place, ids),
        regions: ({"id": n, "photo_id": n, **whole} for n in ids),
        predictions: map(prediction, ids),
        attributions: map(attribution, ids),
        reviews: ({"photo_id": n, **said} for n in ids[::REVIEWED_EVERY]),
    }
