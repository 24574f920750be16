"""What each photo shows now in columns with indexes, and counts: for records of ten million photos.

The view `sightings` shows what it showed, but reads it where it stands. And a prediction says which
of a bundle's graphs made it.
"""

import logging
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_log = logging.getLogger("trapsort.store.migrate")

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AT_ONCE = 100_000  # photos in one statement
MANY = 1_000_000  # photos of which one is told how far it is

SOURCE = """
CREATE VIEW sighting_index_source AS
SELECT
    photos.id AS photo_id,
    COALESCE(attributions.time, photos.camera_time) AS time,
    COALESCE(attributions.station_id, cards.station_id) AS station_id,
    attributions.deployment_id,
    places_seen.id AS place_id,
    places_seen.card_id,
    CASE WHEN reviews.id IS NULL THEN predictions.label ELSE reviews.label END AS label,
    CASE WHEN reviews.id IS NULL THEN predictions.probability END AS probability,
    CASE WHEN reviews.id IS NULL THEN predictions.reason END AS reason,
    reviews.id IS NOT NULL AS reviewed,
    reviews.id AS review_id,
    predictions.id AS prediction_id
FROM photos
LEFT JOIN places_seen ON places_seen.id = (
    SELECT min(place.id) FROM places_seen AS place
    WHERE place.photo_id = photos.id AND place.superseded IS NULL)
LEFT JOIN cards ON cards.id = places_seen.card_id
LEFT JOIN attributions ON attributions.photo_id = photos.id
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
WHERE photos.superseded_by IS NULL
"""

SIGHTINGS = """
CREATE VIEW sightings AS
SELECT
    sighting_index.photo_id,
    photos.sha256,
    places_seen.path,
    places_seen.path_bytes,
    cards.root AS card,
    stations.name AS station,
    deployments.name AS deployment,
    photos.sequence_id,
    photos.camera_time,
    sighting_index.time,
    COALESCE(deployments.utc_offset, photos.utc_offset) AS utc_offset,
    sighting_index.label,
    CASE
        WHEN sighting_index.review_id IS NOT NULL THEN reviews.count
        WHEN sighting_index.label IS NOT NULL THEN 1
    END AS count,
    COALESCE(red_list.taxa, '') AS scientific_name,
    red_list.category AS iucn,
    sighting_index.probability,
    sighting_index.reason,
    sighting_index.reviewed,
    reviews.reviewer,
    CASE
        WHEN sighting_index.review_id IS NOT NULL THEN NULL
        WHEN models.version = '' THEN models.name
        ELSE models.name || '-' || models.version
    END AS model,
    photos.width,
    photos.height,
    CASE
        WHEN twin.superseded_by IS NULL THEN twin.id
        WHEN twin.superseded_by <> sighting_index.photo_id THEN twin.superseded_by
    END AS near_duplicate_of,
    photos.flags,
    CASE WHEN stations.latitude IS NULL THEN photos.latitude ELSE stations.latitude END AS latitude,
    CASE WHEN stations.latitude IS NULL THEN photos.longitude ELSE stations.longitude END
        AS longitude,
    photos.first_seen AS recorded,
    sighting_index.review_id,
    COALESCE(reviews.note, '') AS note,
    sighting_index.prediction_id,
    sighting_index.station_id
FROM sighting_index
LEFT JOIN photos ON photos.id = sighting_index.photo_id
LEFT JOIN photos AS twin ON twin.id = photos.near_duplicate_of
LEFT JOIN places_seen ON places_seen.id = sighting_index.place_id
LEFT JOIN cards ON cards.id = sighting_index.card_id
LEFT JOIN deployments ON deployments.id = sighting_index.deployment_id
LEFT JOIN stations ON stations.id = sighting_index.station_id
LEFT JOIN reviews ON reviews.id = sighting_index.review_id
LEFT JOIN predictions ON predictions.id = sighting_index.prediction_id
LEFT JOIN models ON models.id = predictions.model_id
LEFT JOIN red_list ON red_list.list = 'iucn' AND red_list.label = sighting_index.label
"""

