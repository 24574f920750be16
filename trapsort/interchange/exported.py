"""What an export tells the person who asked for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exported:
    """How many photos were written, and what one must know of those that were not."""

    photos: int
    notes: tuple[str, ...] = ()


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return '1 photo' or '4,812 photos'; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
