"""A Camtrap DP package as it lies on the disk: what it says of itself, and its long tables sorted.

Tables of any length are sorted in a scratch database, so memory stays flat.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from trapsort.errors import InputError
from trapsort.interchange import camtrap_tables as tables

ROWS_AT_ONCE = 10_000
MISSING = ("", "NA", "NaN", "nan")

# What an occurrence and a media file need; the rest of a row is not kept.
OBSERVED = (
    *("deploymentID", "eventStart", "eventEnd", "observationID", "eventID", "scientificName"),
    *("count", "sex", "lifeStage", "behavior", "individualID", "classificationMethod"),
    *("classifiedBy", "classificationTimestamp", "classificationProbability"),
    *("observationTags", "observationComments"),
)
FILED = (
    *("deploymentID", "timestamp", "fileName", "mediaID", "captureMethod", "filePath"),
    *("filePublic", "fileMediatype", "favorite", "mediaComments"),
)


_OBSERVED = itemgetter(*map(tables.OBSERVATIONS.index, OBSERVED))
_FILED = itemgetter(*map(tables.MEDIA.index, FILED))
LEVEL, KIND, EVENT, MEDIA_OF = map(
    tables.OBSERVATIONS.index, ("observationLevel", "observationType", "eventID", "mediaID")
)


@dataclass(frozen=True, slots=True)
class Description:
    """What the package says of itself; '' where it does not."""

    dataset_id: str
    name: str
    collection: str
    licence: str
    media_licence: str
    rights_holder: str
    precision: str
    taxon_ids: Mapping[str, str]


def read_description(package: Path) -> Description:
    """Read datapackage.json; raises InputError where it is missing or says nothing useful."""
    path = package / tables.PACKAGE[0]
    try:
        return description_of(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(
            f"{package} is no Camtrap DP package: {path.name} cannot be read: {error.strerror}",
            "name the folder with datapackage.json",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no description of a Camtrap DP package: {error!r}", "make the package again"
        ) from error


def description_of(found: dict[str, Any]) -> Description:
    """Return what the object in datapackage.json says."""
    licences = {each.get("scope"): each.get("name", "") for each in found.get("licenses", ())}
    people = found.get("contributors", ())
    holders = (each["title"] for each in people if each.get("role") == "rightsHolder")
    sources = found.get("sources") or [{}]
    taxa = found.get("taxonomic", ())
    return Description(
        dataset_id=str(found.get("id") or ""),
        name=str(found.get("title") or ""),
        collection=str(sources[0].get("title") or ""),
        licence=licences.get("data", ""),
        media_licence=licences.get("media", ""),
        rights_holder=next(holders, ""),
        precision=number(str(found.get("coordinatePrecision", ""))),
        taxon_ids={each["scientificName"]: each.get("taxonID", "") for each in taxa},
    )


def _rows(package: Path, name: str, wanted: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the wanted columns of a table, missing values as ''."""
    path = package / f"{name}.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            places = [header.index(column) for column in wanted]
            for row in reader:
                yield tuple("" if row[at] in MISSING else row[at] for at in places)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", "make the package again"
        ) from error
    except (ValueError, IndexError, csv.Error) as error:
        raise InputError(
            f"{path} is no table of Camtrap DP: {error}", "make the package again"
        ) from error


Row = tuple[Any, ...]


