"""Darwin Core archive from a Camtrap DP package: occurrences, their media, and meta.xml.

The terms and their values are those of write_dwc() in the R package camtrapdp, which follows
Reyserhove et al. 2023, https://doi.org/10.35035/doc-0qzp-2x37: animals only, and events only, so
that nothing is counted at two levels.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapsort.errors import InputError
from trapsort.interchange import camtrap_dp
from trapsort.interchange import camtrap_tables as tables
from trapsort.interchange.camtrap_about import About
from trapsort.interchange.darwin_terms import (
    FEATURES,
    FILES,
    MULTIMEDIA,
    OCCURRENCE,
    TECHNIQUES,
    meta_xml,
)
from trapsort.interchange.exported import Exported, counted
from trapsort.interchange.media import write_new
from trapsort.interchange.package_tables import (
    FILED,
    OBSERVED,
    Description,
    Scratch,
    description_of,
    number,
    read_description,
    utc,
)
from trapsort.interchange.place import Table, check_place, new_folder

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store

OF_EVENTS = (
    *("occurrenceID", "individualCount", "sex", "lifeStage", "behavior", "occurrenceRemarks"),
    *("organismID", "eventID", "eventDate", "eventRemarks", "identifiedBy", "dateIdentified"),
    *("identificationVerificationStatus", "identificationRemarks", "taxonID", "scientificName"),
)
"""Terms that each occurrence has of its own; those of its place and of the archive are shared."""

DEPLOYMENT, OBSERVATION = OBSERVED.index("deploymentID"), OBSERVED.index("observationID")


def export(
    store: Store,
    query: SightingQuery,
    out: Path,
    *,
    about: About,
    precision: float | None = None,
    visit_seconds: float,
    force: bool = False,
) -> Exported:
    """Write an archive of the record into the folder `out`.

    Raises:
        InputError: a position or everything is missing, or `out` cannot be written.
    """
    check_place(out, store)
    with _new(out, force) as folder, _scratch(folder) as scratch:
        found = camtrap_dp.gather(
            store,
            query,
            scratch,
            about=about,
            precision=precision,
            visit_seconds=visit_seconds,
            events_only=True,  # so that nothing is counted at two levels
        )
        deployments = {
            row["deploymentID"]: _as_text(row) | _own(precision, found.rule)
            for row, precision in zip(found.deployments, found.precisions, strict=True)
        }
        unnamed = _write(folder, scratch, deployments, description_of(found.description))
    return Exported(found.exported.photos, (*found.exported.notes, *_unnamed_note(unnamed)))


def export_package(package: Path, out: Path, *, force: bool = False) -> Exported:
    """Write an archive of a Camtrap DP package, whoever made it, into the folder `out`.

    Raises:
        InputError: it is no such package, does not add up, or `out` cannot be written.
    """
    check_place(out)
    about = read_description(package)
    with _new(out, force) as folder, _scratch(folder) as scratch:
        unnamed = _write(folder, scratch, scratch.load(package), about)
    return Exported(photos=0, notes=_unnamed_note(unnamed))


def _new(out: Path, force: bool) -> AbstractContextManager[Path]:
    return new_folder(out, force=force, is_ours=lambda path: path.name in FILES)


def _as_text(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a deployment as its table would hold it."""
    values = ((name, row.get(name)) for name in tables.DEPLOYMENTS)
    return {name: "" if value is None else str(value) for name, value in values}


def _own(precision: float, rule: str) -> dict[str, str]:
    """What a record knows of a deployment beside the columns of a package."""
    return {"coordinatePrecision": f"{precision:g}" if precision else "", "rule": rule}


def _unnamed_note(unnamed: int) -> tuple[str, ...]:
    if not unnamed:
        return ()
    named = counted(unnamed, "occurrence")
    return (f"{named} without a scientific name, written as Animalia",)


@contextmanager
def _scratch(folder: Path) -> Iterator[Scratch]:
    """Give a scratch database beside the files, which is gone at the end."""
    path = folder / ".sorting.sqlite3"
    try:
        with closing(sqlite3.connect(path)) as connection:
            yield Scratch(connection)
    except sqlite3.Error as error:
        raise InputError(
            f"cannot sort beside {folder}: {error}", "make room, or choose another place with --out"
        ) from error
    finally:
        path.unlink(missing_ok=True)


def _write(
    folder: Path, scratch: Scratch, deployments: Mapping[str, Mapping[str, str]], about: Description
) -> int:
    """Write the files of an archive; return how many occurrences have no name."""
    scratch.finish()
    with Table(folder / FILES[0], OCCURRENCE) as occurrences:
        occurrences.add_texts(_occurrences(scratch.connection, deployments, about))
    with Table(folder / FILES[1], MULTIMEDIA) as multimedia:
        multimedia.add_texts(_multimedia(scratch.connection, deployments, about))
    write_new(folder / FILES[2], meta_xml().encode())
    return scratch.unnamed()


