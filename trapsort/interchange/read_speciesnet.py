"""SpeciesNet's predictions, versions 4 and 5 (https://github.com/google/cameratrapai).

Version 4 says one thing of a photo, version 5 one of each box; both list the detector's boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trapsort.ensemble import Prediction
from trapsort.errors import InputError
from trapsort.interchange.detected import (
    Box,
    Detected,
    LeftOut,
    Results,
    answer,
    blank,
    box_in,
    is_video,
    members,
    name_in,
    named,
    number,
)
from trapsort.interchange.json_stream import JsonFile, open_json

VERSION_5 = "20261015"
MIN_CONFIDENCE = 0.1
"""From here on SpeciesNet itself classifies a box."""

CATEGORIES = {"1": "animal", "2": "human", "3": "vehicle"}
WHOLE_PHOTO = "0"  # category of the one pseudo-box of the whole-image classifier


def read_speciesnet(path: Path, min_confidence: float = MIN_CONFIDENCE) -> Results:
    """Read a file and check all of it; boxes below `min_confidence` count for nothing.

    Raises `InputError` for a file that is not whole, another version, or values that cannot be.
    """
    file = open_json(path, "predictions")
    info = file.head.get("info") or {}
    version = info.get("format_version") if isinstance(info, dict) else info
    if version not in (None, VERSION_5):
        raise InputError(
            f"{path} has the format version {str(version)[:40]!r}.",
            f"trapsort reads SpeciesNet's {VERSION_5} (version 5), and version 4, which has none.",
        )
    files = boxes = 0
    models = set()
    for model, found in _entries(file, min_confidence):
        files += 1
        models |= {model} - {""}
        boxes += len(found.boxes) if isinstance(found, Detected) else 0
    classifier = " ".join(["speciesnet", *sorted(models)])
    detector = f"{classifier} detector"

    def again() -> Iterator[Detected | LeftOut]:
        return (found for _, found in _entries(file, min_confidence))

    return Results("speciesnet", detector, classifier, min_confidence, files, boxes, again)


def _entries(file: JsonFile, least: float) -> Iterator[tuple[str, Detected | LeftOut]]:
    """The version of the model and what it found, file by file."""
    for place, entry in enumerate(file.read(), start=1):
        path = ""
        try:
            members(entry, "it", dict)
            path = entry.get("filepath")
            if not isinstance(path, str) or not path:
                raise ValueError("it has no filepath")
            model = entry.get("model_version")
            version = name_in(model, "model_version") if model is not None else ""
            found = _entry(path, entry, least)
        except ValueError as error:
            which = f" ({ascii(path)[1:-1]})" if isinstance(path, str) and path else ""
            raise InputError(
                f"{file.path}, prediction {place:,}{which}: {error}.",
                "Have it written anew; nothing was recorded of a file that is not sound.",
            ) from error
        yield version, found


def _entry(path: str, entry: Mapping[str, Any], least: float) -> Detected | LeftOut:
    if is_video(path):
        return LeftOut(path, "video", "")
    failures = members(entry.get("failures") or [], "failures", list)
    detections = entry.get("detections")
    whole = _version_4(entry)
    if detections is None and whole is None:
        if not failures:
            raise ValueError("it has neither detections, nor a prediction, nor failures")
        return LeftOut(path, "failed", ", ".join(map(str, failures))[:200])
    boxes: list[Box] = []
    for each in members(detections or [], "detections", list):
        category = str(members(each, "a detection", dict).get("category"))
        if category == WHOLE_PHOTO:
            whole = _version_5(each)
        elif (box := _box(each, category, least)) is not None:
            boxes.append(box)
    found_nothing = detections is not None and not any(b.confidence >= least for b in boxes)
    # A classifier of whole photos may run without the detector: then nobody said "blank".
    said = blank(boxes) if found_nothing and (boxes or whole is None) else None
    return Detected(path, tuple(boxes), said, whole)


def _box(entry: Mapping[str, Any], category: str, least: float) -> Box | None:
    confidence = number(entry.get("conf"), "conf")
    box = box_in(entry.get("bbox"))
    name = CATEGORIES.get(category)
    if name is None:
        return None
    found = Box(box, confidence, answer(name, confidence), _version_5(entry))
    return found if confidence >= least else found.discounted()


def _version_5(entry: Mapping[str, Any]) -> Prediction | None:
    """What was said of one box: the final class, else the classifier's first."""
    top = _top(entry.get("raw_classifications"))
    final = entry.get("processed_classification")
    if final is None:
        return named(*top[0], top) if top else None
    members(final, "processed_classification", dict)
    return named(name_in(final.get("class"), "class"), number(final.get("score"), "score"), top)


def _version_4(entry: Mapping[str, Any]) -> Prediction | None:
    """What was said of the whole photo."""
    top = _top(entry.get("classifications"))
    if entry.get("prediction") is None:
        return named(*top[0], top) if top else None
    score = entry.get("prediction_score")
    name = name_in(entry["prediction"], "prediction")
    return named(name, number(1.0 if score is None else score, "prediction_score"), top)


def _top(value: Any) -> list[tuple[str, float]]:
    if value is None:
        return []
    members(value, "classifications", dict)
    classes = members(value.get("classes"), "classes", list)
    scores = members(value.get("scores"), "scores", list)
    if len(classes) != len(scores):
        raise ValueError(f"it has {len(classes)} classes and {len(scores)} scores")
    pairs = zip(classes, scores, strict=True)
    return [(name_in(name, "a class"), number(score, "a score")) for name, score in pairs]
