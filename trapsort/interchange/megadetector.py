"""MegaDetector batch results, format 1.6: one JSON file, which Timelapse and others read.

https://lila.science/megadetector-output-format. A photo that nobody drew boxes on gets one around
the whole of it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapsort import __version__
from trapsort.interchange.card_paths import CardPaths
from trapsort.interchange.exported import Exported
from trapsort.interchange.names import answer_of, common_name, is_species, kind_of, taxon_of
from trapsort.interchange.place import check_free, check_place
from trapsort.interchange.streamed import captures
from trapsort.reports.csv_file import encoded, write_whole

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Answer, Capture

VERSION = "1.6"
CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
_CATEGORY = {"animal": "1", "human": "2", "vehicle": "3", "unknown": "1"}
WHOLE = (0.0, 0.0, 1.0, 1.0)
DIGITS = 5
CERTAIN = 1.0  # of what a person said


def export(store: Store, query: SightingQuery, out: Path, *, force: bool = False) -> Exported:
    """Write one file; the files that could not be read stand in it as failures.

    Raises:
        InputError: two photos have the same path, or `out` cannot be written.
    """
    check_place(out, store)
    check_free(out, force=force)
    work = _Writer(CardPaths.of(store, query))
    write_whole(out, map(encoded, work.text(store, query)))
    note = f"paths are relative to {work.paths.base}"
    return Exported(photos=work.photos, notes=(note,))


@dataclass(slots=True)
class _Writer:
    paths: CardPaths
    classes: dict[str, str] = field(default_factory=dict)  # name as people write it -> label
    photos: int = 0

    def text(self, store: Store, query: SightingQuery) -> Iterator[str]:
        """Yield the file, an image a line; the classes, known only then, at the end."""
        yield '{\n"info": ' + json.dumps(_info(), indent=1)
        yield f',\n"detection_categories": {json.dumps(CATEGORIES)},\n"images": ['
        for number, image in enumerate(self._images(store, query)):
            yield (",\n" if number else "\n") + json.dumps(
                image, ensure_ascii=False, allow_nan=False
            )
        numbered = [(str(place + 1), *item) for place, item in enumerate(self.classes.items())]
        names = {number: name for number, name, _ in numbered}
        described = {number: _description(name, label) for number, name, label in numbered}
        yield '\n],\n"classification_categories": ' + json.dumps(names, ensure_ascii=False)
        yield f',\n"classification_category_descriptions": {json.dumps(described)}\n}}\n'

    def _images(self, store: Store, query: SightingQuery) -> Iterator[dict[str, Any]]:
        for capture in captures(store, query, order="path"):
            self.photos += 1
            yield {"file": self.paths.relative(capture), "detections": self._detections(capture)}
        if _is_everything(query):
            for problem in store.problems():
                where = Path(problem.card)
                inside = where.is_relative_to(self.paths.base)
                below = where.relative_to(self.paths.base).as_posix() if inside else "."
                file = problem.path if below == "." else f"{below}/{problem.path}"
                yield {"file": file, "failure": problem.reason, "detections": None}

    def _detections(self, capture: Capture) -> list[dict[str, Any]]:
        """Return boxes, the surest first."""
        boxes = [each for each in capture.answers if each.detector]
        found = [_box(each) for each in _regions(boxes)]
        kind = kind_of(capture.label, capture.reason, reviewed=capture.reviewed)
        category = _CATEGORY.get(kind)
        label = capture.label if is_species(capture.label) else None
        if category is not None and not any(each["category"] == category for each in found):
            sure = CERTAIN if capture.reviewed else capture.probability or 0.0
            found.append({"category": category, "conf": _share(sure), "bbox": list(WHOLE)})
        found.sort(key=lambda each: -each["conf"])
        if label is not None:
            self._classify(found, capture, label, answer_of(capture))
        return found

    def _classify(
        self,
        found: list[dict[str, Any]],
        capture: Capture,
        label: str,
        answer: Answer | None,
    ) -> None:
        """Give the species to its own box, or to all animals where nobody said which."""
        box = _bbox(answer) if answer is not None and answer.detector else None
        name = common_name(label)
        self.classes.setdefault(name, label)
        number = str(list(self.classes).index(name) + 1)
        sure = CERTAIN if capture.reviewed else capture.probability or 0.0
        for each in found:
            if each["category"] == "1" and (box is None or each["bbox"] == box):
                each["classifications"] = [[number, _share(sure)]]


def _is_everything(query: SightingQuery) -> bool:
    from trapsort.store import SightingQuery

    return query == SightingQuery(red_list=query.red_list)


def _regions(boxes: list[Answer]) -> list[Answer]:
    """Return the first answer of each box: its detector's comes with its category."""
    by_box: dict[tuple[float, ...], Answer] = {}
    for each in boxes:
        by_box.setdefault(tuple(each[:4]), each)
    return list(by_box.values())


def _box(answer: Answer) -> dict[str, Any]:
    kind = kind_of(answer.label, answer.reason, reviewed=False)
    sure = answer.confidence if answer.confidence is not None else answer.probability or 0.0
    category = _CATEGORY.get(kind, "1")
    return {"category": category, "conf": _share(sure), "bbox": _bbox(answer)}


def _bbox(answer: Answer) -> list[float]:
    """Return left, top, width and height inside the photo."""
    left, top = (min(max(value, 0.0), 1.0) for value in (answer.x, answer.y))
    width, height = min(answer.width, 1.0 - left), min(answer.height, 1.0 - top)
    return [round(float(value), DIGITS) for value in (left, top, max(width, 0), max(height, 0))]


def _share(value: float) -> float:
    """Return 0..1 as a JSON number with a point; NaN, which is none, as 0."""
    return round(min(max(float(value), 0.0), 1.0), DIGITS) if value == value else 0.0


def _info() -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "format_version": VERSION,
        "detector": f"trapsort {__version__}",
        "detection_completion_time": now,
        "classifier": f"trapsort {__version__}",
        "classification_completion_time": now,
        "detector_metadata": {"whole_photos": True},
    }


def _description(name: str, label: str) -> str:
    """Return guid;class;order;family;genus;species;common, with what the label tells."""
    taxon = taxon_of(label)
    words = taxon.scientific_name.lower().split() if taxon.rank != "family" else []
    family = taxon.scientific_name.lower() if taxon.rank == "family" else ""
    genus, species = words[0] if words else "", " ".join(words[1:])
    guid = uuid.uuid5(uuid.NAMESPACE_URL, f"trapsort:{name}")
    common = name.lower().replace(";", ",")
    return f"{guid};;;{family};{genus};{species};{common}"