def _occurrences(
    connection: sqlite3.Connection,
    deployments: Mapping[str, Mapping[str, str]],
    about: Description,
) -> Iterator[tuple[str, ...]]:
    """Yield occurrences by deployment and start, their terms in the order of `OCCURRENCE`."""
    dataset = {
        "type": "Image",
        "license": about.licence,
        "rightsHolder": about.rights_holder,
        "datasetID": about.dataset_id,
        "collectionCode": about.collection,
        "datasetName": about.name,
        "basisOfRecord": "MachineObservation",
        **_precision(about.precision),
        "occurrenceStatus": "present",
        "samplingProtocol": "camera trap",
        "geodeticDatum": "EPSG:4326",
        "kingdom": "Animalia",
    }
    shared = tuple(name for name in OCCURRENCE if name not in OF_EVENTS)
    in_order = itemgetter(*map((*shared, *OF_EVENTS).index, OCCURRENCE))
    places = {}
    for name, deployment in deployments.items():
        terms, remarks = _place(deployment)
        terms = dataset | terms
        places[name] = tuple(map(terms.__getitem__, shared)), remarks
    found = connection.execute(
        f"SELECT {', '.join(OBSERVED)} FROM seen"  # noqa: S608 - our own names
        " ORDER BY deploymentID, eventStart, rowid"
    )
    for row in found:
        if row[DEPLOYMENT] not in places:
            raise InputError(
                f"observation {row[OBSERVATION]} belongs to the deployment {row[DEPLOYMENT]},"
                " which is not there",
                "make the package again",
            )
        of_place, remarks = places[row[DEPLOYMENT]]
        yield in_order(of_place + _of_event(row, remarks, about.taxon_ids))


def _precision(degrees: str) -> dict[str, str]:
    rounded = f"coordinates rounded to {degrees} degree" if degrees else ""
    return {"dataGeneralizations": rounded, "coordinatePrecision": degrees}


def _place(row: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, str]]:
    """Return the terms of a deployment, and what the remarks on its events begin and end with."""
    depth, height = number(row["cameraDepth"]), number(row["cameraHeight"])
    terms = {
        "parentEventID": row["deploymentID"],
        "habitat": row["habitat"],
        "samplingEffort": f"{utc(row['deploymentStart'])}/{utc(row['deploymentEnd'])}",
        "locationID": row["locationID"],
        "locality": row["locationName"],
        "minimumDepthInMeters": depth,
        "maximumDepthInMeters": depth,
        "minimumDistanceAboveSurfaceInMeters": height,
        "maximumDistanceAboveSurfaceInMeters": height,
        "decimalLatitude": number(row["latitude"]),
        "decimalLongitude": number(row["longitude"]),
        "coordinateUncertaintyInMeters": row["coordinateUncertainty"],
    }
    bait = {"true": " with bait", "false": " without bait"}.get(row["baitUse"].lower(), "")
    feature = FEATURES.get(row["featureType"])
    begin = f"camera trap{bait}{f' near {feature}' if feature else ''}"
    if "coordinatePrecision" in row:  # a package has one for all of its deployments
        terms |= _precision(row["coordinatePrecision"])
    rule = f"event: {row['rule']}" if "rule" in row else ""
    return terms, (begin, " | ".join(filter(None, (row["deploymentComments"], rule))))


def _of_event(
    row: Sequence[str], remarks: tuple[str, str], taxon_ids: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the terms of `OF_EVENTS` for a row of `OBSERVED`."""
    _, start, end, observation, event, name, count, sex, stage, behavior, individual, *said = row
    method, by, when, certainty, tags, comments = said
    is_sure = method == "human" and certainty != "" and float(certainty) == 1
    how = f"classified by a {method}" if method else "classified"
    how_sure = f" with {float(certainty) * 100:.15g}% certainty" if certainty else ""
    begin, finish = remarks
    return (
        observation,
        count,
        sex,
        stage,
        behavior,
        comments,
        individual,
        event,
        start if start == end else f"{start}/{end}",
        " | ".join(filter(None, (begin, tags and f"tags: {tags}", finish))),
        by,
        utc(when),
        "verified using recorded media" if is_sure else "",
        how + how_sure,
        taxon_ids.get(name, ""),
        name or "Animalia",
    )


def _multimedia(
    connection: sqlite3.Connection,
    deployments: Mapping[str, Mapping[str, str]],
    about: Description,
) -> Iterator[tuple[str, ...]]:
    """Yield the media files of each occurrence's event by deployment, time and name.

    The terms stand in the order of `MULTIMEDIA`.
    """
    columns = ("observationID", *(f"media.{name}" for name in FILED))
    found = connection.execute(
        f"SELECT {', '.join(columns)} FROM media JOIN seen"  # noqa: S608 - our own names
        " ON seen.deploymentID = media.deploymentID AND seen.eventID = media.eventID"
        " ORDER BY media.deploymentID, timestamp, fileName, seen.rowid"
    )
    for occurrence, deployment, time, _, media_id, method, path, is_public, kind, *said in found:
        favorite, comments = said
        marked = "marked as favorite" if favorite.lower() in ("true", "1") else ""
        yield (
            occurrence,
            media_id,
            "MovingImage" if "video" in kind else "StillImage",
            " | ".join(filter(None, (marked, comments))),
            about.media_licence,
            time,
            deployments[deployment]["cameraModel"],
            TECHNIQUES.get(method, ""),
            path,
            kind,
            _service(path, is_public),
        )


def _service(path: str, is_public: str) -> str:
    if not path.startswith(("http://", "https://")):
        return "local"
    return "online" if is_public.lower() in ("true", "1") else "authenticate"
