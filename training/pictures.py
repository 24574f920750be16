"""What the files of a source hold: decoded as serving does, measured, and compared."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.leakage import digest_of
from training.sources import Photo
from trapsort.decode import Frame, decode, view
from trapsort.errors import InputError, PhotoError

_FULL = 100_000  # pixels; no side is longer, so nothing is made smaller


@dataclass(frozen=True, slots=True)
class Picture:
    """What a photo is once decoded: the size and mode of the file, and three sha256.

    file: of its bytes; decoded: of its upright RGB pixels; shown: of the network's input.
    """

    file: str
    decoded: str
    shown: str
    width: int
    height: int
    mode: str


def decode_all(photos: Sequence[Photo], pixels: NDArray[np.uint8]) -> list[Picture]:
    """Decode every photo as serving does into `pixels` (n, height, width, 3).

    Shows a bar with the time left. Raises `InputError` naming the photos that cannot be read.
    """
    height, width = pixels.shape[1:3]
    broken: list[str] = []

    def load(index: int) -> Picture | None:
        try:
            content = photos[index].path.read_bytes()
            frame = decode(content, (width, height))
            decoded = digest_of(np.asarray(view(content, _FULL)))
            mode = mode_of(content, frame)
        except (OSError, PhotoError) as error:
            broken.append(f"{photos[index].path}: {error}")
            return None
        pixels[index] = shown = frame.model_input
        file = hashlib.sha256(content).hexdigest()
        return Picture(file, decoded, digest_of(shown), frame.width, frame.height, mode)

    with (
        ThreadPoolExecutor() as pool,
        click.progressbar(
            length=len(photos), label="decoding", show_pos=True, file=sys.stderr
        ) as bar,
    ):
        found = []
        for picture in pool.map(load, range(len(photos))):
            found.append(picture)
            bar.update(1)
    refuse_broken(broken, len(photos))
    return [picture for picture in found if picture is not None]


def mode_of(content: bytes, frame: Frame) -> str:
    """The mode of a file that was decoded, as Pillow names it: `RGB`, `L`, `CMYK`, ..."""
    if frame.format == "HEIF":
        return "RGB"  # which is what its decoder makes of every one
    with Image.open(io.BytesIO(content)) as image:
        return image.mode


def refuse_broken(broken: Sequence[str], of: int) -> None:
    """Raise `InputError` with the first of the photos that cannot be read, where there are any."""
    if broken:
        shown = "\n".join(sorted(broken)[:5])
        more = f"\n... and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise InputError(
            f"{len(broken)} of {of} photos cannot be read:\n{shown}{more}",
            "Mend them or leave them out.",
        )


def duplicates(photos: Sequence[Photo], pictures: Sequence[Picture]) -> dict[int, int | None]:
    """Photos to leave out: index -> the twin that is kept, or None where twins have two labels.

    Twins are the same file, the same decoded picture, or the same input of the network.
    """
    labels: dict[str, set[str]] = {}
    for photo, picture in zip(photos, pictures, strict=True):
        for digest in (picture.decoded, picture.shown):
            labels.setdefault(digest, set()).add(photo.label)
    first: dict[str, int] = {}
    left_out: dict[int, int | None] = {}
    for index, picture in enumerate(pictures):
        digests = (picture.file, picture.decoded, picture.shown)
        twin = next((first[digest] for digest in digests if digest in first), None)
        if any(len(labels[digest]) > 1 for digest in digests[1:]):
            left_out[index] = None
        elif twin is not None:
            left_out[index] = twin
        else:
            first |= dict.fromkeys(digests, index)
    return left_out
