"""Finds cards: folders that hold a folder `DCIM`, as every camera makes one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

CARD_LEVELS = 3
"""How far below a folder cards are looked for: /media/USER/CARD lies two below /media."""


def find_cards(place: Path, *, unlisted: Callable[[Path, OSError], None]) -> Iterator[Path]:
    """Yield the cards at and below `place`, at most `CARD_LEVELS` below, in path order.

    Inside a card no other one is looked for; hidden folders are left out and links not followed.
    `unlisted` is told of each folder that cannot be listed; one that went away has no card.
    """
    waiting = [(place, 0)]
    while waiting:
        folder, level = waiting.pop()
        try:
            names = _folders(folder)
        except OSError as error:
            unlisted(folder, error)
            continue
        if any(name.upper() == "DCIM" for name in names):
            yield folder
        elif level < CARD_LEVELS:
            waiting += [(folder / name, level + 1) for name in sorted(names, reverse=True)]


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]