COUNTS = (
    """
INSERT INTO sighting_counts (span, station_id, moment, label, reviewed, photos)
SELECT 'day', COALESCE(station_id, 0), COALESCE(substr(time, 1, 10), ''), COALESCE(label, ''),
    reviewed, count(*)
FROM sighting_index GROUP BY 2, 3, 4, 5""",
    """
INSERT INTO sighting_counts (span, station_id, moment, label, reviewed, photos)
SELECT 'hour', COALESCE(station_id, 0), COALESCE(substr(time, 12, 2), ''), COALESCE(label, ''),
    reviewed, count(*)
FROM sighting_index GROUP BY 2, 3, 4, 5""",
    """
INSERT INTO sighting_counts (span, station_id, moment, label, reviewed, photos)
SELECT span, -1, moment, label, reviewed, sum(photos)
FROM sighting_counts WHERE span = 'day' GROUP BY span, moment, label, reviewed""",
    """
INSERT INTO card_counts (card_id, photos, reviewed)
SELECT card_id, count(*), sum(CASE WHEN reviewed THEN 1 ELSE 0 END)
FROM (
    SELECT DISTINCT places_seen.card_id, sighting_index.photo_id, sighting_index.reviewed
    FROM places_seen JOIN sighting_index ON sighting_index.photo_id = places_seen.photo_id
    WHERE places_seen.superseded IS NULL
) AS seen
GROUP BY card_id""",
)


def upgrade() -> None:
    """Add the tables, fill them from the record, and let the view read them."""
    op.execute("DROP VIEW sightings")
    # Which of a bundle's graphs was run.
    op.add_column("predictions", sa.Column("precision", sa.Text, nullable=False, server_default=""))
    op.execute(SOURCE)
    _create()
    _fill()
    # After the rows: that is quicker, and the indexes take less room.
    for columns in (
        ("time",),
        ("label",),
        ("label", "time"),
        ("station_id",),
        ("station_id", "time"),
        ("station_id", "label", "time"),
        ("reviewed",),
        ("reviewed", "time"),
        ("reviewed", "probability"),
    ):
        op.create_index(f"ix_sighting_index_{'_'.join(columns)}", "sighting_index", columns)
    for name in ("reason", "reason_time"):
        op.execute(
            f"CREATE INDEX ix_sighting_index_{name} ON sighting_index ({name.replace('_', ', ')})"
            " WHERE reason IS NOT NULL"
        )
    for statement in COUNTS:
        op.execute(statement)
    op.execute(SIGHTINGS)


def _create() -> None:
    op.create_table(
        "sighting_index",
        _key("photo_id", sa.ForeignKey("photos.id")),
        sa.Column("time", sa.Text),
        *(sa.Column(f"{name}_id", ID) for name in ("station", "deployment", "place", "card")),
        sa.Column("label", sa.Text),
        sa.Column("probability", sa.Float),
        sa.Column("reason", sa.Text),
        sa.Column("reviewed", sa.Boolean, nullable=False),
        *(sa.Column(f"{name}_id", ID) for name in ("review", "prediction")),
    )
    op.create_table(
        "sighting_counts",
        sa.Column("span", sa.Text, primary_key=True),
        _key("station_id"),
        sa.Column("moment", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("reviewed", sa.Boolean, primary_key=True),
        sa.Column("photos", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "card_counts",
        _key("card_id", sa.ForeignKey("cards.id")),
        sa.Column("photos", sa.BigInteger, nullable=False),
        sa.Column("reviewed", sa.BigInteger, nullable=False),
    )


def _key(name: str, *references: sa.ForeignKey) -> sa.Column[Any]:
    return sa.Column(name, ID, *references, primary_key=True, autoincrement=False)


def _fill() -> None:
    connection = op.get_bind()
    last = connection.scalar(sa.text("SELECT max(id) FROM photos")) or 0
    fill = sa.text(
        "INSERT INTO sighting_index SELECT * FROM sighting_index_source"
        " WHERE photo_id > :after AND photo_id <= :upto"
    )
    told = -1
    for after in range(0, last, AT_ONCE):
        tenth = 10 * after // last
        if last >= MANY and tenth > told:
            told = tenth
            _log.warning("indexing the %s photos of the record: %d %%", f"{last:,}", 10 * tenth)
        connection.execute(fill, {"after": after, "upto": after + AT_ONCE})
    if last >= MANY:
        _log.warning("sorting the index of the record, which takes about as long")
