"""Proof, from the record, that nothing on a card was lost: every file, and what became of it.

The files are those of the scan that ingest does, and nothing is written. They are told by path,
size and time, or by their contents, which are then read again; so a card may lie elsewhere now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.decode import decode
from trapsort.errors import InputError, PhotoError
from trapsort.fingerprint import read_content
from trapsort.scan import Card, Photo, Problem, card_of, display_name, scan
from trapsort.store import Account, Store
from trapsort.store.write import root_text

if TYPE_CHECKING:
    from trapsort.store.audit import Original, PlaceRow

ACCOUNTED = ("recorded", "seen_before", "problem")
"""States of files that the record accounts for; `missing` and `changed` are the others."""

LISTED_AT_ONCE, READ_AT_ONCE = 200, 16  # files that are looked up together
LOOKS = 8  # handfuls that may tell which card this was
CLOCK_SECONDS = 2  # the resolution of times on FAT
NOT_RECORDED = "not in the record"
ROTTEN = "other content at the recorded size and time: the card or its reader fails"

Item = Photo | Problem
OpenProblem = tuple[str, str]  # reason, time last seen (UTC text)
Judge = Callable[[Item, "Sequence[PlaceRow]", OpenProblem | None], "Finding | None"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the record says of one file; `state` is one of `ACCOUNTED`, `missing` or `changed`."""

    relative: bytes
    state: str
    detail: str = ""

    @property
    def name(self) -> str:
        """Relative path as safe text."""
        return display_name(self.relative)


@dataclass(frozen=True, slots=True)
class CardView:
    """A card of the record as it is seen from a folder that is looked at.

    A path below that folder, without `stripped` in front and with `added`, is one on the card.
    """

    card_id: int
    stripped: bytes = b""
    added: bytes = b""

    def path_of(self, relative: bytes) -> bytes | None:
        """The path on the card; None for a file that lies beside the card."""
        if not relative.startswith(self.stripped):
            return None
        return self.added + relative.removeprefix(self.stripped)


@dataclass(slots=True)
class Views:
    """The record seen from one folder: all cards that lie in it, or that it lies in."""

    store: Store
    all: list[CardView] = field(default_factory=list)

    def places(self, relatives: Iterable[bytes]) -> dict[bytes, list[PlaceRow]]:
        """What the record has at each path, the first seen first."""
        found: dict[bytes, list[PlaceRow]] = {}
        for view, paths in self._paths(relatives):
            for place in self.store.places(view.card_id, paths):
                found.setdefault(paths[place.path], []).append(place)
        return {path: sorted(each, key=lambda place: place.id) for path, each in found.items()}

    def problems(self, relatives: Iterable[bytes]) -> dict[bytes, OpenProblem]:
        """The open problem of each path that has one."""
        found: dict[bytes, OpenProblem] = {}
        for view, paths in self._paths(relatives):
            problems = self.store.open_problems(view.card_id, paths)
            found |= {paths[path]: problem for path, problem in problems.items()}
        return found

    def is_first(self, original: Original, relative: bytes) -> bool:
        """Whether a content was seen at this very path before any other."""
        place = (original.card_id, original.path)
        return any((view.card_id, view.path_of(relative)) == place for view in self.all)

    def _paths(self, relatives: Iterable[bytes]) -> Iterator[tuple[CardView, dict[bytes, bytes]]]:
        wanted = list(relatives)
        for view in self.all:
            paths = {path: each for each in wanted if (path := view.path_of(each)) is not None}
            if paths:
                yield view, paths


def views_of(store: Store, card: Card) -> Views:
    """The cards of the record that lie in a folder, are it or hold it, on the same volumes.

    So `DCIM` of a card that was taken in whole is known, and a card whose `DCIM` was.
    """
    root, top = Path(card.root), root_text(card.root)
    above = {root_text(folder): folder for folder in (root, *root.parents)}
    volumes: dict[str, str | None] = {top: card.volume}
    views = []
    for row in store.cards():
        folder = above.get(row.root) or Path(row.root)
        if row.root not in above and not folder.is_relative_to(root):
            continue
        if row.root not in volumes:
            volumes[row.root] = _volume(folder)
        if volumes[row.root] == row.volume:
            stripped, added = _below(folder, root), _below(root, folder)
            views.append(CardView(row.id, stripped=stripped, added=added))
    return Views(store, views)


def _volume(folder: Path) -> str | None:
    try:
        return card_of(folder).volume
    except InputError:  # not there any more
        return None


def _below(inner: Path, outer: Path) -> bytes:
    """The way from one folder to another below it, as in front of a relative path."""
    if inner == outer or not inner.is_relative_to(outer):
        return b""
    return os.fsencode(inner.relative_to(outer).as_posix()) + b"/"


def audit(root: Path, *, store: Store, views: Views, by_content: bool = False) -> Iterator[Finding]:
    """Say of each file below `root`, in the order of the card, what the record knows of it.

    `views` are those of `views_of`. `by_content` reads every file: what has another content than
    the record says is found then, and so is a card that was taken in under another path. Raises
    `InputError` for a root that is not there or goes away, `DatabaseError` for a database that
    fails.
    """
    card, items = card_of(root), scan(root)
    if by_content:
        views = _with_former(views, root)
    while handful := list(islice(items, READ_AT_ONCE if by_content else LISTED_AT_ONCE)):
        places = views.places(item.relative for item in handful)
        problems = views.problems(item.relative for item in handful)
        judge = _by_content(handful, card, views) if by_content else _by_listing
        for item in handful:
            here, problem = places.get(item.relative, []), problems.get(item.relative)
            if (finding := judge(item, here, problem)) is not None:
                yield finding


