"""`trapsort export FORMAT`: the sightings in files that other programs open."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trapsort.cli import common_options
from trapsort.cli.counting import (
    minutes_option,
    rule_option,
    since_option,
    station_option,
    until_option,
)
from trapsort.cli.options import open_existing, redlist_option, shared_options
from trapsort.cli.sightings import check_codes, labels_meant
from trapsort.cli.work import say
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.interchange import Exported
    from trapsort.interchange.camtrap_about import About
    from trapsort.store import SightingQuery, Store

PATH = click.Path(path_type=Path)

_FILTERS = (
    click.option(
        "--species", multiple=True, metavar="NAME",
        help="Only this label or scientific name, or 'unknown'; may be repeated.",
    ),
    click.option(
        "--iucn", multiple=True, metavar="CATEGORY", help="Only this Red List category, e.g. VU."
    ),
    since_option,
    until_option,
    station_option,
    click.option(
        "--min-probability", type=click.FloatRange(0, 1), metavar="P",
        help="Only at least this sure.",
    ),
    click.option("--reason", metavar="CODE", help="Only photos left out for this reason."),
    click.option("--reviewed/--unreviewed", default=None, help="Only with, or without, a review."),
    click.option("--card", metavar="DIR", help="Only from this card."),
)  # fmt: skip
_OUT = click.option("--out", type=PATH, required=True, metavar="PATH", help="Where to write.")
_FORCE = click.option("--force", is_flag=True, help="Replace an earlier export that is there.")
_PRECISION = click.option(
    "--precision", metavar="DEGREES|none",
    help="Round positions to this grid; by what was seen there if not given.",
)  # fmt: skip
_ABOUT = (
    click.option("--title", default="Camera trap photos", show_default=True, help="Of the data."),
    click.option("--project", default="", metavar="NAME", help="Project; the title if not given."),
    click.option(
        "--contributor", "contributors", multiple=True, metavar="'NAME <EMAIL>'",
        help="Who made the data; may be repeated.",
    ),
    click.option(
        "--sampling-design", default="opportunistic", show_default=True,
        type=click.Choice(
            ("simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted",
             "opportunistic")
        ),
        help="How the stations were chosen.",
    ),
    click.option("--data-license", default="", metavar="NAME", help="Licence of the data: CC0-1.0"),
    click.option("--media-license", default="", metavar="NAME", help="Licence of the photos."),
    click.option(
        "--visit-seconds", type=click.FloatRange(0), default=120, show_default=True, metavar="N",
        help="Photos of a camera no further apart are one event.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The filters as they were given."""

    species: tuple[str, ...]
    iucn: tuple[str, ...]
    since: date | None
    until: date | None
    station: str | None
    min_probability: float | None
    reason: str | None
    reviewed: bool | None
    card: str | None

    def query(self, store: Store, red_list: str) -> SightingQuery:
        """Return them as the record takes them; raises InputError for a name that is not there."""
        from trapsort.store import SightingQuery

        check_codes(self.iucn, self.reason)
        return SightingQuery(
            species=labels_meant(self.species, store, red_list),
            iucn=tuple(map(str.upper, self.iucn)),
            since=self.since,
            until=self.until,
            station=self.station,
            min_probability=self.min_probability,
            reason=self.reason,
            reviewed=self.reviewed,
            card=self.card,
            red_list=red_list,
        )


def _format(name: str, *options: Callable[..., Any]) -> Callable[..., click.Command]:
    """Make a function of store, query and its own options the sub-command `name`."""

    def made(function: Callable[..., Exported]) -> click.Command:
        @functools.wraps(function)
        def run(settings: Settings, /, **given: Any) -> None:
            asked = Asked(**{each.name: given.pop(each.name) for each in fields(Asked)})
            if given.get("package") is not None:  # no record is asked
                done = function(None, None, **given)
            else:
                with open_existing(settings.db) as store:
                    done = function(store, asked.query(store, settings.red_list), **given)
            _tell(done, given.get("out") or given.get("embed_into"))

        whole: Callable[..., Any] = redlist_option(common_options(run))
        for option in reversed((*options, *_FILTERS)):
            whole = option(whole)
        return export.command(name)(whole)

    return made


def _tell(done: Exported, place: Path | None) -> None:
    """Say on stderr what was written, and what one must know of it."""
    from trapsort.interchange.exported import counted

    for note in done.notes:
        say(note, err=True)
    photos = f"{counted(done.photos, 'photo')}: " if done.photos else ""
    say(f"{photos}{place}", err=True)


def _degrees(precision: str | None) -> float | None:
    from trapsort.blur import parsed_precision

    return None if precision is None else parsed_precision(precision)


@click.group(no_args_is_help=True)
@shared_options
def export() -> None:
    """Write sightings into files that other programs open.

    The filters are those of `trapsort sightings`. Files are whole or not there, nothing is written
    to a card, and positions are rounded by the most threatened species that was seen at a place.
    """


def _about(given: dict[str, Any]) -> About:
    from trapsort.interchange.camtrap_about import About

    return About(**{each.name: given.pop(each.name) for each in fields(About)})


