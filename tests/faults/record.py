"""What a database must be after any fault, and what it says: read with plain SQL, on a copy."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.faults.ledger import Fed, Place

Answer = tuple[object, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State:
    """What a record says, free of ids and times: comparable between two databases.

    places: content under each place that is not superseded; photos: what is known of each such
    content; problems: reason of each open problem; ever: every content that is recorded.
    """

    places: frozenset[tuple[Place, bytes]]
    photos: dict[bytes, Answer]
    problems: dict[Place, str]
    ever: frozenset[bytes]


EMPTY = State(frozenset(), {}, {}, frozenset())


def copied(database: Path, folder: Path) -> Path | None:
    """Copy a database with its -wal and -shm, as a crash left them; None where there is none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (database.name, f"{database.name}-wal", f"{database.name}-shm"):
        if database.with_name(name).exists():
            shutil.copyfile(database.with_name(name), folder / name)
    copy = folder / database.name
    return copy if copy.exists() else None


def opened(database: Path) -> sqlite3.Connection:
    """A connection that only reads, also a database that a program is writing."""
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)


def state(connection: sqlite3.Connection) -> State:
    """What the record says; nothing where the schema is not there yet."""
    if not _columns(connection, "photos"):
        return EMPTY
    live = ""
    if "superseded" in _columns(connection, "places_seen"):
        live = "WHERE place.superseded IS NULL"
    places = frozenset(
        ((root, bytes(path)), bytes(sha256))
        for root, path, sha256 in connection.execute(
            "SELECT card.root, place.path_bytes, photo.sha256 FROM places_seen place"  # noqa: S608
            " JOIN cards card ON card.id = place.card_id"
            f" JOIN photos photo ON photo.id = place.photo_id {live}"
        )
    )
    known = {bytes(row[0]): row for row in connection.execute(_PHOTOS)}
    problems = {
        (root, bytes(path)): reason
        for root, path, reason in connection.execute(
            "SELECT card.root, problem.path_bytes, problem.reason FROM problems problem"
            " JOIN cards card ON card.id = problem.card_id WHERE problem.resolved IS NULL"
        )
    }
    shown = {sha256 for _, sha256 in places}
    photos = {sha256: row[1:] for sha256, row in known.items() if sha256 in shown}
    return State(places, photos, problems, frozenset(known))


_PHOTOS = """
    SELECT photo.sha256, photo.size, photo.camera_time, photo.width, photo.height, photo.format,
           photo.flags, prediction.label, prediction.reason, prediction.probability
    FROM photos photo
    LEFT JOIN regions region ON region.photo_id = photo.id
    LEFT JOIN predictions prediction ON prediction.region_id = region.id
"""


def violations(connection: sqlite3.Connection, fed: Fed) -> Iterator[str]:
    """What is wrong with a database at any moment, in words; nothing where there is no schema."""
    yield from _told("integrity_check", connection, "PRAGMA integrity_check", [("ok",)])
    yield from _told("foreign_key_check", connection, "PRAGMA foreign_key_check", [])
    if not _columns(connection, "photos"):
        return
    for text, query in _NEVER.items():
        yield from _told(text, connection, query, [])
    if "superseded" in _columns(connection, "places_seen"):
        for text, query in _NEVER_SUPERSEDED.items():
            yield from _told(text, connection, query, [])
    if _columns(connection, "sighting_index"):
        for text, query in _NEVER_DERIVED.items():
            yield from _told(text, connection, query, [])
    fed_pairs = fed.pairs | fed.halves
    fed_contents = {sha256 for _, sha256 in fed_pairs}
    for sha256, size in connection.execute("SELECT sha256, size FROM photos"):
        key = bytes(sha256)
        if key not in fed_contents:
            yield f"a content that was never fed: {key.hex()[:16]}, {size:,} bytes"
        elif fed.sizes[key] != size:
            yield f"another size than was fed: {key.hex()[:16]}, {size:,} bytes"
    pairs = connection.execute(
        "SELECT card.root, place.path_bytes, photo.sha256 FROM places_seen place"
        " JOIN cards card ON card.id = place.card_id JOIN photos photo ON photo.id = place.photo_id"
    )
    for root, path, sha256 in pairs:
        if ((root, bytes(path)), bytes(sha256)) not in fed_pairs:
            yield f"a place that was never fed: {bytes(path)!r} of {root}"
    for root, path, reason in connection.execute(
        "SELECT card.root, problem.path_bytes, problem.reason FROM problems problem"
        " JOIN cards card ON card.id = problem.card_id"
    ):
        if (root, bytes(path)) not in fed.paths:
            yield f"a problem ({reason}) of a file that was never fed: {bytes(path)!r} of {root}"
    for top, members in connection.execute("SELECT top, members FROM predictions"):
        if not json.loads(top) or not json.loads(members):
            yield f"a prediction without its parts: {top!r}, {members!r}"


