"""Reviews that are taken back, and what the page needs to find photos quickly."""

from alembic import op

revision = "0004"
down_revision = "0003"

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
    photos.first_seen AS recorded,
    reviews.id AS review_id,
    COALESCE(reviews.note, '') AS note,
    predictions.id AS prediction_id
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
    SELECT max(review.id) FROM reviews AS review
    WHERE review.photo_id = photos.id AND review.retracts IS NULL
    AND NOT EXISTS (SELECT 1 FROM reviews AS undone WHERE undone.retracts = review.id))
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


def upgrade() -> None:
    """Add the column and the indexes, and leave out of the view what was taken back."""
    # As text: with a reference, Alembic's add_column alters a constraint, which SQLite cannot.
    number = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute("DROP VIEW sightings")
    op.execute(
        f"ALTER TABLE reviews ADD COLUMN retracts {number}"
        " CONSTRAINT fk_reviews_retracts REFERENCES reviews (id)"
    )
    op.execute("CREATE INDEX ix_reviews_retracts ON reviews (retracts) WHERE retracts IS NOT NULL")
    op.execute(
        "CREATE INDEX ix_photos_near_duplicate_of ON photos (near_duplicate_of)"
        " WHERE near_duplicate_of IS NOT NULL"
    )
    op.create_index("ix_predictions_probability", "predictions", ["probability"])
    op.execute(SIGHTINGS)
