"""The columns of a listing of sightings for programs, in order: fields of `store.Sighting`."""

from __future__ import annotations

COLUMNS = (
    "photo_id",
    "path",
    "card",
    "station",
    "camera_time",
    "label",
    "scientific_name",
    "iucn",
    "probability",
    "reason",
    "reviewed",
    "reviewer",
    "model",
    "width",
    "height",
    "near_duplicate_of",
    "flags",
    "latitude",
    "longitude",
    "sha256",
    "deployment",
    "time",
    "utc_offset",
    "count",
    "sequence_id",
    "sequence_label",
)
