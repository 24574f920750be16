"""Content that gave way to other content at its place, and the site profile of a model."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

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
WHERE photos.superseded_by IS NULL
"""


def upgrade() -> None:
    """Add the columns and leave superseded photos out of the view."""
    # As text: with a reference, Alembic's add_column alters a constraint, which SQLite cannot.
    number = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE photos ADD COLUMN superseded_by {number}"
        " CONSTRAINT fk_photos_superseded_by REFERENCES photos (id)"
    )
    op.execute(
        "CREATE INDEX ix_photos_superseded_by ON photos (superseded_by)"
        " WHERE superseded_by IS NOT NULL"
    )
    op.add_column("places_seen", sa.Column("superseded", sa.Text))
    op.add_column("models", sa.Column("profile", sa.Text, nullable=False, server_default=""))
    op.execute("DROP VIEW sightings")
    op.execute(SIGHTINGS)
