"""`Desk`: the part of `Store` that the page asks: pages of sightings, one photo, decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Engine

from trapsort.store import counting, overview, paging, query, reviewing
from trapsort.store.details import (
    Detail,
    Original,
    find_detail,
    find_on_card,
    find_original,
    find_roots,
)
from trapsort.store.engine import reading, writing
from trapsort.store.overview import CardNow, OpenProblem, RunNow
from trapsort.store.paging import Asked, Page, Shown
from trapsort.store.rows import Sighting


class Desk:
    """What a person at the page sees and decides; threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Sightings ----------------------------------------------------------------------------------

    def page(self, asked: Asked, order: str, after: str | None, limit: int) -> Page:
        """Return the page after a key, see `paging.find_page`; raises `InputError` for no key."""
        with reading(self._engine) as connection:
            return paging.find_page(connection, asked, order, after, limit)

    def count_some(self, asked: Asked) -> int:
        """Return how many sightings there are, at most `paging.MOST_COUNTED`."""
        with reading(self._engine) as connection:
            return paging.count_some(connection, asked)

    def some(self, photo_ids: Sequence[int], red_list: str) -> list[Shown]:
        """Return the sightings of these photos, in their order; those not there are not."""
        with reading(self._engine) as connection:
            return paging.find_some(connection, photo_ids, red_list)

    def sightings(self, asked: Asked) -> Iterator[Sighting]:
        """Stream sightings as `Store.sightings` does."""
        with reading(self._engine) as connection:
            yield from query.find_sightings(connection, asked.query, *asked.more())

    def count(self, asked: Asked, by: str) -> list[tuple[str, int]]:
        """Count photos as `Store.count` does, also by 'hour' of the day."""
        with reading(self._engine) as connection:
            return counting.count_sightings(connection, asked.query, by, *asked.more())

    def detail(self, photo_id: int, red_list: str) -> Detail | None:
        """Return a photo and all that is known of it; None where there is no such photo."""
        with reading(self._engine) as connection:
            return find_detail(connection, photo_id, red_list)

    def original(self, photo_id: int) -> Original | None:
        """Return content and places of a photo; None where there is no such photo."""
        with reading(self._engine) as connection:
            return find_original(connection, photo_id)

    def roots(self) -> list[tuple[int, str]]:
        """Return the cards and their folders, those seen last first."""
        with reading(self._engine) as connection:
            return find_roots(connection)

    def on_card(self, card_id: int, after: int, limit: int) -> list[tuple[int, str, bytes]]:
        """Return photos that lie on a card, see `details.find_on_card`."""
        with reading(self._engine) as connection:
            return find_on_card(connection, card_id, after, limit)

    # Decisions ----------------------------------------------------------------------------------

    def decide(
        self,
        seen: Mapping[int, int | None],
        label: str | None,
        *,
        count: int = 1,
        reviewer: str,
        note: str = "",
    ) -> dict[int, int]:
        """Append one answer for each photo, all or none; return photo -> review.

        `seen` names the review in force that its author saw, None for none.

        Raises:
            InputError: a photo is not there.
            ConflictError: somebody else decided meanwhile.
        """
        with writing(self._engine) as connection:
            return reviewing.decide(
                connection, seen, label, count=count, reviewer=reviewer, note=note
            )

    def undo(self, review_ids: Iterable[int], *, reviewer: str) -> list[int]:
        """Take reviews back, all or none; return their photos.

        Raises:
            InputError: a review is not there.
        """
        with writing(self._engine) as connection:
            return reviewing.undo(connection, review_ids, reviewer)

    def uses(self) -> dict[str, int]:
        """Return how often people gave each label; those that only models gave have 0."""
        with reading(self._engine) as connection:
            return overview.count_uses(connection)

    # All of it ----------------------------------------------------------------------------------

    def cards(self) -> list[CardNow]:
        """Return every card with its last account, those first that were seen last."""
        with reading(self._engine) as connection:
            return overview.find_cards(connection)

    def problems(self, before: int | None, limit: int) -> list[OpenProblem]:
        """Return open problems, the newest first, those before an id."""
        with reading(self._engine) as connection:
            return overview.find_problems(connection, before, limit)

    def under_way(self) -> list[RunNow]:
        """Return the cards that are being taken in."""
        with reading(self._engine) as connection:
            return overview.find_under_way(connection)