_NEVER = {
    "a content twice": "SELECT hex(sha256) FROM photos GROUP BY sha256 HAVING count(*) > 1",
    "a place twice": """
        SELECT card.root, hex(path_bytes), photo_id FROM places_seen
        JOIN cards card ON card.id = card_id
        GROUP BY card.root, path_bytes, photo_id HAVING count(*) > 1""",
    "a problem twice": """
        SELECT card.root, hex(path_bytes) FROM problems JOIN cards card ON card.id = card_id
        GROUP BY card.root, path_bytes HAVING count(*) > 1""",
    "a photo without a place": """
        SELECT id FROM photos WHERE id NOT IN (SELECT photo_id FROM places_seen)""",
    "a photo without one whole prediction": """
        SELECT photo.id FROM photos photo
        LEFT JOIN regions region ON region.photo_id = photo.id
            AND region.x = 0 AND region.y = 0 AND region.width = 1 AND region.height = 1
        LEFT JOIN predictions prediction ON prediction.region_id = region.id
        GROUP BY photo.id HAVING count(prediction.id) != 1""",
    "a region without a prediction": """
        SELECT id FROM regions WHERE id NOT IN (SELECT region_id FROM predictions)""",
    "a prediction that says nothing": """
        SELECT id FROM predictions
        WHERE (label IS NULL) = (reason IS NULL) OR probability NOT BETWEEN 0 AND 1""",
    "more sightings of a photo than one": """
        SELECT photo_id FROM sightings GROUP BY photo_id HAVING count(*) > 1""",
}
"""What no database may hold -> the query that finds it."""

_NEVER_SUPERSEDED = {
    "a photo superseded although it has a place, or not although it has none": """
        SELECT photo.id FROM photos photo
        LEFT JOIN places_seen place ON place.photo_id = photo.id AND place.superseded IS NULL
        GROUP BY photo.id
        HAVING (photo.superseded_by IS NULL) != (count(place.id) > 0)""",
    "a superseded photo among the sightings": """
        SELECT photo_id FROM sightings
        WHERE photo_id IN (SELECT id FROM photos WHERE superseded_by IS NOT NULL)""",
}


_NEVER_DERIVED = {
    "an index that does not say what the record says": """
        SELECT * FROM (SELECT * FROM sighting_index_source EXCEPT SELECT * FROM sighting_index)
        UNION ALL
        SELECT * FROM (SELECT * FROM sighting_index EXCEPT SELECT * FROM sighting_index_source)""",
    "counts of days that do not add up": """
        SELECT station_id < 0, sum(photos) FROM sighting_counts WHERE span = 'day'
        GROUP BY 1 HAVING sum(photos) != (SELECT count(*) FROM sighting_index)""",
    "counts of cards that do not add up": """
        SELECT card_id, count(DISTINCT photo_id) FROM places_seen WHERE superseded IS NULL
        GROUP BY card_id
        EXCEPT SELECT card_id, photos FROM card_counts""",
}


def unfinished(now: State, fed: Fed, *, supersedes: bool) -> Iterator[str]:
    """What is missing or too much at the end, in words.

    With `supersedes` False, contents that are over may still be recorded under their places.
    """
    expected = frozenset(fed.now.items())
    yield from (f"never recorded: {_words(pair)}" for pair in _some(expected - now.places))
    over = fed.may if supersedes else fed.pairs | fed.halves
    extra = now.places - expected - over
    yield from (f"recorded although it is over: {_words(pair)}" for pair in _some(extra))
    for place in _some(fed.bad - now.problems.keys()):
        yield f"no problem was noted for the bad file {place[1]!r} of {place[0]}"
    for place in _some(now.problems.keys() - fed.bad - fed.gone):
        reason = now.problems[place]
        yield f"an open problem ({reason}) of the good file {place[1]!r} of {place[0]}"
    known = {place for place, _ in now.places}
    for place in _some(fed.bad & known):
        yield f"a bad file is recorded as a photo: {place[1]!r} of {place[0]}"


def differences(now: State, calm: State, fed: Fed) -> Iterator[str]:
    """Where a record differs from that of a run without faults on the same files."""
    places = frozenset(fed.now.items())
    for pair in _some((now.places & places) ^ calm.places):
        which = "the record without faults" if pair in now.places else "the record"
        yield f"{which} lacks {_words(pair)}"
    for sha256 in _some(now.photos.keys() & calm.photos.keys()):
        if not _same(now.photos[sha256], calm.photos[sha256]):
            yield f"{now.photos[sha256]} is, without faults, {calm.photos[sha256]}"
    for place in _some((now.problems.keys() | calm.problems.keys()) - fed.gone):
        found, expected = now.problems.get(place), calm.problems.get(place)
        if found != expected:
            yield f"the problem of {place[1]!r} of {place[0]} is {found}, without faults {expected}"


def _same(one: Answer, other: Answer) -> bool:
    """Whether two answers are equal; a probability, the last of each, to five decimals."""
    pair = one[-1], other[-1]
    if not all(isinstance(value, float) for value in pair):
        return one == other
    return one[:-1] == other[:-1] and abs(float(str(pair[0])) - float(str(pair[1]))) < 1e-5


def supersedes(connection: sqlite3.Connection) -> bool:
    """Whether this schema knows superseded places."""
    return "superseded" in _columns(connection, "places_seen")


def described(database: Path) -> State:
    """What the record in a database file says."""
    with closing(opened(database)) as connection:
        return state(connection)


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def _told(
    text: str, connection: sqlite3.Connection, query: str, expected: list[Answer]
) -> Iterator[str]:
    rows = connection.execute(query).fetchall()
    if rows != expected:
        yield f"{text}: {rows[:5]}"


def _words(pair: tuple[Place, bytes]) -> str:
    (root, path), sha256 = pair
    return f"{path!r} of {root} ({sha256.hex()[:16]})"


def _some(items: Iterable[T]) -> list[T]:
    """In an order of their own, so that the same fault is told in the same words."""
    return sorted(items, key=repr)
