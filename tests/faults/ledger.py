"""What was fed: the harness's own account, kept before each step, never read from the disk."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field

Place = tuple[str, bytes]
"""A card's folder and a path below it."""


def sha256(content: bytes) -> bytes:
    """Identity of a content."""
    return hashlib.sha256(content).digest()


@dataclass(frozen=True, slots=True)
class Fed:
    """The account at one moment.

    pairs: each content under each place where it ever was to be seen, whole; halves: the same of
    files that stood still before they were whole, longer than trapsort waits; sizes: bytes of all
    these contents; now: what must be recorded in the end; may: pairs that are over but may stay
    recorded (moved, or the name was used again); bad: places of files that are problems; paths:
    every place that was ever there.
    """

    pairs: frozenset[tuple[Place, bytes]]
    halves: frozenset[tuple[Place, bytes]]
    sizes: dict[bytes, int]
    now: dict[Place, bytes]
    may: frozenset[tuple[Place, bytes]]
    bad: frozenset[Place]
    paths: frozenset[Place]

    @property
    def gone(self) -> frozenset[Place]:
        """Places that hold nothing any more: whatever was recorded of them may stay."""
        return frozenset(place for place, _ in self.may) - self.now.keys()


@dataclass(slots=True)
class _Half:
    sha256: bytes
    since: float


@dataclass(slots=True)
class Ledger:
    """Several feeders write; whoever checks takes a `fed()` after its copy of the database.

    A file that is being written may be taken as it is only when nobody wrote to it for
    `patience` seconds: that is what trapsort promises to wait.
    """

    patience: float
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pairs: set[tuple[Place, bytes]] = field(default_factory=set)
    _halves: set[tuple[Place, bytes]] = field(default_factory=set)
    _sizes: dict[bytes, int] = field(default_factory=dict)
    _now: dict[Place, bytes] = field(default_factory=dict)
    _may: set[tuple[Place, bytes]] = field(default_factory=set)
    _bad: set[Place] = field(default_factory=set)
    _paths: set[Place] = field(default_factory=set)
    _writing: dict[Place, _Half] = field(default_factory=dict)

    def whole(self, place: Place, content: bytes, *, keeps_old: bool = False) -> None:
        """Say that a place is about to hold a whole photo; the one before may stay recorded."""
        key = sha256(content)
        with self._lock:
            if keeps_old and place in self._now:
                self._may.add((place, self._now[place]))
            self._end(place)
            self._pairs.add((place, key))
            self._sizes[key] = len(content)
            self._now[place] = key
            self._bad.discard(place)
            self._paths.add(place)

    def half(self, place: Place, content: bytes) -> None:
        """Say that a place is about to hold something that is not whole yet."""
        key = sha256(content)
        with self._lock:
            self._end(place)
            self._sizes[key] = len(content)
            self._writing[place] = _Half(key, time.monotonic())
            self._paths.add(place)

    def bad(self, place: Place) -> None:
        """Say that a place is about to hold what is no photo."""
        with self._lock:
            self._bad.add(place)
            self._paths.add(place)

    def moved(self, old: Place, new: Place) -> None:
        """Say that a whole photo is about to get another name.

        What was at the old one stays recorded there, also what this photo had replaced, if trapsort
        did not run in between: absence is never deletion.
        """
        with self._lock:
            key = self._now.pop(old)
            self._may |= {pair for pair in self._pairs | self._halves if pair[0] == old}
            self._pairs.add((new, key))
            self._now[new] = key
            self._paths.add(new)

    def here(self, card: str) -> list[Place]:
        """Places of a card that hold whole photos, in order."""
        with self._lock:
            return sorted(place for place in self._now if place[0] == card)

    def fed(self) -> Fed:
        """The account now."""
        with self._lock:
            standing = {
                (place, half.sha256) for place, half in self._writing.items() if self._stood(half)
            }
            return Fed(
                pairs=frozenset(self._pairs),
                halves=frozenset(self._halves | standing),
                sizes=dict(self._sizes),
                now=dict(self._now),
                may=frozenset(self._may),
                bad=frozenset(self._bad),
                paths=frozenset(self._paths),
            )

    def _end(self, place: Place) -> None:
        half = self._writing.pop(place, None)
        if half is not None and self._stood(half):
            self._halves.add((place, half.sha256))

    def _stood(self, half: _Half) -> bool:
        return time.monotonic() - half.since >= self.patience