class Scratch:
    """What an archive is made of, in a scratch database: animals' events and the media files."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # Large pages: fewer and larger reads and writes; nothing here must outlast a crash.
        for pragma in ("page_size = 32768", "journal_mode = OFF", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"CREATE TABLE seen ({', '.join(OBSERVED)})")
        connection.execute(f"CREATE TABLE media ({', '.join(FILED)}, eventID)")
        self._seen: list[Sequence[str]] = []
        self._media: list[Sequence[str | None]] = []

    def add(self, media: Sequence[Row], observations: Sequence[Row]) -> None:
        """Take the rows of one visit, in the order of Camtrap DP's columns."""
        animals = [row for row in observations if is_animal_event(row)]
        if animals:
            event = animals[0][EVENT]
            self._seen += map(_seen, animals)
            self._media += ((*_filed(row), event) for row in media)
            if len(self._media) > ROWS_AT_ONCE:
                self._keep()

    def load(self, package: Path) -> dict[str, dict[str, str]]:
        """Take all rows of a package; return the deployments by their id."""
        columns = tables.DEPLOYMENTS
        deployments = {
            row[0]: dict(zip(columns, row, strict=True))
            for row in _rows(package, "deployments", columns)
        }
        for row in deployments.values():
            tables.check_deployment(row)
        self.connection.execute("CREATE TABLE links (mediaID, eventID)")
        links: list[tuple[str, str]] = []
        for observation in _rows(package, "observations", tables.OBSERVATIONS):
            if observation[MEDIA_OF] and observation[EVENT]:
                links.append((observation[MEDIA_OF], observation[EVENT]))
            if is_animal_event(observation):
                self._seen.append(_seen(observation))
            if len(links) + len(self._seen) > ROWS_AT_ONCE:
                self._keep(links)
        self._keep(links)
        for file in _rows(package, "media", tables.MEDIA):
            self._media.append((*_filed(file), None))
            if len(self._media) > ROWS_AT_ONCE:
                self._keep()
        self._keep()
        self._link()
        return deployments

    def finish(self) -> None:
        """Make what was taken ready to be asked for."""
        self._keep()
        self.connection.execute("CREATE INDEX by_event ON media (deploymentID, eventID)")

    def unnamed(self) -> int:
        """Return how many animals' events say nothing of the species."""
        question = "SELECT count(*) FROM seen WHERE scientificName = ''"
        return int(self.connection.execute(question).fetchone()[0])

    def _keep(self, links: list[tuple[str, str]] | None = None) -> None:
        if links:
            self.connection.executemany("INSERT INTO links VALUES (?, ?)", links)
            links.clear()
        self.connection.executemany(_insert("seen", len(OBSERVED)), self._seen)
        self.connection.executemany(_insert("media", len(FILED) + 1), self._media)
        self._seen.clear()
        self._media.clear()

    def _link(self) -> None:
        """Give each media file its event: its observations', else the one in whose time it lies."""
        self.connection.execute("CREATE INDEX by_media ON links (mediaID, eventID)")
        self.connection.execute(
            "UPDATE media SET eventID = (SELECT min(links.eventID) FROM links"
            " WHERE links.mediaID = media.mediaID)"
        )
        if self.connection.execute("SELECT 1 FROM links LIMIT 1").fetchone() is None:
            self.connection.execute("CREATE INDEX by_start ON seen (deploymentID, eventStart)")
            self.connection.execute(
                "UPDATE media SET eventID = (SELECT seen.eventID FROM seen"
                " WHERE seen.deploymentID = media.deploymentID"
                " AND seen.eventStart <= media.timestamp AND seen.eventEnd >= media.timestamp"
                " ORDER BY seen.eventStart DESC LIMIT 1)"
            )


def is_animal_event(row: Sequence[str]) -> bool:
    """Whether a row of the observations, in the order of its columns, is what an archive holds."""
    return row[LEVEL] == "event" and row[KIND] == "animal"


def _seen(row: Sequence[str]) -> tuple[str, ...]:
    deployment, start, end, *rest = _OBSERVED(row)
    return (deployment, utc(start), utc(end), *rest)


def _filed(row: Sequence[str]) -> tuple[str, ...]:
    deployment, time, *rest = _FILED(row)
    return (deployment, utc(time), *rest)


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608 - our own names


@lru_cache(maxsize=10_000)  # a photo's time is mostly that of its event as well
def utc(text: str) -> str:
    """Return a time as UTC text, '' for none."""
    if not text or (len(text) == 20 and text.endswith("Z")):
        return text
    if len(text) == 25:  # the usual 2026-03-01T10:00:00+03:00, three times as fast
        return f"{(datetime.fromisoformat(text[:19]) - _offset(text[19:])).isoformat()}Z"
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def _offset(text: str) -> timedelta:
    return datetime.strptime(text, "%z").utcoffset() or timedelta()


def number(text: str) -> str:
    """Return a number without spare digits, as R writes it."""
    return f"{float(text):.15g}" if text else ""
