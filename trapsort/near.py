"""Which photo looks like this one: perceptual hashes, indexed by parts of their bits.

Two hashes that differ in at most three of their 64 bits agree in one of four chunks of 16 bits. Two
that differ in four and agree in no chunk differ in one bit of each, so also of the first. Thus the
four chunks, and the first one with each of its bits turned, find all of them (Norouzi, Punjani and
Fleet, "Fast exact search in Hamming space with multi-index hashing", 2014). 28 bytes a photo.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEAR_DUPLICATE_BITS = 4
"""Photos whose 64-bit hashes differ in at most so many bits are linked as near-duplicates."""

INDEXED_BITS = 4  # what the chunks find; who asks for more has all hashes looked at
CHUNKS, CHUNK_BITS = 4, 16
KEYS = 1 << CHUNK_BITS
TAIL = 1 << 14  # hashes that are looked at one by one: 10 microseconds
RATIO = 8  # an index takes in the next one that reaches an eighth of its size
NOTHING = (65, 0)  # farther than any

Found = tuple[int, int]
"""Distance in bits and the place in the order of addition: the smaller, the better."""


class NearDuplicates:
    """Perceptual hashes of all photos known so far: an index, smaller ones of later photos, and a
    few that no index has yet."""

    def __init__(
        self,
        hashes: NDArray[np.uint64] | Sequence[int] = (),
        ids: NDArray[np.int64] | Sequence[int] = (),
    ) -> None:
        if len(hashes) != len(ids):
            raise ValueError(f"{len(hashes)} hashes for {len(ids)} photos")
        self._count = len(hashes)
        self._ids = _small(np.array(ids, np.int64))
        self._tail = np.empty(TAIL, np.uint64)
        self._indexes: list[_Index] = []
        if self._count <= TAIL:
            self._tail[: self._count] = np.asarray(hashes, np.uint64)
            self._in_tail = self._count
        else:
            self._indexes.append(_Index(np.asarray(hashes, np.uint64)))
            self._in_tail = 0

    def __len__(self) -> int:
        return self._count

    def add(self, photo_id: int, value: int) -> None:
        """Make a photo findable."""
        if self._in_tail == TAIL:
            self._index_tail()
        if self._count == len(self._ids):
            # An eighth more: n additions copy some 8 n ids, and little room stays empty.
            room = max(1024, self._count // 8)
            self._ids = np.concatenate([self._ids, np.empty(room, self._ids.dtype)])
        if not -(2**31) <= photo_id < 2**31:
            self._ids = self._ids.astype(np.int64, copy=False)
        self._tail[self._in_tail] = value
        self._ids[self._count] = photo_id
        self._in_tail += 1
        self._count += 1

    def nearest(
        self, value: int, max_distance: int = NEAR_DUPLICATE_BITS
    ) -> tuple[int, int] | None:
        """Photo id and distance in bits of the nearest hash, the first added where several are.

        None where no hash lies within `max_distance`. More than `INDEXED_BITS` are looked for
        among all hashes, one by one.
        """
        wanted = np.uint64(value)
        best = NOTHING
        if max_distance <= INDEXED_BITS:
            for index in self._indexes:
                best = min(best, index.nearest(value))
        else:
            for index in self._indexes:
                best = min(best, _nearest(index.values, wanted, index.places))
        if self._in_tail:
            distances = np.bitwise_count(self._tail[: self._in_tail] ^ wanted)
            first = int(distances.argmin())
            best = min(best, (int(distances[first]), self._count - self._in_tail + first))
        distance, place = best
        return (int(self._ids[place]), distance) if distance <= max_distance else None

    def _index_tail(self) -> None:
        """Make an index of the tail, together with those that are hardly larger."""
        first = self._count - self._in_tail
        values = [self._tail[: self._in_tail].copy()]
        places = [np.arange(first, self._count, dtype=np.uint32)]
        size = self._in_tail
        while self._indexes and len(self._indexes[-1].values) <= RATIO * size:
            last = self._indexes.pop()
            values.append(last.values)
            places.append(last.places)
            size += len(last.values)
            del last
        self._indexes.append(_Index(np.concatenate(values), np.concatenate(places)))
        self._in_tail = 0


class _Index:
    """Distinct hashes in their order, each with the first place where it was added.

    `values` is uint64 (n), `places` uint32 (n). Of each chunk there is the order of the hashes by
    it, and where in it each of its values starts; that of the first chunk, the highest bits, is the
    order of the hashes themselves.
    """

    def __init__(
        self, hashes: NDArray[np.uint64], places: NDArray[np.uint32] | None = None
    ) -> None:
        # Each temporary array of ten million takes as much as an eighth of the index, or more.
        order = np.argsort(hashes)
        self.values = hashes[order]
        self.places = order.astype(np.uint32) if places is None else places[order]
        del order
        is_first = np.ones(len(hashes), np.bool_)
        np.not_equal(self.values[1:], self.values[:-1], out=is_first[1:])
        if not is_first.all():
            self.places = np.minimum.reduceat(self.places, np.flatnonzero(is_first))
            self.values = self.values[is_first]
        del is_first
        self._starts = [_starts(self._chunk(0))]
        self._orders: list[NDArray[np.uint32]] = []
        for chunk in range(1, CHUNKS):
            keys = self._chunk(chunk)
            self._starts.append(_starts(keys))
            self._orders.append(_order(keys))

    def nearest(self, value: int) -> Found:
        """Return the nearest hash within `INDEXED_BITS`, `NOTHING` or a farther one without."""
        wanted = np.uint64(value)
        low, high = self._range(0, value >> (64 - CHUNK_BITS))
        same = low + int(np.searchsorted(self.values[low:high], wanted))
        if same < high and self.values[same] == wanted:
            return 0, int(self.places[same])
        at = [np.arange(low, high, dtype=np.uint32)]
        for chunk, order in enumerate(self._orders, start=1):
            low, high = self._range(chunk, value >> _shift(chunk) & (KEYS - 1))
            at.append(order[low:high])
        rows = np.concatenate(at)
        best = NOTHING
        if len(rows):
            distances = np.bitwise_count(self.values[rows] ^ wanted)
            least = int(distances.min())
            best = least, int(self.places[rows[distances == least]].min())
        return best if best[0] < INDEXED_BITS else min(best, self._one_bit_in_each(value))

    def _one_bit_in_each(self, value: int) -> Found:
        """Return the nearest of those that differ in one bit of the first chunk."""
        first = value >> (64 - CHUNK_BITS)
        ranges = [self._range(0, first ^ 1 << bit) for bit in range(CHUNK_BITS)]
        values = np.concatenate([self.values[low:high] for low, high in ranges])
        if not len(values):
            return NOTHING
        distances = np.bitwise_count(values ^ np.uint64(value))
        least = int(distances.min())
        if least > INDEXED_BITS:
            return NOTHING
        places = np.concatenate([self.places[low:high] for low, high in ranges])
        return least, int(places[distances == least].min())

    def _range(self, chunk: int, key: int) -> tuple[int, int]:
        low, high = self._starts[chunk][key : key + 2]
        return int(low), int(high)

    def _chunk(self, chunk: int) -> NDArray[np.uint16]:
        return (self.values >> np.uint64(_shift(chunk))).astype(np.uint16)


def _shift(chunk: int) -> int:
    return 64 - CHUNK_BITS * (chunk + 1)


def _starts(keys: NDArray[np.uint16]) -> NDArray[np.uint32]:
    """Return where each key begins among the keys in their order, and their number at the end."""
    counts = np.bincount(keys, minlength=KEYS)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)


def _order(keys: NDArray[np.uint16]) -> NDArray[np.uint32]:
    """Return the rows in the order of their keys; sorted in place, which takes less memory."""
    packed = keys.astype(np.uint64)
    packed <<= np.uint64(32)
    packed |= np.arange(len(keys), dtype=np.uint32)
    packed.sort()
    return packed.astype(np.uint32)


def _nearest(values: NDArray[np.uint64], wanted: np.uint64, places: NDArray[np.uint32]) -> Found:
    distances = np.bitwise_count(values ^ wanted)
    least = int(distances.min())
    return least, int(places[distances == least].min())


def _small(ids: NDArray[np.int64]) -> NDArray[np.int64] | NDArray[np.int32]:
    """Return the ids in half the room if they fit."""
    fits = not len(ids) or (ids.min() >= -(2**31) and ids.max() < 2**31)
    return ids.astype(np.int32) if fits else ids
