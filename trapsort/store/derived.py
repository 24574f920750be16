"""What is derived from the record, so that questions about ten million photos are quick.

`index` keeps it up to date, in the transaction of each change; nothing here is told nowhere else.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    text,
)

from trapsort.store.tables import METADATA, Id

REASON = text("reason IS NOT NULL")
ALL_STATIONS, NO_STATION = -1, 0

# What each live photo shows now, in columns with indexes; one row a photo.
sighting_index = Table(
    "sighting_index",
    METADATA,
    Column("photo_id", Id, ForeignKey("photos.id"), primary_key=True, autoincrement=False),
    Column("time", Text),
    Column("station_id", Id),
    Column("deployment_id", Id),
    Column("place_id", Id),  # the first where it was seen and nothing took its place
    Column("card_id", Id),  # of that place
    Column("label", Text),
    Column("probability", Float),
    Column("reason", Text),
    Column("reviewed", Boolean, nullable=False),
    Column("review_id", Id),
    Column("prediction_id", Id),
    # Those without a time or a probability are for the order of the photos, by which they end.
    Index(None, "time"),
    Index(None, "label"),
    Index(None, "label", "time"),
    Index(None, "station_id"),
    Index(None, "station_id", "time"),
    Index(None, "station_id", "label", "time"),
    Index(None, "reviewed"),
    Index(None, "reviewed", "time"),
    Index(None, "reviewed", "probability"),
    Index(None, "reason", sqlite_where=REASON, postgresql_where=REASON),
    Index(None, "reason", "time", sqlite_where=REASON, postgresql_where=REASON),
)

# The same, made anew from the rest of the record: a view that the table must equal.
sighting_index_source = Table(
    "sighting_index_source",
    MetaData(),
    *(Column(column.name, column.type) for column in sighting_index.columns),
)

# How many photos of `sighting_index`. `moment` is a day in the rows of span 'day' and an
# hour, '00' to '23', in those of 'hour'; '' where there is no time, as `label` where there is none.
# `station_id` is 0 for no station, and -1 in the rows that count the days of all.
sighting_counts = Table(
    "sighting_counts",
    METADATA,
    Column("span", Text, primary_key=True),
    Column("station_id", Id, primary_key=True, autoincrement=False),
    Column("moment", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("reviewed", Boolean, primary_key=True),
    Column("photos", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Photos that were ever seen on a card and nothing took the place of there.
card_counts = Table(
    "card_counts",
    METADATA,
    Column("card_id", Id, ForeignKey("cards.id"), primary_key=True, autoincrement=False),
    Column("photos", BigInteger, nullable=False),
    Column("reviewed", BigInteger, nullable=False),
)
