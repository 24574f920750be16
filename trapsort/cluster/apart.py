"""Photos that may have killed a worker are decoded in a process of their own, which may die.

    python -m trapsort.cluster.apart < PHOTO

says `begun` once a photo is being decoded and `done` after it, whatever came out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from trapsort.decode import decode
from trapsort.errors import PhotoError
from trapsort.fingerprint import read_content
from trapsort.in_hand import MOST_DEATHS
from trapsort.scan import Photo
from trapsort.urls import Url, is_url

PROGRAM = [sys.executable, "-m", "trapsort.cluster.apart"]


def deaths(photo: Photo) -> int:
    """How many processes in a row died of a photo: `MOST_DEATHS`, or 0 once one survived."""
    told = json.dumps(
        {
            "card": os.fspath(photo.card),
            "relative": photo.relative.hex(),
            "size": photo.size,
            "mtime_ns": photo.mtime_ns,
            "version": photo.version,
        }
    )
    for _ in range(MOST_DEATHS):
        ran = subprocess.run(  # noqa: S603 - this Python, and this module
            PROGRAM, input=told.encode(), capture_output=True, check=False
        )
        if b"begun" not in ran.stdout or b"done" in ran.stdout:
            return 0  # what could not even begin says nothing of the photo
    return MOST_DEATHS


def main() -> None:
    """Decode the photo that standard input names."""
    told = json.load(sys.stdin)
    relative = bytes.fromhex(told["relative"])
    card = Url(told["card"]) if is_url(told["card"]) else Path(told["card"])
    path = card / os.fsdecode(relative)
    photo = Photo(card, path, relative, told["size"], told["mtime_ns"], told["version"])
    with suppress(PhotoError):
        content = read_content(photo)
        print("begun", flush=True)
        with suppress(Exception):  # whatever it is, the process lives
            decode(content.data)
    print("done", flush=True)


if __name__ == "__main__":
    main()
