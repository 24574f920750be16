"""What people said in the field, as a labelled set to learn from."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from trapsort.errors import InputError
from trapsort.scan import Problem, scan
from trapsort.store import SightingQuery, Store

COLUMNS = ("path", "label", "group", "site")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """How many photos were labelled, and how many reviewed ones have no original to learn from."""

    labelled: int
    missing: int


def write_reviewed(database: str, originals: Path, target: Path) -> Reviewed:
    """Write a CSV (`path`, `label`, `group`, `site`) of the photos that people have labelled.

    The newest review of a photo counts; photos without a review, and those that a person could not
    name, are left out. Originals are found below `originals` (a card or an archive) by their
    content, not by their name. Near-duplicates share a `group`; `site` is the station, else the
    card. Raises `InputError` where there is nothing to learn from.
    """
    store = Store.open(database)
    try:
        said = {
            each.sha256: each
            for each in store.sightings(SightingQuery(reviewed=True))
            if each.label is not None
        }
    finally:
        store.close()
    if not said:
        raise InputError("No photo in this database has a review with a label.", "Review some.")
    rows: dict[str, tuple[str, str, str, str]] = {}
    for item in scan(originals):
        if isinstance(item, Problem) or not isinstance(item.path, Path):
            continue
        with item.path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        if (each := said.get(content)) is not None and content not in rows:
            group = str(each.near_duplicate_of or each.photo_id)
            rows[content] = (str(item.path), each.label or "", group, each.station or each.card)
    if not rows:
        raise InputError(
            f"None of the {len(said)} reviewed photos lies below {originals}.",
            "Give --data the card or the archive that holds the originals.",
        )
    partial = target.with_suffix(".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", newline="", encoding="utf-8") as stream_out:
        writer = csv.writer(stream_out)
        writer.writerow(COLUMNS)
        writer.writerows(sorted(rows.values()))
    partial.replace(target)
    return Reviewed(len(rows), len(said) - len(rows))
