"""`Store`: the record, and the only place where a transaction opens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy import Connection, Engine

from trapsort.store import audit, captures, counting, index, reporting, write
from trapsort.store import query as ask
from trapsort.store.audit import CardRow, Original, PlaceRow
from trapsort.store.captures import Capture
from trapsort.store.desk import Desk
from trapsort.store.engine import BUSY_SECONDS, asking, connect, reading, writing
from trapsort.store.fieldwork import Fieldwork
from trapsort.store.first import find_first
from trapsort.store.hold import Hold, hold
from trapsort.store.imports import Imports
from trapsort.store.migrate import migrate
from trapsort.store.outbox import Outbox
from trapsort.store.reporting import Judged, NewPhotos, PhotoDay
from trapsort.store.rows import (
    Account,
    ModelRow,
    ProblemRow,
    Record,
    Recorded,
    Sighting,
    SightingQuery,
)
from trapsort.store.statements import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trapsort.scan import Photo, Problem

T = TypeVar("T")


class Store(Fieldwork, Imports):
    """The record of photos and sightings; every method but `group` is at most one transaction.

    Threads may share a store. Every method raises `DatabaseError` when the database fails; nothing
    of what it was to write is then there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, busy_seconds: float = BUSY_SECONDS) -> Self:
        """Open `sqlite:///FILE` or `postgresql://...`, created or migrated as needed.

        `busy_seconds` is how long a write waits for another program's.

        Raises:
            DatabaseError: it cannot be opened, is no database of trapsort, or is a newer one.
        """
        engine = connect(url, busy_seconds)
        try:
            migrate(engine)
            store = cls(engine)
            store._sync_red_list()
        except BaseException:
            engine.dispose()
            raise
        return store

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def hold(self, name: str = "watch") -> AbstractContextManager[Hold]:
        """Keep a second holder of this name, from any machine, off a server's database.

        On an SQLite file it does nothing: a lock file beside it keeps others off. A server may
        lose it with a session, so it is to be renewed now and then.

        Raises:
            BusyError: another one holds it; the message says who.
        """
        return hold(self._engine, name)

    @property
    def outbox(self) -> Outbox:
        """The alerts that are to leave this machine, or have left it."""
        return Outbox(self._engine)

    @property
    def desk(self) -> Desk:
        """What people see and decide on the page."""
        return Desk(self._engine)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Writing ------------------------------------------------------------------------------------

    def card(self, root: str | Path, *, volume: str = "", station: str | None = None) -> int:
        """Return the id of a card: of its latest row, or the one of the station that is given.

        A card that has no station yet gets that one; one of another station gets a new row, so
        that the photos which it brought from there stay there.
        """
        with writing(self._engine) as connection:
            return write.add_card(connection, root, volume, station)

    def model(self, name: str, version: str, digest: str, profile: str = "") -> int:
        """Return the id of a bundle, new or known by its digest; from now on it is preferred.

        `profile` names the site profile that is in force; `digest` is then that of both together.
        """
        with writing(self._engine) as connection:
            return write.add_model(connection, name, version, digest, profile)

    def record(
        self,
        card_id: int,
        model_id: int,
        *,
        records: Sequence[Record] = (),
        seen: Sequence[tuple[Photo, bytes]] = (),
        problems: Sequence[Problem] = (),
    ) -> Recorded:
        """Record a batch, whole or not at all; return its account and the ids of its photos.

        A record whose content is known already adds a place, and a prediction where this model has
        made none. `seen` are files with the sha256 of recorded photos (of this batch too): places.
        A place that can be read now resolves its problem, one that fails again renews it. A photo
        among both `records` and `problems` counts as recorded. Content that is found at a path of
        the card where there was other content supersedes it, unless both have camera times that
        differ; superseded content that is met again anywhere is live again.

        Raises:
            DatabaseError: nothing was recorded.
            KeyError: the content of one of `seen` is not recorded; neither is anything else.
        """
        with writing(self._engine) as connection:
            return write.add_batch(
                connection, card_id, model_id, records=records, seen=seen, failed=problems
            )

    def begin_run(self, card_id: int, model_id: int | None) -> int:
        """Note that a card is being taken in; return the run's id."""
        with writing(self._engine) as connection:
            return write.add_run(connection, card_id, model_id)

    def finish_run(self, run_id: int, account: Account) -> None:
        """Note what became of the card's files."""
        with writing(self._engine) as connection:
            write.end_run(connection, run_id, account)

    def review(
        self,
        photo_id: int,
        label: str | None,
        *,
        reviewer: str,
        count: int = 1,
        note: str = "",
    ) -> int:
        """Append what a person says of a photo (None: nobody can tell); return the review's id.

        Raises:
            InputError: there is no such photo.
        """
        with writing(self._engine) as connection:
            return write.add_review(connection, photo_id, label, count, reviewer, note)

    def resolve(self, problem_ids: Iterable[int]) -> None:
        """Note that these problems, ids of `unreadable`, are over."""
        ids = list(problem_ids)
        if ids:
            with writing(self._engine) as connection:
                write.resolve(connection, ids)

    def rebuild(self) -> None:
        """Make anew what is derived from the record: the index of sightings, and the counts.

        What writes to the record keeps them up to date; `trapsort doctor --full` compares.
        """
        with writing(self._engine) as connection:
            index.rebuild(connection)

    # Reading ------------------------------------------------------------------------------------

    def known(self, sha256s: Sequence[bytes], model_id: int) -> dict[bytes, bool]:
        """Return for each content that is recorded whether that model has given an answer.

        Superseded content is known, too: recorded as `seen` at a place, it is live again.
        """
        with asking(self._engine) as cursor:
            return ask.find_known(cursor, self._engine.dialect, sha256s, model_id)

    def perceptual_hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the perceptual hashes of live photos and the photos' ids, in order of the ids."""
        with reading(self._engine) as connection:
            return ask.find_hashes(connection)

    def sightings(
        self, query: SightingQuery | None = None, *, limit: int | None = None
    ) -> Iterator[Sighting]:
        """Stream sightings by time (none last), path and photo, a photo once.

        Superseded photos are left out; `limit` is how many are wanted. All come from one state of
        the database, however long the caller takes.
        """
        asked = query or SightingQuery()
        if limit is not None:
            return self._stream(lambda c: find_first(c, asked, limit))
        return self._stream(lambda c: ask.find_sightings(c, asked))

    def captures(
        self, query: SightingQuery | None = None, *, order: str = "deployment"
    ) -> Iterator[Capture]:
        """Stream photos with all that is known of each, by 'deployment', 'path' or 'photo'.

        By deployment means: those without one last, then by station, card, time and path.
        """
        asked = query or SightingQuery()
        return self._stream(lambda c: captures.find_captures(c, asked, order))

    @property
    def url(self) -> str:
        """Where the record is, with its password: to open it a second time, never to be shown."""
        return self._engine.url.render_as_string(hide_password=False)

    def last_photo_id(self) -> int:
        """Return the greatest id of a photo, 0 without any: there are at most so many."""
        with reading(self._engine) as connection:
            return captures.last_photo_id(connection)

    def labels_at(self) -> dict[tuple[str, str], set[str]]:
        """Return the labels seen at each place: ('station', NAME), without one ('card', ROOT)."""
        with reading(self._engine) as connection:
            return captures.find_labels_at(connection)

    def count(self, query: SightingQuery, by: str) -> list[tuple[str, int]]:
        """Count photos by 'species', 'station', 'day' or 'iucn'.

        Days come in their order, others the most frequent first. Photos without a station, day or
        category are counted under '', those without a label under 'unknown'.
        """
        with reading(self._engine) as connection:
            return counting.count_sightings(connection, query, by)

    def problems(
        self,
        since: str | None = None,
        until: str | None = None,
        include_resolved: bool = False,
    ) -> Iterator[ProblemRow]:
        """Stream problems by card and path, last seen between two times (UTC text, included)."""
        return self._stream(lambda c: ask.find_problems(c, since, until, include_resolved))

    def unreadable(self, root: str | Path, volume: str = "") -> list[tuple[int, bytes]]:
        """Return id and path of each open problem `unreadable` of a card."""
        with reading(self._engine) as connection:
            return ask.find_unreadable(connection, root, volume)

    def cards(self) -> list[CardRow]:
        """Return all cards, those first that were seen last."""
        with reading(self._engine) as connection:
            return audit.find_cards(connection)

    def places(self, card_id: int, paths: Iterable[bytes]) -> list[PlaceRow]:
        """Return what is at these paths of a card, the first seen first, superseded ones left out.

        Where a camera used a name again there are several.
        """
        with reading(self._engine) as connection:
            return audit.find_places(connection, card_id, paths)

    def open_problems(self, card_id: int, paths: Iterable[bytes]) -> dict[bytes, tuple[str, str]]:
        """Return reason and time last seen (UTC text) of the open problems at these paths."""
        with reading(self._engine) as connection:
            return audit.find_open_problems(connection, card_id, paths)

    def originals(self, sha256s: Iterable[bytes]) -> dict[bytes, Original]:
        """Return those of these contents that are recorded, superseded ones among them."""
        with reading(self._engine) as connection:
            return audit.find_originals(connection, sha256s)

    def cards_holding(self, contents: Mapping[bytes, bytes]) -> set[int]:
        """Return the cards that hold one of these contents (path -> sha256) at its path."""
        with reading(self._engine) as connection:
            return audit.find_cards_holding(connection, contents)

    def models(self) -> list[ModelRow]:
        """Return the models that have classified into this record, oldest first."""
        with reading(self._engine) as connection:
            return ask.find_models(connection)

    def photo_days(self) -> list[PhotoDay]:
        """Return every day on which a deployment's camera took a photo, by deployment and day."""
        with reading(self._engine) as connection:
            return reporting.find_photo_days(connection)

    def new_photos(self, since: str | None = None, until: str | None = None) -> NewPhotos:
        """Return the photos first recorded between two times (UTC text, included)."""
        with reading(self._engine) as connection:
            return reporting.find_recorded(connection, since, until)

    def undeployed(self) -> int:
        """Return how many photos belong to no deployment."""
        with reading(self._engine) as connection:
            return reporting.count_undeployed(connection)

    def first_at_stations(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return the photo in which each pair of station and label was first recorded."""
        with reading(self._engine) as connection:
            return reporting.find_first(connection, pairs)

    def judged(self) -> list[Judged]:
        """Return the newest review of each photo beside what trapsort's own model said last."""
        with reading(self._engine) as connection:
            return reporting.find_judged(connection)

    def showing_people(self, photo_ids: Iterable[int]) -> set[int]:
        """Return which of these photos show people, as anybody or any model ever said."""
        with reading(self._engine) as connection:
            return reporting.find_people(connection, photo_ids)

    def _stream(self, rows: Callable[[Connection], Iterator[T]]) -> Iterator[T]:
        with reading(self._engine) as connection:
            yield from rows(connection)

    def _sync_red_list(self) -> None:
        """Give SQL users of the view this version's Red List; mostly it is there already."""

        def key(row: Row) -> tuple[str, str]:
            return row["list"], row["label"]

        wanted = ask.red_list_rows()
        with reading(self._engine) as connection:
            stored = sorted(ask.stored_red_list(connection), key=key)
        if stored != wanted:
            with writing(self._engine) as connection:
                write.replace_red_list(connection, wanted)
