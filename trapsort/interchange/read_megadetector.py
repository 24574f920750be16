"""MegaDetector's batch results, formats 1.4 to 1.6, as many detectors and classifiers write them.

https://lila.science/megadetector-output-format
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trapsort.ensemble import Prediction
from trapsort.errors import InputError
from trapsort.interchange.detected import (
    MIN_CONFIDENCE,
    NOTHING,
    TOKENS,
    Box,
    Detected,
    LeftOut,
    Results,
    answer,
    blank,
    box_in,
    discounted,
    is_video,
    members,
    name_in,
    named,
    number,
)
from trapsort.interchange.json_stream import JsonFile, open_json

VERSIONS = ("1.4", "1.5", "1.6")
NO_NAME = "unnamed detector"


@dataclass(frozen=True, slots=True)
class _Head:
    """What holds for all images; categories by their ids, `least` the confidences that count."""

    detections: Mapping[str, str]
    classifications: Mapping[str, str]
    least: float
    least_named: float


def read_megadetector(path: Path, min_confidence: float | None = None) -> Results:
    """Read a file and check all of it; boxes below `min_confidence` count for nothing.

    If not given it is the file's own `typical_detection_threshold`, else `MIN_CONFIDENCE`.
    Raises `InputError` for a file that is not whole, another version, or values that cannot be.
    """
    file = open_json(path, "images")
    try:
        info = members(file.head.get("info"), "info", dict)
        version = str(info.get("format_version"))
        if version not in VERSIONS:
            raise InputError(
                f"{path} has the format version {version[:40]!r}.",
                f"trapsort reads MegaDetector's {', '.join(VERSIONS)}: have it written anew.",
            )
        detector = name_in(info.get("detector") or NO_NAME, "info.detector")
        classifier = info.get("classifier")
        classifications = _categories(file, "classification_categories", is_needed=False)
        if classifications:
            classifier = name_in(classifier or f"classifier of {detector}", "info.classifier")
        else:
            classifier = ""
        head = _Head(
            _categories(file, "detection_categories", is_needed=True),
            {key: _tokens(file, key, name) for key, name in classifications.items()},
            _threshold(info, "detector", "detection", min_confidence, MIN_CONFIDENCE),
            _threshold(info, "classifier", "classification", None, 0.0),
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}.", "Have it written anew.") from error
    files = boxes = 0
    for found in _entries(file, head):
        files += 1
        boxes += len(found.boxes) if isinstance(found, Detected) else 0
    again = partial(_entries, file, head)
    return Results("megadetector", detector, classifier, head.least, files, boxes, again)


def _categories(file: JsonFile, key: str, *, is_needed: bool) -> dict[str, str]:
    found = file.head.get(key)
    if found is None and not is_needed:
        return {}
    return {
        name_in(number_text, f"an id of {key}"): name_in(name, f"{key}[{number_text!r}]")
        for number_text, name in members(found, key, dict).items()
    }


def _tokens(file: JsonFile, key: str, name: str) -> str:
    """The seven tokens of a category where its description has them, else its own name."""
    described = file.head.get("classification_category_descriptions")
    text = described.get(key) if isinstance(described, dict) else None
    return text if isinstance(text, str) and text.count(";") == TOKENS - 1 else name


def _threshold(
    info: Mapping[str, Any], model: str, kind: str, given: float | None, default: float
) -> float:
    if given is not None:
        return given
    about = info.get(f"{model}_metadata")
    said = about.get(f"typical_{kind}_threshold") if isinstance(about, dict) else None
    return default if said is None else number(said, f"typical_{kind}_threshold")


def _entries(file: JsonFile, head: _Head) -> Iterator[Detected | LeftOut]:
    for place, entry in enumerate(file.read(), start=1):
        path = ""
        try:
            members(entry, "it", dict)
            path = entry.get("file")
            if not isinstance(path, str) or not path:
                raise ValueError("it has no file")
            found = _entry(path, entry, head)
        except ValueError as error:
            which = f" ({ascii(path)[1:-1]})" if isinstance(path, str) and path else ""
            raise InputError(
                f"{file.path}, image {place:,}{which}: {error}.",
                "Have it written anew; nothing was recorded of a file that is not sound.",
            ) from error
        yield found


def _entry(path: str, entry: Mapping[str, Any], head: _Head) -> Detected | LeftOut:
    detections = entry.get("detections")
    if is_video(path) or "frames_processed" in entry:
        return LeftOut(path, "video", "")
    failure = entry.get("failure")
    if failure is not None:
        return LeftOut(path, "failed", str(failure)[:200])
    if detections is None:
        raise ValueError("it has neither detections nor a failure")
    boxes = tuple(
        box for each in members(detections, "detections", list) if (box := _box(each, head))
    )
    sure = any(box.confidence >= head.least for box in boxes)
    return Detected(path, boxes, None if sure else blank(boxes))


def _box(entry: Any, head: _Head) -> Box | None:
    """A box; None for one of a category that the file does not list, which means no detection."""
    members(entry, "a detection", dict)
    confidence = number(entry.get("conf"), "conf")
    box = box_in(entry.get("bbox"))
    category = head.detections.get(str(entry.get("category")))
    if category is None or category.casefold() in NOTHING:
        return None
    found = Box(box, confidence, answer(category, confidence), _named(entry, head))
    return found if confidence >= head.least else found.discounted()


def _named(entry: Mapping[str, Any], head: _Head) -> Prediction | None:
    """What the classifier says of a box."""
    top = []
    for pair in members(entry.get("classifications") or [], "classifications", list):
        if not isinstance(pair, list) or len(pair) != 2 or str(pair[0]) not in head.classifications:
            raise ValueError(f"a classification is {ascii(pair)[:60]}, not a listed id and a score")
        top.append((head.classifications[str(pair[0])], number(pair[1], "a classification")))
    if not top:
        return None
    top.sort(key=lambda each: -each[1])
    name, score = top[0]
    said = named(name, score, top)
    return said if said is None or score >= head.least_named else discounted(said)
