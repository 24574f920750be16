"""Many files in one folder: does the memory stay flat, and how fast is it?

    python -m tests.scale 200000

Listing, reading, recording and linking are those of the program; pixels and what they show are
made up, unless `--whole` is given. Ends with 1 where the memory grew with the number of files.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.toy import write_bundle
from trapsort import examine
from trapsort.bundle import load_bundle
from trapsort.decode import SIDE, Frame
from trapsort.ensemble import Classifier, Prediction
from trapsort.errors import PhotoError
from trapsort.examine import Item
from trapsort.pipeline import Progress, ingest
from trapsort.session import open_session
from trapsort.store import Account, Store

BAD_EVERY = 50
BYTES_A_FILE = 64
"""What a file may leave in memory: its perceptual hash and id, indexed (28), and some room."""
SLACK = 5 * 1024 * 1024
"""Bytes by which the memory of a process wavers."""

# A bitmap of 8 x 8 pixels in 24 bits: the file's header and that of the picture.
_HEADER = bytes.fromhex(
    "424d f600 0000 0000 0000 3600 0000 2800 0000 0800 0000 0800 0000 0100 1800 0000 0000 c000 0000"
    "130b 0000 130b 0000 0000 0000 0000 0000"
)


def draw(folder: Path, count: int) -> None:
    """Write files with contents of their own, all but every fiftieth a photo."""
    folder.mkdir()
    dice = random.Random(0)  # noqa: S311 - a drawing, not a secret
    for number in range(count):
        content = b"note %d" % number if number % BAD_EVERY == 7 else _HEADER + dice.randbytes(192)
        (folder / f"IMG_{number:07}.BMP").write_bytes(content)


def memory() -> int:
    """Bytes of memory that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@dataclass
class Course:
    """Memory in bytes and seconds since the start, each time that a hundredth was done."""

    count: int
    begun: float = field(default_factory=time.monotonic)
    files: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, progress: Progress) -> None:
        """Note the memory once for each hundredth of the files."""
        if progress.files * 100 >= self.count * (len(self.files) + 1):
            self.files.append(progress.files)
            self.held.append(memory())
            self.seconds = time.monotonic() - self.begun

    @property
    def growth(self) -> int:
        """Bytes that were added from the first quarter of the files to the last."""
        quarter = max(1, len(self.held) // 4)
        return max(self.held[-quarter:]) - max(self.held[:quarter])

    @property
    def is_flat(self) -> bool:
        """Whether no more was added than what each file may leave."""
        return self.growth <= SLACK + self.count * BYTES_A_FILE

    @property
    def sentence(self) -> str:
        """What was measured."""
        return (
            f"{self.count:,} files in {self.seconds:.0f} s, {self.count / self.seconds:.0f}/s; "
            f"memory {self.held[0] >> 20} MB at the start, {self.held[-1] >> 20} MB at the end, "
            f"{max(0, self.growth) / self.count:.0f} bytes more a file"
        )


@contextmanager
def made_up_pixels() -> Iterator[None]:
    """No decoding, hashing and classifying, which take most of the time and no memory that stays.

    What cannot be decoded still cannot.
    """
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    hashes = random.Random(1)  # noqa: S311 - a drawing, not a secret
    prediction = Prediction("Lion", 0.9, None, (("Lion", 0.9),), ())

    def decode(data: bytes, size: tuple[int, int], *, keep: object = None) -> Frame:
        if data[:2] != b"BM":
            raise PhotoError("not_an_image", "a note")
        return Frame(pixels, pixels, 8, 8, "BMP", ())

    def classify(self: Classifier, frames: Sequence[Frame]) -> list[Prediction]:
        return [prediction] * len(frames)

    with (
        patch.object(examine, "decode", decode),
        patch.object(examine, "perceptual_hash", lambda _: hashes.getrandbits(64)),
        patch.object(Classifier, "classify", classify),
    ):
        yield


def measure(
    folder: Path, count: int, *, whole: bool, skip: Callable[[Item], bool] | None = None
) -> tuple[Course, Account]:
    """Draw `count` files into a folder below `folder` and take them in."""
    card = folder / "card"
    draw(card, count)
    bundle = load_bundle(write_bundle(folder / "toy"))
    classifier = Classifier(bundle, open_session(bundle))
    pixels = nullcontext() if whole else made_up_pixels()
    with pixels, Store.open(f"sqlite:///{folder / 'record.sqlite3'}") as store:
        course = Course(count)
        account = ingest(
            card,
            store=store,
            classifier=classifier,
            workers=2,
            skip=skip,
            on_progress=course.note,
        )
    return course, account


def main() -> int:
    """Measure as many files as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("count", type=int, help="files in the folder")
    parser.add_argument("--whole", action="store_true", help="decode and classify as well")
    parser.add_argument("--leak", type=int, default=0, help="bytes to lose with each file")
    arguments = parser.parse_args()
    kept: list[bytes] = []

    def leak(item: Item) -> bool:
        kept.append(item.relative.ljust(arguments.leak))
        return False

    with tempfile.TemporaryDirectory(prefix="trapsort-scale-") as folder:
        course, account = measure(Path(folder), arguments.count, whole=arguments.whole, skip=leak)
    print(account.sentence)
    print(course.sentence)
    bad = len(range(7, arguments.count, BAD_EVERY))
    expected = Account(arguments.count, arguments.count - bad, 0, bad)
    return 0 if course.is_flat and account == expected else 1


if __name__ == "__main__":
    sys.exit(main())
