"""Species as keywords that photo programs show: XMP sidecars, or JPEG copies with them inside.

`lr:hierarchicalSubject` is what Lightroom and camtrapR read (camtrapR only from inside a file),
`digiKam:TagsList` what digiKam writes, `dc:subject` what everything reads. XMP: ISO 16684-1; in a
JPEG it is an APP1 segment (XMP specification part 3, 1.1.3).
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

from trapsort.errors import InputError
from trapsort.interchange.card_paths import CardPaths
from trapsort.interchange.exported import Exported, counted
from trapsort.interchange.media import original, write_new
from trapsort.interchange.names import common_name, is_species, kind_of, taxon_of
from trapsort.interchange.place import check_place, new_folder
from trapsort.interchange.sites import plain_path
from trapsort.interchange.streamed import captures

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Capture

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SPACES = {
    "x": "adobe:ns:meta/",
    "rdf": RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
}
_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_PACKET = "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>\n"  # the id is XMP's own
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
MOST_BYTES = 65_533 - len(_HEADER)  # an APP1 segment counts its own two length bytes


def export(
    store: Store,
    query: SightingQuery,
    out: Path | None,
    *,
    embed_into: Path | None = None,
    force: bool = False,
) -> Exported:
    """Write a sidecar a photo below `out`, or copies of the photos with keywords inside.

    Both keep the folders of the cards. Copies are made of JPEG files only.

    Raises:
        InputError: neither or both places are given, an original is missing, or they cannot be
            written.
    """
    target = embed_into or out
    if target is None or (out is not None and embed_into is not None):
        raise InputError(
            "keywords go into sidecars or into copies of the photos",
            "give --out DIR or --embed-into DIR",
        )
    check_place(target, store)
    suffixes = (".xmp",) if embed_into is None else (".jpg", ".jpeg")
    paths = CardPaths.of(store, query)
    photos = others = 0
    with new_folder(
        target, force=force, is_ours=lambda path: path.suffix.lower() in suffixes
    ) as folder:
        sidecars = Sidecars(folder)
        for capture in captures(store, query, order="path"):
            name = plain_path(paths.relative(capture))
            if embed_into is None:
                sidecars.add(f"{name}.xmp", packet_of(capture))
            elif name.lower().endswith(suffixes):
                write_new(folder / name, with_xmp(original(capture), packet_of(capture)))
            else:
                others += 1
                continue
            photos += 1
        _sync_all()
    notes = [f"the folders below {target} are those below {paths.base}"]
    if others:
        notes.append(
            f"not copied: {counted(others, 'photo')} in another format than JPEG; use sidecars"
        )
    return Exported(photos=photos, notes=tuple(notes))


def packet_of(capture: Capture) -> bytes:
    """Return what a photo shows as XMP: the species, else the kind of thing."""
    if capture.label is not None and is_species(capture.label):
        return packet(common_name(capture.label), taxon_of(capture.label).scientific_name)
    kind = kind_of(capture.label, capture.reason, reviewed=capture.reviewed)
    return packet(kind, branch="Kind")  # whatever stands below Species counts as one in camtrapR


@cache  # a million photos show a few species
def packet(word: str, scientific_name: str = "", *, branch: str = "Species") -> bytes:
    """Return an XMP packet in UTF-8 with a keyword, and the same below a branch of the tree."""
    for prefix, uri in SPACES.items():
        Xml.register_namespace(prefix, uri)
    meta = Xml.Element(f"{{{SPACES['x']}}}xmpmeta")
    about = Xml.SubElement(Xml.SubElement(meta, f"{{{RDF}}}RDF"), f"{{{RDF}}}Description")
    about.set(f"{{{RDF}}}about", "")
    level = word.replace("|", "-").replace("/", "-")  # these two part the levels
    for space, name, kind, words in (
        ("dc", "subject", "Bag", [word, *([scientific_name] if scientific_name else [])]),
        ("lr", "hierarchicalSubject", "Bag", [f"{branch}|{level}"]),
        ("digiKam", "TagsList", "Seq", [f"{branch}/{level}"]),
    ):
        parent = Xml.SubElement(about, f"{{{SPACES[space]}}}{name}")
        listed = Xml.SubElement(parent, f"{{{RDF}}}{kind}")
        for text in words:
            Xml.SubElement(listed, f"{{{RDF}}}li").text = _printable(text)
    Xml.indent(meta, " ")
    body = Xml.tostring(meta, encoding="unicode")
    return f"{_PACKET}{body}\n<?xpacket end='w'?>\n".encode("utf-8", "backslashreplace")


def with_xmp(jpeg: bytes, xmp: bytes) -> bytes:
    """Return a JPEG file with an XMP segment instead of any that it has; all else is untouched.

    It stands after the leading APP0 and APP1 segments, where readers look for it.

    Raises:
        InputError: it is no JPEG file, or there are too many keywords for a segment.
    """
    if len(xmp) > MOST_BYTES:
        raise InputError(
            f"{len(xmp):,} bytes of keywords do not fit into a JPEG file", "write sidecars: --out"
        )
    segment = b"\xff\xe1" + struct.pack(">H", len(_HEADER) + len(xmp) + 2) + _HEADER + xmp
    head, at = [b"\xff\xd8"], 2
    for start, end, marker in _segments(jpeg):
        if marker not in (0xE0, 0xE1):
            break
        if not jpeg.startswith(_HEADER, start + 4):
            head.append(jpeg[start:end])
        at = end
    return b"".join((*head, segment, jpeg[at:]))


def _segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and marker of the segments before the image data."""
    if not jpeg.startswith(b"\xff\xd8\xff"):
        raise InputError("a photo is no JPEG file inside", "write sidecars: --out")
    at = 2
    while jpeg[at : at + 1] == b"\xff" and at + 4 <= len(jpeg):
        marker = jpeg[at + 1]
        if marker == 0xDA or 0xD0 <= marker <= 0xD9 or marker in (0x01, 0xFF):
            return
        end = at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        yield at, end, marker
        at = end


def _printable(word: str) -> str:
    """Return text that XML can hold."""
    return "".join(each if each.isprintable() else "_" for each in word)


class Sidecars:
    """Small new files below a folder; `_sync_all` makes them last.

    All at once at the end, because a million files take hours each on its own; and by the plain
    calls of the system, because Python's file objects take as long again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._made: set[str] = set()

    def add(self, name: str, data: bytes) -> None:
        """Write a file by its relative name, with forward slashes, and its folders."""
        below = name.rpartition("/")[0]
        if below not in self._made:
            os.makedirs(f"{self._folder}/{below}", exist_ok=True)  # noqa: PTH103
            self._made.add(below)
        handle = os.open(f"{self._folder}/{name}", _NEW, 0o666)
        try:
            if os.write(handle, data) < len(data):  # the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)


def _sync_all() -> None:
    if hasattr(os, "sync"):  # not on Windows
        os.sync()
