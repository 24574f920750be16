"""What a Camtrap DP package says of its deployments and of itself (datapackage.json)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from trapsort import __version__
from trapsort.blur import EXACT
from trapsort.interchange import camtrap_tables as tables
from trapsort.interchange.names import common_name, taxon_of
from trapsort.interchange.sites import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a package says of itself; licences are names such as CC0-1.0, both or none.

    `contributors` are names, or `NAME <EMAIL>`; without any, those who reviewed.
    """

    title: str = "Camera trap photos"
    project: str = ""
    contributors: tuple[str, ...] = ()
    sampling_design: str = "opportunistic"
    data_license: str = ""
    media_license: str = ""


@dataclass(slots=True)
class Met:
    """What the tables were found to hold: species (name -> a label), people and camera modes."""

    species: dict[str, str] = field(default_factory=dict)
    reviewers: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)


def deployment_row(site: Site) -> dict[str, Any]:
    """Return a row of the table of deployments; raises ValueError without a place."""
    latitude, longitude = site.position
    row = site.row
    return {
        "deploymentID": site.name,
        "locationID": site.station or "",
        "locationName": site.station or "",
        "latitude": latitude,
        "longitude": longitude,
        "coordinateUncertainty": site.uncertainty_metres,
        "deploymentStart": site.start,
        "deploymentEnd": site.end,
        "cameraID": (row.serial or row.camera if row else "") or site.serial,
        "cameraModel": site.camera_model,
        "timestampIssues": "true" if site.has_time_issues else "false",
        "baitUse": _bait_use(row.bait) if row else "",
        "habitat": row.habitat if row else "",
        "deploymentTags": f"bait:{row.bait.replace('|', '/')}" if row and row.bait else "",
        "deploymentComments": (row.comments if row else "")
        or ("start and end are those of the first and last photo" if site.is_derived else ""),
    }


def _bait_use(bait: str) -> str:
    if not bait:
        return ""
    return "false" if bait.casefold() in ("no", "none", "false", "0") else "true"


def metadata(
    about: About, deployments: list[dict[str, Any]], met: Met, precision: float
) -> dict[str, Any]:
    """Return the description of these deployments; `precision` in degrees, `EXACT` for none."""
    project = {
        "title": about.project or about.title,
        "samplingDesign": about.sampling_design,
        "captureMethod": sorted(met.methods) or ["activityDetection"],
        "individualAnimals": False,
        "observationLevel": ["media", "event"],
    }
    package: dict[str, Any] = {
        "resources": [_resource(name) for name in tables.TABLES],
        "profile": f"{tables.SCHEMAS}camtrap-dp-profile.json",
        "name": re.sub(r"[^a-z0-9]+", "-", about.title.lower()).strip("-") or "camera-trap-photos",
        "title": about.title,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "contributors": _contributors(about.contributors or tuple(sorted(met.reviewers))),
        "sources": [{"title": "trapsort", "version": __version__}],
        "project": project,
        "spatial": _spatial(deployments),
        "temporal": {
            "start": min(row["deploymentStart"] for row in deployments)[:10],
            "end": max(row["deploymentEnd"] for row in deployments)[:10],
        },
        "taxonomic": list(_taxa(met.species)),
    }
    if about.data_license:
        package["licenses"] = [
            {"name": about.data_license, "scope": "data"},
            {"name": about.media_license, "scope": "media"},
        ]
    if precision != EXACT:
        package["coordinatePrecision"] = precision
    return package


def _resource(name: str) -> dict[str, str]:
    return {
        "name": name,
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": f"{tables.SCHEMAS}{name}-table-schema.json",
    }


def _contributors(names: Iterable[str]) -> list[dict[str, str]]:
    found = []
    for name in names:
        match = re.fullmatch(r"(.+?)\s*<([^<>@\s]+@[^<>\s]+)>", name)
        found.append({"title": match[1], "email": match[2]} if match else {"title": name})
    return found or [{"title": "not named"}]


def _spatial(deployments: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a point, or the box around all deployments, as GeoJSON."""
    west, *_, east = sorted([row["longitude"] for row in deployments] * 2)
    south, *_, north = sorted([row["latitude"] for row in deployments] * 2)
    if (west, south) == (east, north):
        return {"type": "Point", "coordinates": [west, south]}
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _taxa(species: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, label in sorted(species.items()):
        if name:
            taxon: dict[str, Any] = {"scientificName": name, "taxonRank": taxon_of(label).rank}
            if common_name(label) != name:
                taxon["vernacularNames"] = {"eng": common_name(label)}
            yield taxon
