"""Camtrap DP packages: deployments, stations, and what people and models said of the photos.

Human observations become reviews, machine ones predictions of a model of their own. A row of a
file is of that photo; a row of an event counts for all its photos where no row is of one alone.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from trapsort.ensemble import Prediction
from trapsort.interchange.detected import LeftOut, is_video
from trapsort.interchange.matching import Matcher, NoMatch
from trapsort.interchange.read_package import Package, read_package
from trapsort.interchange.read_package_rows import (
    File,
    Observation,
    read_deployments,
    read_files,
    read_observations,
)
from trapsort.store import Store
from trapsort.store.imported import WHOLE, ReviewRow, Told
from trapsort.store.rows import DeploymentRow

BATCH = 500  # rows in one transaction
NONE = -1  # photo id of a file that is not recorded
TELLING = (None, "blank", "vehicle", "person", "other_animal")
"""Labels, the least telling first: the most telling of several on a photo becomes its sighting."""

DERIVED = "start and end are those of the first and last photo"
"""How trapsort's own export marks the photos of a card that belong to no deployment."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
ReviewKey = tuple[int, str | None, str, str]  # photo, label, reviewer, time


@dataclass(slots=True)
class Account:
    """What became of a package; `new_...` is what the record did not hold yet."""

    media: int = 0
    photos: int = 0
    deployments: int = 0
    reviews: int = 0
    predictions: int = 0
    new_deployments: int = 0
    new_reviews: int = 0
    new_predictions: int = 0


