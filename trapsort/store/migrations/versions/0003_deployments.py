"""Deployments with their clocks, sequences of frames, models of other programs, alerts' retries."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

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
    deployments.name AS deployment,
    photos.sequence_id,
    photos.camera_time,
    COALESCE(attributions.time, photos.camera_time) AS time,
    COALESCE(deployments.utc_offset, photos.utc_offset) AS utc_offset,
    CASE WHEN reviews.id IS NULL THEN predictions.label ELSE reviews.label END AS label,
    CASE
        WHEN reviews.id IS NOT NULL THEN reviews.count
        WHEN predictions.label IS NOT NULL THEN 1
    END AS count,
    COALESCE(red_list.taxa, '') AS scientific_name,
    red_list.category AS iucn,
    CASE WHEN reviews.id IS NULL THEN predictions.probability END AS probability,
    CASE WHEN reviews.id IS NULL THEN predictions.reason END AS reason,
    reviews.id IS NOT NULL AS reviewed,
    reviews.reviewer,
    CASE
        WHEN reviews.id IS NOT NULL THEN NULL
        WHEN models.version = '' THEN models.name
        ELSE models.name || '-' || models.version
    END AS model,
    photos.width,
    photos.height,
    CASE
        WHEN twin.superseded_by IS NULL THEN twin.id
        WHEN twin.superseded_by <> photos.id THEN twin.superseded_by
    END AS near_duplicate_of,
    photos.flags,
    CASE WHEN stations.latitude IS NULL THEN photos.latitude ELSE stations.latitude END AS latitude,
    CASE WHEN stations.latitude IS NULL THEN photos.longitude ELSE stations.longitude END
        AS longitude,
    photos.first_seen AS recorded
FROM photos
LEFT JOIN photos AS twin ON twin.id = photos.near_duplicate_of
LEFT JOIN places_seen ON places_seen.id = (
    SELECT min(place.id) FROM places_seen AS place
    WHERE place.photo_id = photos.id AND place.superseded IS NULL)
LEFT JOIN cards ON cards.id = places_seen.card_id
LEFT JOIN attributions ON attributions.photo_id = photos.id
LEFT JOIN deployments ON deployments.id = attributions.deployment_id
LEFT JOIN stations ON stations.id = COALESCE(attributions.station_id, cards.station_id)
LEFT JOIN reviews ON reviews.id = (
    SELECT max(review.id) FROM reviews AS review WHERE review.photo_id = photos.id)
LEFT JOIN predictions ON predictions.id = (
    SELECT prediction.id FROM predictions AS prediction
    JOIN regions AS region ON region.id = prediction.region_id
    JOIN models AS model ON model.id = prediction.model_id
    WHERE region.photo_id = photos.id
    ORDER BY model.source <> '', model.last_used DESC, prediction.label IS NULL,
        prediction.probability DESC NULLS LAST, prediction.id DESC
    LIMIT 1)
LEFT JOIN models ON models.id = predictions.model_id
LEFT JOIN red_list ON red_list.list = 'iucn' AND red_list.label =
    CASE WHEN reviews.id IS NULL THEN predictions.label ELSE reviews.label END
WHERE photos.superseded_by IS NULL
"""


def _link(name: str, target: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, ID, sa.ForeignKey(target), nullable=nullable)


def _photo_key() -> sa.Column[Any]:
    photo = sa.ForeignKey("photos.id")
    return sa.Column("photo_id", ID, photo, primary_key=True, autoincrement=False)


def _need(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="")


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
    """Make the deployments again with their rows, add what is new, and show it in the view."""
    op.execute("DROP VIEW sightings")
    _make_deployments()
    _make_sequences()
    op.create_table(
        "attributions",
        _photo_key(),
        _link("deployment_id", "deployments.id", nullable=True),
        _link("station_id", "stations.id", nullable=True),
        sa.Column("time", sa.Text),
        _need("matched_by", sa.Text),
    )
    for column in ("deployment_id", "station_id"):
        op.create_index(f"ix_attributions_{column}", "attributions", [column])
    op.add_column("models", _text("source"))
    attempts = sa.Column("attempts", sa.Integer, nullable=False, server_default="0")
    for added in (attempts, sa.Column("next_try", sa.Text), _text("last_error")):
        op.add_column("outbox", added)
    op.execute(SIGHTINGS)


def _make_deployments() -> None:
    # Not renamed: the names of its key and index would stay taken.
    op.execute("CREATE TABLE old_deployments AS SELECT * FROM deployments")
    op.drop_table("deployments")
    _table(
        "deployments",
        _need("name", sa.Text),
        _link("station_id", "stations.id"),
        *map(_text, ("camera", "serial", "card", "folder")),
        sa.Column("start", sa.Text),
        sa.Column("end", sa.Text),
        sa.Column("utc_offset", sa.Text),
        *map(_text, ("bait", "habitat", "comments")),
        unique=("name",),
        indexes=("station_id",),
    )
    _table(
        "deployment_problems",
        _link("deployment_id", "deployments.id"),
        _need("start", sa.Text),
        _need("end", sa.Text),
        indexes=("deployment_id",),
    )
    _table(
        "clock_corrections",
        _link("deployment_id", "deployments.id"),
        _need("offset_seconds", sa.Float),
        _need("drift_seconds_per_day", sa.Float),
        sa.Column("since", sa.Text),
        _need("created", sa.Text),
        _text("note"),
        indexes=("deployment_id",),
    )
    op.execute("""
        INSERT INTO deployments (name, station_id, card, start, "end", utc_offset)
        SELECT 'deployment-' || id, station_id, card_pattern, start, "end", utc_offset
        FROM old_deployments ORDER BY id""")
    op.execute("""
        INSERT INTO clock_corrections
            (deployment_id, offset_seconds, drift_seconds_per_day, created, note)
        SELECT deployments.id, clock_correction_seconds, 0, '1970-01-01T00:00:00Z', ''
        FROM old_deployments
        JOIN deployments ON deployments.name = 'deployment-' || old_deployments.id
        WHERE clock_correction_seconds <> 0""")
    op.drop_table("old_deployments")


def _make_sequences() -> None:
    _table("sequences", _link("first_photo_id", "photos.id"), unique=("first_photo_id",))
    # As text: with a reference, Alembic's add_column alters a constraint, which SQLite cannot.
    number = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE photos ADD COLUMN sequence_id {number}"
        " CONSTRAINT fk_photos_sequence_id REFERENCES sequences (id)"
    )
    op.create_index("ix_photos_sequence_id", "photos", ["sequence_id"])
    _table(
        "sequence_predictions",
        _link("sequence_id", "sequences.id"),
        _link("model_id", "models.id"),
        sa.Column("label", sa.Text),
        sa.Column("probability", sa.Float),
        sa.Column("reason", sa.Text),
        _need("top", sa.Text),
        _need("frames", sa.Integer),
        _need("created", sa.Text),
        unique=("sequence_id", "model_id"),
    )
