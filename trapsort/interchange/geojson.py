"""GeoJSON (RFC 7946): a point a photo, for maps; positions as exact as what was seen allows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapsort.blur import EXACT, blurred
from trapsort.interchange.exported import Exported, counted
from trapsort.interchange.names import taxon_of
from trapsort.interchange.place import check_free, check_place
from trapsort.interchange.sites import Precisions, uncertainty_metres
from trapsort.interchange.streamed import captures
from trapsort.redlist import red_list
from trapsort.reports.csv_file import encoded, write_whole

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Capture


def export(
    store: Store,
    query: SightingQuery,
    out: Path,
    *,
    precision: float | None = None,
    force: bool = False,
) -> Exported:
    """Write one file; `precision` in degrees, None by the most threatened species of a place.

    Raises:
        InputError: `out` cannot be written.
    """
    check_place(out, store)
    check_free(out, force=force)
    labels = store.labels_at() if precision is None else {}
    places = Precisions(labels, precision)
    photos = without = 0

    def text() -> Iterator[str]:
        nonlocal photos, without
        yield '{"type": "FeatureCollection", "features": ['
        for capture in captures(store, query, order="photo"):
            feature = _feature(capture, places, query.red_list)
            without += feature["geometry"] is None
            shown = json.dumps(feature, ensure_ascii=False, allow_nan=False)
            yield ("," if photos else "") + "\n" + shown
            photos += 1
        yield "\n]}\n"

    write_whole(out, map(encoded, text()))
    notes = (
        [f"{counted(without, 'photo')} without a position: listed, not drawn"] if without else []
    )
    if precision != EXACT:
        notes.append("positions are rounded, as coordinatePrecision says (--precision)")
    return Exported(photos=photos, notes=tuple(notes))


def _feature(capture: Capture, places: Precisions, listed: str) -> dict[str, Any]:
    geometry = None
    properties: dict[str, Any] = {
        "photo": capture.sha256.hex(),
        "station": capture.station,
        "deployment": capture.deployment,
        "time": capture.time,
        "utc_offset": capture.utc_offset,
        "label": capture.label,
        "scientific_name": taxon_of(capture.label).scientific_name if capture.label else "",
        "iucn": red_list(listed).category(capture.label),
        "count": capture.individuals,
        "probability": None if capture.probability is None else round(capture.probability, 4),
        "reason": capture.reason,
        "reviewed": bool(capture.reviewed),
    }
    if capture.latitude is not None and capture.longitude is not None:
        precision = places.at(capture.station, capture.card)
        latitude, longitude = blurred(capture.latitude, capture.longitude, precision)
        geometry = {"type": "Point", "coordinates": [longitude, latitude]}
        properties["coordinatePrecision"] = precision or None
        properties["coordinateUncertaintyInMeters"] = uncertainty_metres(precision)
    return {"type": "Feature", "geometry": geometry, "properties": properties}
