"""The record: tables as SQLAlchemy sees them; `migrations/` is what creates them.

Times that trapsort writes are UTC text, 'YYYY-MM-DDTHH:MM:SSZ'; `camera_time` is what the camera
wrote, `time` what a right clock would have shown, both 'YYYY-MM-DDTHH:MM:SS' without a zone.
Views have a MetaData of their own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA = MetaData(naming_convention=NAMING)
NO_DETECTOR = ""  # the detector of a region that is the whole photo
SUPERSEDED = text("superseded_by IS NOT NULL")
DUPLICATE = text("near_duplicate_of IS NOT NULL")
RETRACTION = text("retracts IS NOT NULL")

# SQLite numbers rows by itself only where the key's type is INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True)


def _link(name: str, target: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Id, ForeignKey(target), nullable=nullable)


def _need(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


photos = Table(
    "photos",
    METADATA,
    _id(),
    _need("sha256", LargeBinary(32)),
    _need("size", BigInteger),
    Column("camera_time", Text),
    Column("utc_offset", Text),
    Column("make", Text),
    Column("model", Text),
    Column("serial", Text),
    Column("temperature_c", Float),
    Column("moon", Text),
    Column("trigger", Text),
    Column("sequence_index", Integer),
    Column("sequence_length", Integer),
    Column("event_number", BigInteger),
    Column("latitude", Float),
    Column("longitude", Float),
    _need("perceptual_hash", BigInteger),
    _need("width", Integer),
    _need("height", Integer),
    _need("format", Text),
    _need("flags", Text),
    _link("near_duplicate_of", "photos.id", nullable=True),
    Column("near_duplicate_bits", Integer),
    _need("first_seen", Text),
    # The content that was found at its last place instead; such a photo is in no listing.
    _link("superseded_by", "photos.id", nullable=True),
    # The frames of one trigger; `sequences` points back, hence the order of creation.
    Column("sequence_id", Id, ForeignKey("sequences.id", use_alter=True)),
    UniqueConstraint("sha256"),
    Index(None, "camera_time"),
    Index(None, "first_seen"),
    Index(None, "superseded_by", sqlite_where=SUPERSEDED, postgresql_where=SUPERSEDED),
    Index(None, "near_duplicate_of", sqlite_where=DUPLICATE, postgresql_where=DUPLICATE),
    Index(None, "sequence_id"),
)

sequences = Table(
    "sequences",
    METADATA,
    _id(),
    _link("first_photo_id", "photos.id"),
    UniqueConstraint("first_photo_id"),
)

stations = Table(
    "stations",
    METADATA,
    _id(),
    _need("name", Text),
    Column("latitude", Float),
    Column("longitude", Float),
    UniqueConstraint("name"),
)

cards = Table(
    "cards",
    METADATA,
    _id(),
    _need("root", Text),
    _need("volume", Text),
    _link("station_id", "stations.id", nullable=True),
    _need("first_seen", Text),
    _need("last_seen", Text),
    UniqueConstraint("root", "volume", "station_id"),
    Index(None, "station_id"),
)

places_seen = Table(
    "places_seen",
    METADATA,
    _id(),
    _link("photo_id", "photos.id"),
    _link("card_id", "cards.id"),
    _need("path_bytes", LargeBinary),
    _need("path", Text),
    _need("mtime_ns", BigInteger),
    _need("first_seen", Text),
    _need("last_seen", Text),
    Column("superseded", Text),  # when other content was found at this path of the card
    UniqueConstraint("card_id", "path_bytes", "photo_id"),
    Index(None, "photo_id"),
)

regions = Table(
    "regions",
    METADATA,
    _id(),
    _link("photo_id", "photos.id"),
    _need("x", Float),
    _need("y", Float),
    _need("width", Float),
    _need("height", Float),
    _need("detector", Text),
    Column("detector_confidence", Float),
    UniqueConstraint("photo_id", "x", "y", "width", "height", "detector"),
)

models = Table(
    "models",
    METADATA,
    _id(),
    _need("name", Text),
    _need("version", Text),
    _need("digest", Text),
    _need("added", Text),
    # A counter, no time: a field station's clock may run backwards. The greatest was used last.
    _need("last_used", BigInteger),
    # Of the site profile in force; with one, the digest is that of bundle and profile together.
    Column("profile", Text, nullable=False, server_default=""),
    # Empty for a bundle; else what an import brought: megadetector, speciesnet or camtrap-dp.
    Column("source", Text, nullable=False, server_default=""),
    UniqueConstraint("digest"),
)

predictions = Table(
    "predictions",
    METADATA,
    _id(),
    _link("region_id", "regions.id"),
    _link("model_id", "models.id"),
    Column("label", Text),
    Column("probability", Float),
    Column("reason", Text),
    _need("top", Text),
    _need("members", Text),
    _need("created", Text),
    # Of the bundle's graph that was run: single or int8; empty where nothing says so.
    Column("precision", Text, nullable=False, server_default=""),
    UniqueConstraint("region_id", "model_id"),
    Index(None, "label"),
    Index(None, "probability"),
)

# What the frames of a sequence say together, beside what each says.
sequence_predictions = Table(
    "sequence_predictions",
    METADATA,
    _id(),
    _link("sequence_id", "sequences.id"),
    _link("model_id", "models.id"),
    Column("label", Text),
    Column("probability", Float),
    Column("reason", Text),
    _need("top", Text),
    _need("frames", Integer),
    _need("created", Text),
    UniqueConstraint("sequence_id", "model_id"),
)

# Append-only: what a person takes back stays, and a row of its own says so; see `in_force`.
reviews = Table(
    "reviews",
    METADATA,
    _id(),
    _link("photo_id", "photos.id"),
    Column("label", Text),
    _need("count", Integer),
    _need("reviewer", Text),
    _need("time", Text),
    _need("note", Text),
    _link("retracts", "reviews.id", nullable=True),
    Index(None, "photo_id"),
    Index(None, "label"),
    Index(None, "retracts", sqlite_where=RETRACTION, postgresql_where=RETRACTION),
)

problems = Table(
    "problems",
    METADATA,
    _id(),
    _link("card_id", "cards.id"),
    _need("path_bytes", LargeBinary),
    _need("path", Text),
    _need("reason", Text),
    _need("detail", Text),
    _need("first_seen", Text),
    _need("last_seen", Text),
    Column("resolved", Text),
    UniqueConstraint("card_id", "path_bytes"),
    Index(None, "last_seen"),
)

runs = Table(
    "runs",
    METADATA,
    _id(),
    _link("card_id", "cards.id"),
    _link("model_id", "models.id", nullable=True),
    _need("started", Text),
    Column("finished", Text),
    _need("files", BigInteger),
    _need("recorded", BigInteger),
    _need("seen_before", BigInteger),
    _need("problems", BigInteger),
)

# A camera at a station for a while: by true local time, open where start or end is not known.
deployments = Table(
    "deployments",
    METADATA,
    _id(),
    _need("name", Text),
    _link("station_id", "stations.id"),
    _text("camera"),
    _text("serial"),
    _text("card"),  # its folder or volume
    _text("folder"),  # a pattern of paths on the card
    Column("start", Text),
    Column("end", Text),
    Column("utc_offset", Text),
    _text("bait"),
    _text("habitat"),
    _text("comments"),
    UniqueConstraint("name"),
    Index(None, "station_id"),
)

# When a camera did not work.
deployment_problems = Table(
    "deployment_problems",
    METADATA,
    _id(),
    _link("deployment_id", "deployments.id"),
    _need("start", Text),
    _need("end", Text),
    Index(None, "deployment_id"),
)

# Append-only. True time = camera time + the sum of offset + drift * days since `since`.
clock_corrections = Table(
    "clock_corrections",
    METADATA,
    _id(),
    _link("deployment_id", "deployments.id"),
    _need("offset_seconds", Float),
    _need("drift_seconds_per_day", Float),
    Column("since", Text),  # the camera time at which the drift counts nothing
    _need("created", Text),
    _text("note"),
    Index(None, "deployment_id"),
)

# Derived from the above: where a photo was taken, and when; one row a photo.
attributions = Table(
    "attributions",
    METADATA,
    Column("photo_id", Id, ForeignKey("photos.id"), primary_key=True, autoincrement=False),
    _link("deployment_id", "deployments.id", nullable=True),
    _link("station_id", "stations.id", nullable=True),
    Column("time", Text),
    _need("matched_by", Text),
    Index(None, "deployment_id"),
    Index(None, "station_id"),
)

outbox = Table(
    "outbox",
    METADATA,
    _id(),
    _need("kind", Text),
    _need("key", Text),
    _need("payload", Text),
    _need("created", Text),
    Column("sent", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try", Text),
    _text("last_error"),
    UniqueConstraint("key"),
)

red_list = Table(
    "red_list",
    METADATA,
    Column("list", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    _need("category", Text),
    _need("taxa", Text),
    _need("citation", Text),
)

# The view: a photo a row, without superseded ones; scientific_name and iucn are those of the list
# `iucn`.
sightings = Table(
    "sightings",
    MetaData(),
    Column("photo_id", Id),
    Column("sha256", LargeBinary(32)),
    Column("path", Text),
    Column("path_bytes", LargeBinary),
    Column("card", Text),
    Column("station", Text),
    Column("deployment", Text),
    Column("sequence_id", Id),
    Column("camera_time", Text),
    Column("time", Text),
    Column("utc_offset", Text),
    Column("label", Text),
    Column("count", Integer),
    Column("scientific_name", Text),
    Column("iucn", Text),
    Column("probability", Float),
    Column("reason", Text),
    Column("reviewed", Boolean),
    Column("reviewer", Text),
    Column("model", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("near_duplicate_of", Id),
    Column("flags", Text),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("recorded", Text),
    Column("review_id", Id),
    Column("note", Text),
    Column("prediction_id", Id),
    Column("station_id", Id),
)