@_format(
    "camtrap-dp",
    _OUT,
    *_ABOUT,
    click.option("--copy-media", is_flag=True, help="Put the photos into the package."),
    _PRECISION,
    _FORCE,
)
def camtrap_dp(
    store: Store, query: SightingQuery, *, precision: str | None, **given: Any
) -> Exported:
    """Camtrap DP 1.0.2: a folder with deployments, media and observations.

    Every photo is a media row with its observations; photos of one visit are an event, and the
    event rows are what one sums. A deployment needs a position: see `trapsort stations import`.
    """
    from trapsort.interchange.camtrap_dp import export

    return export(store, query, about=_about(given), precision=_degrees(precision), **given)


@_format(
    "darwin-core",
    _OUT,
    click.option(
        "--package", type=PATH, metavar="DIR",
        help="A Camtrap DP package to write instead of the record, whoever made it.",
    ),
    *_ABOUT,
    _PRECISION,
    _FORCE,
)  # fmt: skip
def darwin_core(
    store: Store,
    query: SightingQuery,
    *,
    package: Path | None,
    precision: str | None,
    **given: Any,
) -> Exported:
    """Darwin Core archive: occurrence.csv, multimedia.csv and meta.xml, as GBIF takes them.

    Animals only, one row a species and event.
    """
    from trapsort.interchange.darwin_core import export, export_package

    about = _about(given)
    if package is not None:
        return export_package(package, given["out"], force=given["force"])
    return export(store, query, about=about, precision=_degrees(precision), **given)


@_format("megadetector", _OUT, _FORCE)
def megadetector(store: Store, query: SightingQuery, **given: Any) -> Exported:
    """MegaDetector results, format 1.6: one JSON file, which Timelapse reads too.

    Without filters the files that could not be read stand in it as failures.
    """
    from trapsort.interchange.megadetector import export

    return export(store, query, **given)


@_format(
    "timelapse",
    _OUT,
    click.option(
        "--column", "columns", multiple=True, metavar="NAME=FIELD",
        help="A data label of your template and what it takes; may be repeated.",
    ),
    _FORCE,
)  # fmt: skip
def timelapse(
    store: Store, query: SightingQuery, *, columns: tuple[str, ...], **given: Any
) -> Exported:
    """A CSV file to import into Timelapse.

    Timelapse refuses columns that its template lacks, so there are only File and RelativePath
    unless you name yours, as in --column Species=species. Fields: species, scientific_name, count,
    probability, reason, reviewed, reviewer, model, station, deployment, time, note.
    """
    from trapsort.interchange.timelapse import export, parse_columns

    return export(store, query, columns=parse_columns(columns), **given)


@_format(
    "camtrapr",
    _OUT,
    minutes_option,
    rule_option,
    _PRECISION,
    _FORCE,
)  # fmt: skip
def camtrapr(
    store: Store,
    query: SightingQuery,
    *,
    precision: str | None,
    **given: Any,
) -> Exported:
    """Tables for the R package camtrapR: records.csv and stations.csv in a folder.

    The records are the independent events of `trapsort survey events`: what counts are species
    that a person or the model has named, at a station and with a time.
    """
    from trapsort.errors import InputError
    from trapsort.interchange.camtrapr import export
    from trapsort.store import Counting

    if query.card or query.reason or query.iucn or query.reviewed is False:
        raise InputError(
            "a record table holds all that counts at a station",
            "leave out --card, --reason, --iucn and --unreviewed",
        )
    counting = Counting(
        reviewed_only=bool(query.reviewed),
        min_probability=query.min_probability,
        since=query.since,
        until=query.until,
        station=query.station,
        species=query.species,
    )
    return export(store, counting, precision=_degrees(precision), **given)


@_format("geojson", _OUT, _PRECISION, _FORCE)
def geojson(store: Store, query: SightingQuery, *, precision: str | None, **given: Any) -> Exported:
    """GeoJSON: a point a photo, for a map."""
    from trapsort.interchange.geojson import export

    return export(store, query, precision=_degrees(precision), **given)


@_format(
    "keywords",
    click.option("--out", type=PATH, metavar="DIR", help="Folder for sidecars (NAME.JPG.xmp)."),
    click.option(
        "--embed-into", type=PATH, metavar="DIR",
        help="Folder for copies of the JPEG photos with the keywords inside.",
    ),
    _FORCE,
)  # fmt: skip
def keywords(store: Store, query: SightingQuery, **given: Any) -> Exported:
    """Species as keywords of the photos, for digiKam, Lightroom and camtrapR.

    Either XMP sidecars or, for programs that do not read these, copies: the originals and their
    cards stay as they are. Folders are those of the card.
    """
    from trapsort.interchange.keywords import export

    return export(store, query, **given)


@_format("xlsx", _OUT, _PRECISION, _FORCE)
def xlsx(store: Store, query: SightingQuery, *, precision: str | None, **given: Any) -> Exported:
    """An Excel workbook: sightings, species and deployments."""
    from trapsort.interchange.xlsx import export

    return export(store, query, precision=_degrees(precision), **given)
