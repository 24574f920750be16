"""Paths of photos as programs need them that read the photos themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.errors import InputError

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Capture


class CardPaths:
    """Paths relative to a folder that holds all cards, each given once.

    `base` is the one card where there is one, else the folder that all cards lie in.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self._seen: set[int] = set()
        self._below: dict[str, str] = {}

    @classmethod
    def of(cls, store: Store, query: SightingQuery) -> CardPaths:
        """Return those of all cards of a record, or of the query's card.

        Raises:
            InputError: the cards have no folder in common.
        """
        if query.card is not None:
            return cls(str(Path(query.card).resolve()))
        roots = {card.root for card in store.cards()}
        try:
            return cls(os.path.commonpath(roots) if roots else "")
        except ValueError as error:
            raise InputError(
                "the cards have no folder in common", "export one at a time: --card DIR"
            ) from error

    def relative(self, capture: Capture) -> str:
        """Return a path with forward slashes.

        Raises:
            InputError: another photo was at the same path, as on cards that took turns in a reader.
        """
        below = self._below.get(capture.card)
        if below is None:
            inside = Path(capture.card).is_relative_to(self.base)
            shown = Path(capture.card).relative_to(self.base) if inside else Path()
            below = self._below[capture.card] = "" if shown == Path() else f"{shown.as_posix()}/"
        path = below + _true(capture)
        if hash(path) in self._seen:
            raise InputError(
                f"two photos were seen at {path} below {self.base}",
                "cards that took turns in one reader cannot be told apart by their paths: export"
                " one at a time, by --station or by --since and --until",
            )
        self._seen.add(hash(path))
        return path


def _true(capture: Capture) -> str:
    """Return the path as the file system has it, escaped only where it is not UTF-8."""
    try:
        return capture.path_bytes.decode()
    except UnicodeDecodeError:
        return capture.path
