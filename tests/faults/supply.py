"""Contents to feed: photos that are all different, the same picture in other bytes, bad files."""

from __future__ import annotations

import csv
import hashlib
import io
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from random import Random

from PIL import Image

MOST_BYTES = 400_000
"""Larger photos are left out: copying them would slow the feeding, not the faults, down."""

_CARDS = ("serengeti", "heron", "camtrapR", "peru")
_START_OF_IMAGE = b"\xff\xd8"
_TIMES = (0x9003, 0x0132)  # DateTimeOriginal, DateTime


class Supply:
    """Gives contents, none twice; feeders in several threads may share one.

    `shared` is a folder with `cards`, `species11` and `badfiles`; without one, photos are those
    that `trapsort demo` draws in `folder`.
    """

    def __init__(self, shared: Path | None, folder: Path, seed: str) -> None:
        random = Random(seed)  # noqa: S311  # no secret
        if shared is None:
            from trapsort.demo import draw_card

            files = sorted(draw_card(folder / "drawn").folder.rglob("*.JPG"))
            files = [file for file in files if _decodes(file.read_bytes())]
            self._bad: list[Path] = []
        else:
            files = _small(path for card in _CARDS for path in (shared / "cards" / card).rglob("*"))
            pool = _small((shared / "species11").rglob("*.jpg"))
            files += random.sample(pool, min(600, len(pool)))
            self._bad = _hostile(shared / "badfiles")
        random.shuffle(files)
        self._files = files
        self._dated = [file for file in files if _camera_time(file.read_bytes())]
        self._lock = threading.Lock()
        self._serial = 0
        self._given: list[bytes] = []

    def photo(self) -> bytes:
        """A photo that was not given before."""
        with self._lock:
            self._serial += 1
            content = self._files[self._serial % len(self._files)].read_bytes()
            if self._serial >= len(self._files) or content in self._given:
                content = _remarked(content, self._serial)
            self._given.append(content)
        return content

    def same_picture(self, photo: bytes) -> bytes:
        """The picture and camera time of a JPEG in bytes that were not given before."""
        with self._lock:
            self._serial += 1
            content = _remarked(photo, self._serial)
            self._given.append(content)
        return content

    def two_moments(self, random: Random) -> tuple[bytes, bytes]:
        """Two photos with different camera times, as a camera makes under one name, used again."""
        while True:
            one, other = (random.choice(self._dated).read_bytes() for _ in range(2))
            if _camera_time(one) != _camera_time(other):
                return self.same_picture(one), self.same_picture(other)

    def given(self, random: Random) -> bytes:
        """A photo that was given before."""
        with self._lock:
            return random.choice(self._given)

    def bitmap(self) -> bytes:
        """A photo in a format whose first half decodes as well as the whole."""
        with Image.open(io.BytesIO(self.photo())) as image:
            small = image.convert("RGB").resize((160, 120))
        out = io.BytesIO()
        small.save(out, "BMP")
        content = out.getvalue()
        with self._lock:
            self._given.append(content)
        return content

    def trailed(self) -> bytes:
        """A JPEG with more behind its end, as some cameras write: its beginning is a photo too."""
        with self._lock:
            self._serial += 1
            serial = self._serial
        return self.photo() + b"".join(
            hashlib.sha256(f"{serial} {block}".encode()).digest() for block in range(600)
        )

    def bad(self, random: Random) -> bytes:
        """Bytes that are no readable photo."""
        kind = random.randrange(5 if self._bad else 4)
        if kind == 0:
            return b""
        if kind == 1:
            return random.randbytes(random.randrange(1, 20_000))
        if kind == 2:
            return f"notes of {random.random()}\n".encode()
        if kind == 4:
            return random.choice(self._bad).read_bytes()
        while True:  # a cut photo that still decodes is a photo
            photo = self._files[random.randrange(len(self._files))].read_bytes()
            cut = photo[: int(len(photo) * random.uniform(0.3, 0.7))]
            if not _decodes(cut):
                return cut


def _small(paths: Iterable[Path]) -> list[Path]:
    """JPEGs that are not too large, in order."""
    return sorted(
        path
        for path in paths
        if path.suffix.lower() == ".jpg" and path.is_file() and path.stat().st_size < MOST_BYTES
    )


def _hostile(folder: Path) -> list[Path]:
    """Files of decoders' own test sets that no decoder takes, or that are far too large."""
    with (folder / "manifest.csv").open(encoding="utf-8") as table:
        return [
            folder / row["file"]
            for row in csv.DictReader(table)
            if row["plain_pillow"] in ("EXC:UnidentifiedImageError", "EXC:DecompressionBombError")
        ]


def _decodes(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception:  # as Pillow does: nearly every type there is
        return False
    return True


def _camera_time(content: bytes) -> str | None:
    """When the camera says that the photo was taken, None where it does not."""
    with Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
    for text in (exif.get_ifd(0x8769).get(_TIMES[0]), exif.get(_TIMES[1])):
        try:
            return datetime.strptime(str(text), "%Y:%m:%d %H:%M:%S").isoformat()
        except ValueError:
            continue
    return None


def _remarked(jpeg: bytes, serial: int) -> bytes:
    """The same JPEG with a comment of its own behind the start marker."""
    assert jpeg.startswith(_START_OF_IMAGE)
    text = f"copy {serial}".encode()
    return _START_OF_IMAGE + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + jpeg[2:]
