"""Near-duplicates: the index gives the answers of a plain search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapsort import near as room
from trapsort.near import NEAR_DUPLICATE_BITS, NearDuplicates

# Flips of few bits, within one chunk and across all of them.
FLIPS = st.lists(st.integers(0, 63), max_size=6).map(lambda bits: sum({1 << bit for bit in bits}))
HASHES = st.builds(
    lambda seen, flips: seen ^ flips,
    st.sampled_from([0, 2**64 - 1, 0x0123_4567_89AB_CDEF, 0x8000_8000_8000_8000]),
    FLIPS,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index for every three photos that are added."""
    monkeypatch.setattr(room, "TAIL", 3)
    monkeypatch.setattr(room, "RATIO", 2)


def plain(hashes: Sequence[int], value: int, most: int) -> tuple[int, int] | None:
    """Id, which is the place plus one, and distance of the first of the nearest."""
    distance, photo = min(
        ((each ^ value).bit_count(), place) for place, each in enumerate(hashes, start=1)
    )
    return (photo, distance) if distance <= most else None


def test_nearest_is_the_first_added_of_the_nearest() -> None:
    near = NearDuplicates(np.array([0b1111, 0b0001], np.uint64), np.array([5, 9], np.int64))
    assert near.nearest(0b0001) == (9, 0)
    assert near.nearest(0b0111) == (5, 1)
    near.add(12, 0b0001)
    assert near.nearest(0b0001) == (9, 0)
    assert len(near) == 3


def test_distance_limit_is_inclusive() -> None:
    near = NearDuplicates([2**64 - 1], [1])
    assert near.nearest(2**64 - 1 - 0b1111) == (1, 4)
    assert near.nearest(2**64 - 1 - 0b11111) is None
    assert near.nearest(2**64 - 1 - 0b11111, max_distance=5) == (1, 5)
    assert NEAR_DUPLICATE_BITS == 4


def test_nothing_is_near_in_an_empty_record() -> None:
    assert NearDuplicates().nearest(0, max_distance=64) is None


def test_hashes_and_ids_must_agree() -> None:
    with pytest.raises(ValueError, match="2 hashes for 1 photos"):
        NearDuplicates([1, 2], [1])


@pytest.mark.usefixtures("small")
@given(
    st.lists(HASHES, min_size=1, max_size=40), st.integers(0, 40), HASHES, st.sampled_from([2, 4])
)
def test_nearest_equals_a_plain_search(
    hashes: list[int], known: int, value: int, most: int
) -> None:
    ids = np.arange(1, len(hashes) + 1, dtype=np.int64)
    near = NearDuplicates(np.array(hashes[:known], np.uint64), ids[:known])
    for photo_id, each in enumerate(hashes[known:], start=known + 1):
        near.add(photo_id, each)
    assert len(near) == len(hashes)
    assert near.nearest(value, most) == plain(hashes, value, most)
    assert near.nearest(value, 64) == plain(hashes, value, 64)


@pytest.mark.usefixtures("small")
def test_a_hash_that_differs_in_one_bit_of_each_chunk_is_found() -> None:
    hashes = [2**63 - 1, 0x0001_0001_0001_0001, 0x8000_8000_8000_8000, 0xFF00]
    near = NearDuplicates(np.array(hashes, np.uint64), np.array([11, 12, 13, 14]))
    assert near.nearest(0) == (12, 4)
    assert near.nearest(0, max_distance=3) is None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("chunk", range(4))
def test_a_hash_that_agrees_in_one_chunk_alone_is_found(chunk: int) -> None:
    apart = sum(1 << 16 * other for other in range(4) if other != chunk)
    near = NearDuplicates(np.array([apart, *[2**64 - 1] * 3], np.uint64), np.arange(1, 5))
    assert near.nearest(0) == (1, 3)
    assert near.nearest(0b10 << 16 * (3 - chunk)) == plain([apart], 0b10 << 16 * (3 - chunk), 4)


def test_many_hashes_are_found_by_index_as_one_by_one() -> None:
    dice = np.random.default_rng(0)
    seen = dice.integers(0, 2**64, 40, dtype=np.uint64)  # as many cameras, each with its like
    hashes = seen[dice.integers(0, len(seen), 40_000)]
    for _ in range(6):
        hashes = hashes ^ np.uint64(1) << dice.integers(0, 64, len(hashes)).astype(np.uint64)
    near = NearDuplicates(hashes[:30_000], np.arange(1, 30_001))
    for photo_id, value in enumerate(hashes[30_000:].tolist(), start=30_001):
        near.add(photo_id, value)
    for value in (hashes[::800] ^ np.uint64(0b1000_0001)).tolist():
        distances = np.bitwise_count(hashes ^ np.uint64(value))
        first = int(distances.argmin())
        expected = (first + 1, int(distances[first])) if distances[first] <= 4 else None
        assert near.nearest(value) == expected


@pytest.mark.parametrize("photo_id", [2**31, -(2**31) - 1])
def test_ids_may_have_64_bits(photo_id: int) -> None:
    near = NearDuplicates([0], [1])
    near.add(photo_id, 2**64 - 1)
    assert near.nearest(2**64 - 1) == (photo_id, 0)
    assert NearDuplicates([7], [photo_id]).nearest(7) == (photo_id, 0)