def sentence(states: Mapping[str, int]) -> str:
    """The account of a card as ingest words it, and what is not accounted for.

    `states`: how many files have each state.
    """
    recorded, seen_before, problems = (states.get(state, 0) for state in ACCOUNTED)
    account = Account(sum(states.values()), recorded, seen_before, problems)
    lost = sum(number for state, number in states.items() if state not in ACCOUNTED)
    return account.sentence + (f", {lost:,} not accounted for" if lost else "")


def _with_former(views: Views, root: Path) -> Views:
    """Add the cards that hold the first contents at the same paths: this card, elsewhere then."""
    items = (item for item in scan(root) if isinstance(item, Photo))
    found: set[int] = set()
    for _ in range(LOOKS):
        contents = {}
        for item in islice(items, READ_AT_ONCE):
            with suppress(PhotoError):
                contents[item.relative] = read_content(item).sha256
        if found := views.store.cards_holding(contents):
            break
    known = {view.card_id for view in views.all}
    return Views(views.store, [*views.all, *map(CardView, sorted(found - known))])


def _by_content(handful: Sequence[Item], card: Card, views: Views) -> Judge:
    """Read a handful of files and return what judges them by their contents."""
    contents: dict[bytes, bytes] = {}
    unread: dict[bytes, str] = {}
    for item in handful:
        if isinstance(item, Problem):
            unread[item.relative] = item.reason
            continue
        try:
            contents[item.relative] = read_content(item).sha256
        except PhotoError as error:
            card.check_is_there()
            if not isinstance(error.__cause__, FileNotFoundError):  # gone since the scan
                unread[item.relative] = error.reason
    originals = views.store.originals(contents.values())

    def judge(item: Item, here: Sequence[PlaceRow], problem: OpenProblem | None) -> Finding | None:
        if item.relative in unread:
            return _of_unreadable(item, unread[item.relative], here, problem)
        if item.relative not in contents or isinstance(item, Problem):
            return None
        if original := originals.get(contents[item.relative]):
            return _of_recorded(item, original, views)
        return _of_unknown(item, here, problem)

    return judge


def _by_listing(item: Item, here: Sequence[PlaceRow], problem: OpenProblem | None) -> Finding:
    """Judge a file by its path, size and time alone."""
    if isinstance(item, Problem):
        return _of_unreadable(item, item.reason, [], problem)
    same = [each for each in here if (each.size, each.mtime_ns) == (item.size, item.mtime_ns)]
    if same:
        first = any(each.is_first for each in same)
        return Finding(item.relative, "recorded" if first else "seen_before")
    if problem is not None and not _is_newer(item, problem):
        return Finding(item.relative, "problem", problem[0])
    if problem is not None:
        return Finding(item.relative, "changed", f"written after it was noted as {problem[0]}")
    if here:
        return Finding(item.relative, "changed", "its size or time is not the recorded one")
    return Finding(item.relative, "missing", NOT_RECORDED)


def _is_newer(photo: Photo, problem: OpenProblem) -> bool:
    """Whether a file was written after its problem was noted; a time in the future tells nothing.

    The record holds no size of a file that is no photo.
    """
    noted = datetime.fromisoformat(problem[1]).timestamp()
    return noted + CLOCK_SECONDS < photo.mtime_ns / 1e9 <= datetime.now(UTC).timestamp()


def _of_recorded(photo: Photo, original: Original, views: Views) -> Finding:
    """Judge a file whose content is recorded, here or elsewhere."""
    if original.card_id is None:
        return Finding(photo.relative, "changed", "an earlier content of this file is back")
    state = "recorded" if views.is_first(original, photo.relative) else "seen_before"
    return Finding(photo.relative, state)


def _of_unknown(photo: Photo, here: Sequence[PlaceRow], problem: OpenProblem | None) -> Finding:
    """Judge a file whose content is not recorded: is it still what its problem says?"""
    if problem is not None and problem[0] == "fatal":
        return Finding(photo.relative, "problem", problem[0])  # it would end this program, too
    if problem is not None:
        try:
            decode(read_content(photo).data)
        except PhotoError:
            return Finding(photo.relative, "problem", problem[0])
        return Finding(photo.relative, "changed", f"was {problem[0]} and can be read now")
    if any((each.size, each.mtime_ns) == (photo.size, photo.mtime_ns) for each in here):
        return Finding(photo.relative, "changed", ROTTEN)
    if here:
        return Finding(photo.relative, "changed", "its content is not the recorded one")
    return Finding(photo.relative, "missing", NOT_RECORDED)


def _of_unreadable(
    item: Item, reason: str, here: Sequence[PlaceRow], problem: OpenProblem | None
) -> Finding:
    """Judge what is no file to read, or cannot be read now."""
    if problem is not None:
        return Finding(item.relative, "problem", problem[0])
    if here:
        return Finding(item.relative, "changed", f"recorded, but cannot be compared: {reason}")
    return Finding(item.relative, "missing", f"{NOT_RECORDED}: {reason}")