@dataclass(slots=True)
class _Media:
    """The files of a package: id -> photo; and of each deployment's photos when and where."""

    photos: dict[str, int] = field(default_factory=dict)
    times: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    places: dict[str, set[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(set))


def import_camtrap_dp(
    store: Store,
    path: Path,
    matcher: Matcher,
    *,
    on_left_out: Callable[[LeftOut], None],
    on_progress: Callable[[int], None],
) -> Account:
    """Check a package, then record what it says of recorded photos; twice changes nothing.

    `on_progress` gets the number of observations dealt with. Raises `InputError` where the package
    is not sound, before anything of it is written.
    """
    package = read_package(path)
    deployments = {row.name: row for row in read_deployments(package)}
    media = _find_media(store, read_files(package, deployments), matcher, on_left_out)

    def observations() -> Iterator[Observation]:
        return read_observations(package, deployments, media.photos)

    of_files = {(row.deployment, row.event) for row in observations() if row.media}
    account = Account(media=len(media.photos), deployments=len(deployments))
    account.photos = sum(photo != NONE for photo in media.photos.values())
    account.new_deployments = _record_deployments(store, deployments, media)
    reviews: dict[ReviewKey, tuple[int, list[str]]] = {}
    models: dict[str, int] = {}
    rows, done = observations(), 0
    while batch := list(islice(rows, BATCH)):
        told = []
        for row in batch:
            if not row.media and (row.deployment, row.event) in of_files:
                continue
            for photo in _photos_of(row, media):
                if row.is_human:
                    _add_review(reviews, photo, row, package)
                else:
                    told.append(_told(store, models, photo, row))
        account.predictions += len(told)
        account.new_predictions += store.tell(told) if told else 0
        done += len(batch)
        on_progress(done)
    account.reviews = len(reviews)
    account.new_reviews = _record_reviews(store, reviews)
    return account


def _find_media(
    store: Store, files: Iterator[File], matcher: Matcher, on_left_out: Callable[[LeftOut], None]
) -> _Media:
    """Find the photos of a package: by the content that a mediaID names, else by path."""
    found = _Media()
    while batch := list(islice(files, BATCH)):
        digests = {f.id: bytes.fromhex(f.id) for f in batch if _DIGEST.fullmatch(f.id)}
        known = store.photo_ids(digests.values())
        paths = [f.path for f in batch if digests.get(f.id) not in known and "://" not in f.path]
        by_path = matcher.match(paths)
        for file in batch:
            photo = known.get(digests.get(file.id, b"")) or by_path.get(file.path)
            if isinstance(photo, int):
                found.photos[file.id] = photo
                found.times[file.deployment].append((file.time, photo))
                continue
            found.photos[file.id] = NONE
            if is_video(file.path):
                on_left_out(LeftOut(file.path, "video", ""))
            elif isinstance(photo, NoMatch):
                on_left_out(LeftOut(file.path, photo.reason, photo.detail))
            else:
                on_left_out(LeftOut(file.path, "unknown", "it is an address in the web"))
        where = store.whereabouts(found.photos[f.id] for f in batch)
        for file in batch:
            if place := where.get(found.photos[file.id]):
                card, path, serial = place
                found.places[file.deployment].add((card, path.rpartition("/")[0], serial or ""))
    for times in found.times.values():
        times.sort()
    return found


def _record_deployments(store: Store, found: Mapping[str, DeploymentRow], media: _Media) -> int:
    """Add those that are new; what tells their photos from others is where the photos are."""
    known = {row.name for row in store.deployments()}
    placed = {row.name for row in store.stations() if row.latitude is not None}
    rows = []
    for name, row in found.items():
        if name in known or (row.comments == DERIVED and not row.station):
            continue
        places = media.places.get(name, set())
        cards = {card for card, _, _ in places}
        is_serial = {serial for *_, serial in places} == {row.camera}
        row = replace(
            row,
            station=row.station or name,
            serial=row.camera if is_serial else "",
            camera="" if is_serial else row.camera,
            card=cards.pop() if len(cards) == 1 else "",
            folder=_pattern(folder for _, folder, _ in places),
        )
        if row.station in placed:  # perhaps exactly, where the package shows it rounded
            row = replace(row, latitude=None, longitude=None)
        rows.append(row)
    if rows:
        store.import_deployments(rows)
    return len(rows)


def _pattern(folders: Iterable[str]) -> str:
    """The pattern of all paths below the folders' deepest common one; '' where that is the card."""
    parts = [folder.split("/") for folder in folders]
    common: list[str] = []
    for step in zip(*parts, strict=False):
        if len(set(step)) > 1 or not step[0]:
            break
        common.append(step[0])
    return "/".join((*common, "**")) if common else ""


def _photos_of(row: Observation, media: _Media) -> Iterable[int]:
    if row.media:
        photo = media.photos[row.media]
        return () if photo == NONE else (photo,)
    times = media.times.get(row.deployment, [])
    first, last = bisect_left(times, (row.first, NONE)), bisect_right(times, (row.last, 1 << 62))
    return dict.fromkeys(photo for _, photo in times[first:last])


def _add_review(
    reviews: dict[ReviewKey, tuple[int, list[str]]], photo: int, row: Observation, package: Package
) -> None:
    """Add a person's observation; rows of one species, say a hen and a drake, are one review."""
    key = (photo, row.label, row.by, row.time or package.created)
    count, notes = reviews.get(key, (0, []))
    note = row.note if row.media else f"of the event {row.event}. {row.note}".strip()
    reviews[key] = (count + row.count, notes + [note] * (bool(note) and note not in notes))


def _record_reviews(store: Store, reviews: Mapping[ReviewKey, tuple[int, list[str]]]) -> int:
    def order(item: tuple[ReviewKey, tuple[int, list[str]]]) -> tuple[str, int, int]:
        (_, label, _, time), (count, _) = item
        rank = TELLING.index(label) if label in TELLING else len(TELLING)
        return time, rank, count

    ordered, new = iter(sorted(reviews.items(), key=order)), 0
    while batch := list(islice(ordered, BATCH)):
        rows = [
            ReviewRow(photo, label, count, by, time, "; ".join(notes))
            for (photo, label, by, time), (count, notes) in batch
        ]
        new += store.import_reviews(rows)
    return new


def _told(store: Store, models: dict[str, int], photo: int, row: Observation) -> Told:
    if row.by not in models:
        models[row.by] = store.imported_model(row.by, "camtrap-dp")
    name = row.label or row.reason or ""
    top = () if row.probability is None else ((name, row.probability),)
    said = Prediction(row.label, row.probability, row.reason, top, ())
    detector = "" if row.box is None else row.by
    return Told(photo, models[row.by], said, row.box or WHOLE, detector, None, row.time)
