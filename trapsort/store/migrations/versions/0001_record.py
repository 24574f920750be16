"""The record as it began: photos, places, predictions, reviews, problems, and the view."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SIGHTINGS = """
CREATE VIEW sightings AS
SELECT
    photos.id AS photo_id,
    photos.sha256,
    places_seen.path,
    places_seen.path_bytes,
    cards.root AS card,
    stations.name AS station,
    photos.camera_time,
    CASE WHEN reviews.id IS NULL THEN predictions.label ELSE reviews.label END AS label,
    COALESCE(red_list.taxa, '') AS scientific_name,
    red_list.category AS iucn,
    CASE WHEN reviews.id IS NULL THEN predictions.probability END AS probability,
    CASE WHEN reviews.id IS NULL THEN predictions.reason END AS reason,
    reviews.id IS NOT NULL AS reviewed,
    reviews.reviewer,
    CASE WHEN reviews.id IS NULL THEN models.name || '-' || models.version END AS model,
    photos.width,
    photos.height,
    photos.near_duplicate_of,
    photos.flags,
    CASE WHEN stations.latitude IS NULL THEN photos.latitude ELSE stations.latitude END AS latitude,
    CASE WHEN stations.latitude IS NULL THEN photos.longitude ELSE stations.longitude END
        AS longitude,
    photos.first_seen AS recorded
FROM photos
LEFT JOIN places_seen ON places_seen.id = (
    SELECT min(place.id) FROM places_seen AS place WHERE place.photo_id = photos.id)
LEFT JOIN cards ON cards.id = places_seen.card_id
LEFT JOIN stations ON stations.id = cards.station_id
LEFT JOIN reviews ON reviews.id = (
    SELECT max(review.id) FROM reviews AS review WHERE review.photo_id = photos.id)
LEFT JOIN predictions ON predictions.id = (
    SELECT prediction.id FROM predictions AS prediction
    JOIN regions AS region ON region.id = prediction.region_id
    JOIN models AS model ON model.id = prediction.model_id
    WHERE region.photo_id = photos.id
    ORDER BY model.last_used DESC, prediction.id DESC LIMIT 1)
LEFT JOIN models ON models.id = predictions.model_id
LEFT JOIN red_list ON red_list.list = 'iucn' AND red_list.label =
    CASE WHEN reviews.id IS NULL THEN predictions.label ELSE reviews.label END
"""


def _link(name: str, target: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, ID, sa.ForeignKey(target), nullable=nullable)


def _need(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _table(
    name: str,
    *columns: sa.Column[Any],
    unique: tuple[str, ...] = (),
    indexes: tuple[str, ...] = (),
) -> None:
    constraints = [sa.UniqueConstraint(*unique)] if unique else []
    op.create_table(name, sa.Column("id", ID, primary_key=True), *columns, *constraints)
    for column in indexes:
        op.create_index(f"ix_{name}_{column}", name, [column])


def upgrade() -> None:
    """Create everything in an empty database."""
    _table(
        "photos",
        _need("sha256", sa.LargeBinary(32)),
        _need("size", sa.BigInteger),
        sa.Column("camera_time", sa.Text),
        sa.Column("utc_offset", sa.Text),
        sa.Column("make", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("serial", sa.Text),
        sa.Column("temperature_c", sa.Float),
        sa.Column("moon", sa.Text),
        sa.Column("trigger", sa.Text),
        sa.Column("sequence_index", sa.Integer),
        sa.Column("sequence_length", sa.Integer),
        sa.Column("event_number", sa.BigInteger),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        _need("perceptual_hash", sa.BigInteger),
        _need("width", sa.Integer),
        _need("height", sa.Integer),
        _need("format", sa.Text),
        _need("flags", sa.Text),
        _link("near_duplicate_of", "photos.id", nullable=True),
        sa.Column("near_duplicate_bits", sa.Integer),
        _need("first_seen", sa.Text),
        unique=("sha256",),
        indexes=("camera_time", "first_seen"),
    )
    _table(
        "stations",
        _need("name", sa.Text),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        unique=("name",),
    )
    _table(
        "cards",
        _need("root", sa.Text),
        _need("volume", sa.Text),
        _link("station_id", "stations.id", nullable=True),
        _need("first_seen", sa.Text),
        _need("last_seen", sa.Text),
        unique=("root", "volume", "station_id"),
        indexes=("station_id",),
    )
    _table(
        "places_seen",
        _link("photo_id", "photos.id"),
        _link("card_id", "cards.id"),
        _need("path_bytes", sa.LargeBinary),
        _need("path", sa.Text),
        _need("mtime_ns", sa.BigInteger),
        _need("first_seen", sa.Text),
        _need("last_seen", sa.Text),
        unique=("card_id", "path_bytes", "photo_id"),
        indexes=("photo_id",),
    )
    _table(
        "regions",
        _link("photo_id", "photos.id"),
        _need("x", sa.Float),
        _need("y", sa.Float),
        _need("width", sa.Float),
        _need("height", sa.Float),
        _need("detector", sa.Text),
        sa.Column("detector_confidence", sa.Float),
        unique=("photo_id", "x", "y", "width", "height", "detector"),
    )
    _table(
        "models",
        _need("name", sa.Text),
        _need("version", sa.Text),
        _need("digest", sa.Text),
        _need("added", sa.Text),
        _need("last_used", sa.BigInteger),
        unique=("digest",),
    )
    _table(
        "predictions",
        _link("region_id", "regions.id"),
        _link("model_id", "models.id"),
        sa.Column("label", sa.Text),
        sa.Column("probability", sa.Float),
        sa.Column("reason", sa.Text),
        _need("top", sa.Text),
        _need("members", sa.Text),
        _need("created", sa.Text),
        unique=("region_id", "model_id"),
        indexes=("label",),
    )
    _table(
        "reviews",
        _link("photo_id", "photos.id"),
        sa.Column("label", sa.Text),
        _need("count", sa.Integer),
        _need("reviewer", sa.Text),
        _need("time", sa.Text),
        _need("note", sa.Text),
        indexes=("photo_id", "label"),
    )
    _table(
        "problems",
        _link("card_id", "cards.id"),
        _need("path_bytes", sa.LargeBinary),
        _need("path", sa.Text),
        _need("reason", sa.Text),
        _need("detail", sa.Text),
        _need("first_seen", sa.Text),
        _need("last_seen", sa.Text),
        sa.Column("resolved", sa.Text),
        unique=("card_id", "path_bytes"),
        indexes=("last_seen",),
    )
    _table(
        "runs",
        _link("card_id", "cards.id"),
        _link("model_id", "models.id", nullable=True),
        _need("started", sa.Text),
        sa.Column("finished", sa.Text),
        _need("files", sa.BigInteger),
        _need("recorded", sa.BigInteger),
        _need("seen_before", sa.BigInteger),
        _need("problems", sa.BigInteger),
    )
    _table(
        "deployments",
        _link("station_id", "stations.id"),
        _need("card_pattern", sa.Text),
        sa.Column("start", sa.Text),
        sa.Column("end", sa.Text),
        sa.Column("utc_offset", sa.Text),
        _need("clock_correction_seconds", sa.Float),
        indexes=("station_id",),
    )
    _table(
        "outbox",
        _need("kind", sa.Text),
        _need("key", sa.Text),
        _need("payload", sa.Text),
        _need("created", sa.Text),
        sa.Column("sent", sa.Text),
        unique=("key",),
    )
    op.create_table(
        "red_list",
        sa.Column("list", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        _need("category", sa.Text),
        _need("taxa", sa.Text),
        _need("citation", sa.Text),
    )
    op.execute(SIGHTINGS)
