"""Camtrap DP 1.0.2: a folder with deployments, media and observations, and what describes them.

Every photo is a media row with observations of its own; photos of one visit are an event, whose
rows (one a species) are what one sums. Ids come from the photos' contents, so they stay the same
from one export to the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trapsort.errors import InputError
from trapsort.interchange import camtrap_tables as tables
from trapsort.interchange.camtrap_about import About, Met, deployment_row, metadata
from trapsort.interchange.exported import Exported, counted
from trapsort.interchange.media import MEDIA_TYPES, MediaFiles, exif_text, write_new
from trapsort.interchange.names import (
    answer_of,
    calibrated,
    is_species,
    kind_of,
    taxon_of,
)
from trapsort.interchange.place import Table, check_place, new_folder
from trapsort.interchange.sites import Site, Sites, check_positions
from trapsort.interchange.streamed import captures
from trapsort.interchange.visits import VISIT_SECONDS, Seen, rule_text, seen_in, visits

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Answer, Capture

CAPTURE_METHODS = {"timelapse": "timeLapse", "motion": "activityDetection"}
NOTHING = ("",) * 7  # lifeStage to individualSpeed, which nobody records
NO_BOX = ("",) * 4
ID_DIGITS = 32  # of the sha256: 128 bits


def export(
    store: Store,
    query: SightingQuery,
    out: Path,
    *,
    about: About,
    precision: float | None = None,
    visit_seconds: float = VISIT_SECONDS,
    copy_media: bool = False,
    force: bool = False,
) -> Exported:
    """Write a package into the folder `out`; `precision` in degrees, None by what was seen there.

    Raises:
        InputError: a position or everything is missing, or `out` cannot be written.
    """
    check_place(out, store)

    def gathering(sink: Sink, files: MediaFiles | None) -> Gathered:
        return gather(
            store,
            query,
            sink,
            about=about,
            precision=precision,
            visit_seconds=visit_seconds,
            files=files,
        )

    with new_folder(out, force=force, is_ours=lambda path: _is_ours(path, out)) as folder:
        return _write_package(folder, gathering, copy_media=copy_media)


def _is_ours(path: Path, out: Path) -> bool:
    top = path.relative_to(out).parts[0]
    return top in tables.PACKAGE or (top == "media" and (out / tables.PACKAGE[0]).is_file())


Row = tuple[str, ...]


class Sink(Protocol):
    """What takes the two long tables, visit by visit."""

    def add(self, media: Sequence[Row], observations: Sequence[Row]) -> None:
        """Take the rows of a visit."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is known once all photos are through: the deployments and what describes the package.

    `precisions` are degrees by deploymentID, in the order of the deployments; `rule` says what an
    event is.
    """

    deployments: list[dict[str, Any]]
    description: dict[str, Any]
    precisions: list[float]
    rule: str
    exported: Exported


@dataclass(frozen=True, slots=True)
class _Tables:
    """The files of the two long tables."""

    media: Table
    observations: Table

    def add(self, media: Sequence[Row], observations: Sequence[Row]) -> None:
        self.media.add_all(media)
        self.observations.add_texts(observations)


def _write_package(
    folder: Path, gathering: Callable[[Sink, MediaFiles | None], Gathered], *, copy_media: bool
) -> Exported:
    with ExitStack() as stack:

        def table(name: str) -> Table:
            return stack.enter_context(Table(folder / f"{name}.csv", tables.TABLES[name]))

        files = MediaFiles(folder / "media") if copy_media else None
        found = gathering(_Tables(table("media"), table("observations")), files)
        deployments = table("deployments")
        for row in found.deployments:
            deployments.add(row.get(name, "") for name in tables.DEPLOYMENTS)
    text = json.dumps(found.description, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    write_new(folder / tables.PACKAGE[0], text.encode("utf-8", "backslashreplace"))
    notes = list(found.exported.notes)
    if not copy_media:
        notes.append("the photos are not part of the package; --copy-media puts them into it")
    return Exported(found.exported.photos, tuple(notes))


def gather(
    store: Store,
    query: SightingQuery,
    sink: Sink,
    *,
    about: About,
    precision: float | None,
    visit_seconds: float,
    files: MediaFiles | None = None,
    events_only: bool = False,
) -> Gathered:
    """Give the rows of media and observations to `sink`; return all else, see `export`.

    With `events_only` there are no observations of single photos and no exifData.

    Raises:
        InputError: a position or everything is missing, or something does not add up.
    """
    if bool(about.data_license) != bool(about.media_license):
        raise InputError(
            "Camtrap DP takes no licence, or one for the data and one for the media",
            "give --data-license and --media-license, or neither",
        )
    sites = Sites.of(store, precision)
    writer = _Writer(sink, files, events_only)
    for site, visit in visits(_sited(store, query, sites), visit_seconds):
        writer.add(site, visit)
    used = list(sites.used)
    if not used:
        raise InputError(
            "there is no photo with a time to export",
            "trapsort sightings with the same options shows which photos there are",
        )
    check_positions(used)
    rows = [deployment_row(site) for site in used]
    for row in rows:
        tables.check_deployment(row)
    precisions = [site.precision for site in used]
    description = metadata(about, rows, writer.met, max(precisions))
    rule = rule_text(visit_seconds)
    description["description"] = f"An event is {rule}."
    tables.check_species(writer.met.species, description["taxonomic"])
    photos = sum(site.photos for site in used)
    notes = (f"event: {rule}", *_notes(sites, used, about))
    return Gathered(rows, description, precisions, rule, Exported(photos, notes))


def _sited(
    store: Store, query: SightingQuery, sites: Sites
) -> Iterator[tuple[Site, datetime, Capture]]:
    """Yield the photos with a time, each with the deployment that it belongs to."""
    for capture in captures(store, query, order="deployment"):
        if capture.time is None:
            sites.without_time += 1
            continue
        site = sites.of_photo(capture)
        time = datetime.fromisoformat(capture.time)
        site.add(capture)
        yield site, time, capture


@dataclass(slots=True)
class _Writer:
    """Makes the rows of visits, and keeps what describes them all."""

    sink: Sink
    files: MediaFiles | None
    events_only: bool
    met: Met = field(default_factory=Met)

    def add(self, site: Site, visit: list[tuple[datetime, Capture]]) -> None:
        """Write the photos of a visit and what they show, each for itself and together."""
        event = visit[0][1].sha256.hex()[:ID_DIGITS]
        times = [site.text(capture) for _, capture in visit]
        media: list[Row] = []
        observations: list[Row] = []
        for (_, capture), time in zip(visit, times, strict=True):
            row = self._photo(site, capture, time)
            tables.check_media(row)
            media.append(row)
            media_id = row[0]
            if self.events_only:
                continue
            for number, told in enumerate(self._told(capture), start=1):
                key = (f"{media_id[:ID_DIGITS]}-{number}", site.name, media_id, event, time, time)
                observations.append((*key, "media", *told))
        for number, seen in enumerate(seen_in(capture for _, capture in visit), start=1):
            span = (times[0], times[-1], "event")
            one = (f"{event}-event-{number}", site.name, "", event, *span)
            observations.append((*one, *self._event(seen)))
        for row in observations:
            tables.check_observation(row)
        self.sink.add(media, observations)

    def _photo(self, site: Site, capture: Capture, time: str) -> Row:
        media_id = capture.sha256.hex()
        method = CAPTURE_METHODS.get(capture.trigger or "", "")
        if method:
            self.met.methods.add(method)
        name = site.file_name(capture)
        if self.files is not None:
            self.files.copy(capture, name)
        kind = MEDIA_TYPES.get(capture.format, "image/jpeg")
        exif = "" if self.events_only else exif_text(capture)
        file = (f"media/{name}", "false", name.rpartition("/")[2], kind, exif)
        if capture.reviewer:
            self.met.reviewers.add(capture.reviewer)
        return (media_id, site.name, method, time, *file, "", "")

    def _told(self, capture: Capture) -> Iterator[Row]:
        """Yield what is known of a photo, a row each: the sighting, then what detectors boxed."""
        main = answer_of(capture)
        if capture.reviewed:
            label, count = capture.label, capture.individuals
            kind = kind_of(label, None, reviewed=True)
            by: Row = ("human", capture.reviewer or "", capture.reviewed_at or "", "")
            yield self._row(kind, label, count, NO_BOX, by, None, capture.note)
        elif main is None or not main.detector:
            kind = kind_of(capture.label, capture.reason, reviewed=False)
            by = _by(main)
            label, count = capture.label, capture.individuals
            yield self._row(kind, label, count, NO_BOX, by, capture.reason, "")
        boxes = [each for each in capture.answers if each.detector]
        for each in sorted(boxes, key=lambda answer: answer is not main):
            kind = kind_of(each.label, each.reason, reviewed=False)
            count = 1 if is_species(each.label) else None
            box = (str(each.x), str(each.y), str(each.width), str(each.height))
            yield self._row(kind, each.label, count, box, _by(each), each.reason, "")

    def _event(self, seen: Seen) -> Row:
        if seen.reviewer is not None:
            by: Row = ("human", seen.reviewer, seen.reviewed_at or "", "")
        else:
            by = (*_by(seen.answer)[:3], _text(seen.probability))
        return self._row(seen.kind, seen.label, seen.count, NO_BOX, by, seen.reason, "")

    def _row(
        self,
        kind: str,
        label: str | None,
        count: int | None,
        box: Row,
        by: Row,
        reason: str | None,
        note: str,
    ) -> Row:
        name = ""
        if label is not None and is_species(label):
            name = taxon_of(label).scientific_name
            self.met.species.setdefault(name or "", label)
        tags = f"label:{label.replace('|', '/')}" if label else f"reason:{reason}" if reason else ""
        count_text = str(count) if count and kind == "animal" else ""
        return (kind, "", name, count_text, *NOTHING, *box, *by, tags, note)


def _by(answer: Answer | Any | None) -> Row:
    """Return method, who, when and how sure; empty cells where nobody said anything."""
    if answer is None:
        return ("", "", "", "")
    return ("machine", answer.model, answer.created, _text(calibrated(answer)))


def _text(certainty: float | None) -> str:
    return "" if certainty is None else repr(certainty)


def _notes(sites: Sites, used: list[Site], about: About) -> tuple[str, ...]:
    notes = list(sites.notes)
    derived = sum(site.photos for site in used if site.row is None)
    if derived:
        notes.append(
            f"{counted(derived, 'photo')} without a deployment: what a card holds begins with its"
            " first photo and ends with its last; trapsort deployments import FILE says better"
        )
    zoneless = sum(site.has_unknown_zone for site in used)
    if zoneless:
        notes.append(
            f"{counted(zoneless, 'deployment')} without a UTC offset: times are written as UTC,"
            " with timestampIssues; give utc_offset with trapsort deployments import"
        )
    if not about.contributors:
        notes.append("name who made the package: --contributor 'NAME <EMAIL>'")
    return tuple(notes)
