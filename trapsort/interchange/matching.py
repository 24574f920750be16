"""Which recorded photo a path in somebody's file means: found by rule, never guessed.

A path may be that on the card, or begin with the card's folder or some of its last folders:
`DCIM/100EK113/EK000001.JPG`, `peru/DCIM/...`, `/media/ana/peru/DCIM/...`, `E:\\peru\\DCIM\\...`.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trapsort.errors import InputError
from trapsort.scan import card_of
from trapsort.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """A card, and which paths are looked for on it.

    `root`: the folders of its path; `below`: the folders on it that the file's paths begin at;
    `named`: whether the user named it, so that what comes before a path on it does not matter.
    """

    id: int
    root: tuple[str, ...]
    below: tuple[str, ...] = ()
    named: bool = False


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Why a path means no photo: `reason` is 'unknown' or 'ambiguous'."""

    reason: str
    detail: str


class Matcher:
    """Finds photos by path; `card` is the folder that the paths are relative to, or a volume.

    Raises `InputError` where nothing was taken in from that card.
    """

    def __init__(self, store: Store, card: Path | None = None) -> None:
        self._store = store
        self._places = _places(store, card)
        self._roots = {row.id: row.root for row in store.cards()}

    def match(self, paths: Iterable[str]) -> dict[str, int | NoMatch]:
        """Return for each path the photo's id, or why there is none."""
        distinct = list(dict.fromkeys(paths))
        meant = {path: list(candidates(path, self._places)) for path in distinct}
        wanted: dict[int, set[bytes]] = {}
        for pairs in meant.values():
            for card, relative in pairs:
                wanted.setdefault(card, set()).add(relative)
        found = self._store.photos_at(wanted)
        return {path: self._one(meant[path], found) for path in distinct}

    def _one(
        self, meant: Sequence[tuple[int, bytes]], found: Mapping[tuple[int, bytes], set[int]]
    ) -> int | NoMatch:
        there = {pair: found[pair] for pair in meant if pair in found}
        ids = set().union(*there.values())
        if len(ids) == 1:
            return ids.pop()
        if not ids:
            return NoMatch("unknown", "")
        cards = sorted({self._roots[card] for card, _ in there})
        on = f"on {', '.join(cards[:3])}{', ...' if len(cards) > 3 else ''}"
        return NoMatch("ambiguous", f"{len(ids)} photos {on}")


def candidates(path: str, places: Iterable[Place]) -> Iterator[tuple[int, bytes]]:
    """The cards (ids) and paths on them that a path may mean."""
    spellings = {_folders(path), _folders(path.replace("\\", "/"))} - {()}
    for place in places:
        for parts in spellings:
            for cut in range(len(parts)):
                before, rest = parts[:cut], parts[cut:]
                if place.named or agrees(before, place.root):
                    relative = "/".join((*place.below, *rest))
                    yield place.id, relative.encode("utf-8", "surrogateescape")


def agrees(before: Sequence[str], root: Sequence[str]) -> bool:
    """Whether the folders before a path on a card are the last of the card's own, or end in all."""
    return all(a == b for a, b in zip(reversed(before), reversed(root), strict=False))


def _folders(path: str) -> tuple[str, ...]:
    return tuple(part for part in posixpath.normpath(path).split("/") if part not in ("", "."))


def _places(store: Store, card: Path | None) -> list[Place]:
    rows = store.cards()
    all_places = [Place(row.id, _folders(row.root.replace("\\", "/"))) for row in rows]
    if card is None:
        return all_places
    if of_volume := [row.id for row in rows if row.volume and row.volume == str(card)]:
        return [Place(p.id, p.root, named=True) for p in all_places if p.id in of_volume]
    named = [_named(place, wanted) for wanted in _spellings(card) for place in all_places]
    meant = {place.id: place for place in named if place is not None}
    if not meant:
        known = ", ".join(sorted({row.root for row in rows})[:10]) or "none"
        raise InputError(
            f"nothing was taken in from {card}",
            f"take it in first (trapsort ingest {card}); recorded cards: {known}",
        )
    if card.is_dir():  # cards that take turns in one reader: the one that is in it now
        volume = card_of(card).volume
        here = {row.id for row in rows if row.volume == volume}
        meant = {id_: place for id_, place in meant.items() if id_ in here} or meant
    return list(meant.values())


def _spellings(card: Path) -> list[tuple[str, ...]]:
    absolute = os.path.abspath(card)  # noqa: PTH100 - as `scan` names a card
    both = dict.fromkeys((absolute, str(card.resolve())))
    return [_folders(path.replace("\\", "/")) for path in both]


def _named(place: Place, wanted: tuple[str, ...]) -> Place | None:
    """A card as `--card` names it: itself, a folder on it, or a folder that it lies in."""
    root = place.root
    if wanted[: len(root)] == root:
        return Place(place.id, root, wanted[len(root) :], named=True)
    # Paths begin with the folders between: `agrees` sees to it.
    return Place(place.id, root[len(wanted) :]) if root[: len(wanted)] == wanted else None
