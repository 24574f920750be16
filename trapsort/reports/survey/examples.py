"""Example photos with heat maps: the most threatened species first, of each its most certain photo.

A photo is shown only if the very file that was recorded is still at hand, and never if it shows
people. It is drawn anew and small, so it carries no EXIF.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.errors import PhotoError
from trapsort.reports.survey.summary import in_words, joined, shown, spoken

if TYPE_CHECKING:
    from PIL.Image import Image

    from trapsort.ensemble import Classifier
    from trapsort.store import Detection, Store

LONGEST = 480  # pixels of the longer side
QUALITY = 78  # of the JPEG, 0..100
TRIES = 25  # photos of a species that are looked for before it is left out


@dataclass(frozen=True, slots=True)
class Example:
    """A photo on the page: JPEGs in base 64, `heat` '' without a heat map; sizes in pixels."""

    label: str
    iucn: str
    picture: str
    heat: str
    width: int
    height: int
    alt: str
    heat_alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Examples:
    """Example photos and the words above them; `wanted` False where none were asked for."""

    wanted: bool
    words: str = ""
    photos: tuple[Example, ...] = ()


def examples(
    store: Store,
    detections: Iterable[Detection],
    species: Sequence[tuple[str, str]],
    classifier: Classifier | None,
    *,
    most: int,
) -> Examples:
    """Return one photo of each species, in the order given (label, category), at most so many."""
    if not most:
        return Examples(False)
    ranked = _ranked(detections)
    asked = species[:most]
    candidates = [each for label, _ in asked for each in ranked[label][:TRIES]]
    people = store.showing_people(each.photo_id for each in candidates)
    made: list[Example] = []
    missing: list[str] = []
    hidden: list[str] = []
    for label, category in asked:
        safe = [each for each in ranked[label][:TRIES] if each.photo_id not in people]
        photo = next(_shown(safe, category, classifier), None)
        if photo is not None:
            made.append(photo)
        else:
            (missing if safe else hidden).append(shown(label))
    return Examples(True, _words(made, missing, hidden, classifier), tuple(made))


def _ranked(detections: Iterable[Detection]) -> dict[str, list[Detection]]:
    """Return the detections of each species, reviewed ones first, then by probability."""
    ranked: dict[str, list[Detection]] = {}
    for each in detections:
        ranked.setdefault(each.label, []).append(each)
    for mine in ranked.values():
        mine.sort(key=lambda d: (not d.reviewed, -(d.probability or 0), d.time, d.photo_id))
    return ranked


def _words(
    made: Sequence[Example],
    missing: Sequence[str],
    hidden: Sequence[str],
    classifier: Classifier | None,
) -> str:
    words = "The most certain photo of each species, the threatened ones first"
    if any(photo.heat for photo in made):
        words += (
            "; beside it what spoke for the name in the eyes of the model (Grad-CAM, warm colours)"
        )
    words += "."
    if made and classifier is None:
        words += " No heat maps: the model could not be opened."
    if missing:
        words += f" Left out because the originals are not at hand: {joined(missing)}."
    if hidden:
        words += f" Left out because the photos may show people: {joined(hidden)}."
    return words + " Photos of people are never shown."


def _shown(
    detections: Iterable[Detection], category: str, classifier: Classifier | None
) -> Iterator[Example]:
    for detection in detections:
        data = original(detection)
        if data is not None:
            try:
                yield _example(detection, data, category, classifier)
            except PhotoError:
                continue


def original(detection: Detection) -> bytes | None:
    """Return the bytes of a photo where it was recorded from; None if they are not there now."""
    from trapsort.fingerprint import read_content
    from trapsort.scan import Photo

    card = Path(detection.card)
    path = card / detection.path
    try:
        status = path.lstat()
        relative = os.fsencode(detection.path)
        photo = Photo(card, path, relative, status.st_size, status.st_mtime_ns)
        content = read_content(photo)
    except (OSError, ValueError, PhotoError):
        return None
    return content.data if content.sha256.hex() == detection.sha256 else None


def _example(
    detection: Detection, data: bytes, category: str, classifier: Classifier | None
) -> Example:
    from trapsort.decode import view

    picture = view(data, LONGEST)
    heat = _heat(data, picture, detection.label, classifier)
    name = shown(detection.label)
    said = (
        "named by a person"
        if detection.reviewed
        else f"probability {detection.probability or 0:.1%}"
    )
    moment = datetime.fromisoformat(detection.time)
    where = f"Station {detection.station}, " if detection.station else ""
    red = f", {in_words(category)}" if category else ""
    return Example(
        label=name,
        iucn=category,
        picture=_jpeg(picture),
        heat=_jpeg(heat) if heat is not None else "",
        width=picture.width,
        height=picture.height,
        alt=f"Camera-trap photo of {name}{red}, {spoken(moment)}",
        heat_alt=f"The same photo with a heat map of what spoke for {name}",
        caption=f"{where}{spoken(moment)}, {moment:%H:%M}; {said}.",
    )


def _heat(data: bytes, picture: Image, label: str, classifier: Classifier | None) -> Image | None:
    """Return the photo with what spoke for a label over it; None where the model knows it not."""
    if classifier is None or label not in classifier.bundle.labels:
        return None
    from trapsort.decode import decode
    from trapsort.explain import heat_map, overlaid

    frame = decode(data, classifier.bundle.size)
    maps = classifier.session.maps(frame.model_input[None])[0]
    return overlaid(picture, heat_map(maps, classifier.bundle.labels.index(label)))


def _jpeg(picture: Image) -> str:
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
