"""Photos as files of an export: their types, what is known of them, and verified copies."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.errors import InputError
from trapsort.scan import LINKED, open_below

if TYPE_CHECKING:
    from trapsort.store.captures import Capture

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "HEIF": "image/heif",
}
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # made once: once a photo is long


def exif_text(capture: Capture) -> str:
    """Return what the camera wrote as a JSON object with exiftool's names; never a position."""
    known = {
        "Make": capture.make,
        "Model": capture.camera_model,
        "SerialNumber": capture.serial,
        "DateTimeOriginal": capture.camera_time,
        "AmbientTemperature": capture.temperature_c,
        "MoonPhase": capture.moon,
        "ImageWidth": capture.width,
        "ImageHeight": capture.height,
    }
    return _ENCODER.encode({name: value for name, value in known.items() if value is not None})


def original(capture: Capture) -> bytes:
    """Return the bytes of a photo from the card that it was seen on, proven to be the same.

    Raises:
        InputError: it is not there any more, or has other content.
    """
    try:
        with open(
            capture.path, "rb", opener=lambda *_: open_below(Path(capture.card), capture.path_bytes)
        ) as file:
            data = file.read()
    except OSError as error:
        what = "a link" if error.errno in LINKED else error.strerror or str(error)
        raise InputError(
            f"{capture.path} of the card {capture.card} cannot be read: {what}",
            "put the card in where it was, or export photos of other cards (--card, --station)",
        ) from error
    if hashlib.sha256(data).digest() != capture.sha256:
        raise InputError(
            f"{capture.path} of the card {capture.card} is not the photo that was recorded",
            "put in the card that was taken in, or take this one in: trapsort ingest",
        )
    return data


class MediaFiles:
    """Copies of photos in a folder of the export."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, capture: Capture, name: str) -> None:
        """Copy a photo to a relative name; raises InputError where its original is missing."""
        write_new(self._folder / name, original(capture))


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, with its folders, and sync it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
