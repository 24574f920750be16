"""Test photos are used by nobody before `evaluate`: their digests are recorded, and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trapsort.errors import TrapsortError

TEST_DIGESTS = "test-digests.txt"


class LeakageError(TrapsortError):
    """A step that comes before `evaluate` was about to use a test photo."""

    exit_code = 1


def digest_of(pixels: NDArray[np.uint8]) -> str:
    """sha256 of a picture's shape and pixels, in hex."""
    shape = repr(pixels.shape).encode()
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def write_digests(folder: Path, digests: Iterable[str]) -> None:
    """Record the digests of the test photos' pixels in a folder."""
    text = "\n".join(sorted(digests)) + "\n"
    (folder / TEST_DIGESTS).write_text(text, encoding="utf-8")


def read_digests(folder: Path) -> frozenset[str]:
    """What `write_digests` recorded; raises `OSError`."""
    return frozenset((folder / TEST_DIGESTS).read_text(encoding="utf-8").split())


def check_unused(
    pixels: NDArray[np.uint8],
    index: NDArray[np.int64],
    digests: Collection[str],
    *,
    names: Sequence[str],
    step: str,
) -> NDArray[np.int64]:
    """`index` as it is, once the pixels of none of its photos are those of a test photo.

    names: of all photos. Raises `LeakageError`.
    """
    for place in index:
        if digest_of(pixels[place]) in digests:
            raise LeakageError(
                f"The step {step} was about to use the test photo {names[place]}.",
                "Run prepare anew; nothing was learned from it.",
            )
    return index
