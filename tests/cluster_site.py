"""What a worker of the tests' cluster loads first: photos that kill it, and one that it misses.

Yellow photos kill whatever decodes them, as a crash in a decoder does; a file named unseen.jpg is
not there for workers. `decoded` counts what was decoded.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from trapsort import decode as room
from trapsort import examine
from trapsort.cluster import apart
from trapsort.decode import Frame
from trapsort.errors import PhotoError
from trapsort.fingerprint import Content, read_content
from trapsort.scan import Photo

YELLOW = (255, 255, 0)
DECODED = 0
_decode = room.decode


def decode(*arguments: Any, **options: Any) -> Frame:
    global DECODED
    frame = _decode(*arguments, **options)
    if tuple(frame.pixels[0, 0]) == YELLOW:
        os.kill(os.getpid(), signal.SIGKILL)
    DECODED += 1
    return frame


def read(photo: Photo) -> Content:
    if photo.relative.endswith(b"unseen.jpg"):
        raise PhotoError("unreadable", "No such file or directory") from FileNotFoundError(2, "no")
    return read_content(photo)


def decoded() -> int:
    """How many photos this process has decoded."""
    return DECODED


CODE = "from tests import cluster_site as s; s.arm(); import trapsort.cluster.apart as a; a.main()"


def arm() -> None:
    """Change this process, which is a worker's and not that of the tests."""
    examine.decode = decode
    examine.read_content = read
    apart.decode = decode
    apart.PROGRAM = [sys.executable, "-c", CODE]


def dask_setup(_worker: object) -> None:
    """Called by Dask in a worker that was told to load this module first."""
    arm()
