"""`trapsort deployments`: which camera stood where and when, and which photos it took there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options
from trapsort.cli.listing import format_option, write_listing
from trapsort.cli.options import open_existing, shared_options
from trapsort.cli.stations import FILE, IGNORE, UTM_ZONE
from trapsort.cli.work import say
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.store import Store

COLUMNS = (
    *("name", "station", "camera", "serial", "card", "folder", "start", "end", "utc_offset"),
    *("bait", "habitat", "comments", "latitude", "longitude", "problems", "corrections"),
)
TABLE = ("name", "station", "camera", "start", "end", "problems", "corrections")
FIRST_SECOND, LAST_SECOND = "T00:00:00", "T23:59:59"  # of a day given without a time
UNMATCHED = ("photo_id", "path", "card", "station", "camera_time", "serial", "why")
UNMATCHED_TABLE = ("camera_time", "station", "why", "path")


@click.group()
@shared_options
def deployments() -> None:
    """Import, list or remove deployments: a camera at a station for a while.

    Photos find theirs by the camera's serial number, folder, card or station, and by time.
    """


@deployments.command("import")
@FILE
@click.option(
    "--dates",
    type=click.Choice(("dmy", "mdy")),
    help="Whether dates that do not begin with the year begin with the day or the month.",
)
@click.option(
    "--folder",
    default="",
    metavar="PATTERN",
    help="Photos of a deployment lie here on the card, as '{station}/{camera}' or 'DCIM/1*'.",
)
@UTM_ZONE
@IGNORE
@common_options
def import_deployments(
    settings: Settings,
    /,
    *,
    file: Path,
    dates: str | None,
    folder: str,
    utm_zone: str | None,
    ignored: tuple[str, ...],
) -> None:
    """Add deployments, or replace those of the same names, from a table.

    It may be camtrapR's station table, Camtrap DP's deployments.csv, or have these columns:
    deployment, station, latitude, longitude, camera, serial, card, folder, start, end, utc_offset,
    bait, habitat, comments, problem1_from, problem1_to and so on. If a line is wrong, nothing is
    written.
    """
    from trapsort.deployments import read_deployments
    from trapsort.store import Store

    rows = read_deployments(file, utm_zone=utm_zone, dates=dates, folder=folder, ignored=ignored)
    with Store.open(settings.db) as store:
        store.import_deployments(rows)
        at = len({row.station for row in rows})
        say(f"{_counted(len(rows), 'deployment')} at {_counted(at, 'station')}")
        say_matched(store)


@deployments.command("list")
@click.option("--unmatched", is_flag=True, help="List the photos that belong to none, and why.")
@format_option("table", "csv", "json", "jsonl")
@common_options
def list_deployments(settings: Settings, /, *, unmatched: bool, form: str) -> None:
    """List the deployments, or the photos that belong to none or to more than one."""
    with open_existing(settings.db) as store:
        if unmatched:
            shown = UNMATCHED_TABLE if form == "table" else UNMATCHED
            photos = store.unmatched()
            write_listing(shown, ([getattr(p, each) for each in shown] for p in photos), form)
            return
        rows = store.deployments()
    columns = TABLE if form == "table" else COLUMNS
    listed = []
    for row in rows:
        cells = {
            "problems": "; ".join(f"{start} to {end}" for start, end in row.problems),
            "corrections": len(row.corrections) or None,
        }
        if form == "table":
            cells["start"] = (row.start or "").removesuffix(FIRST_SECOND)
            cells["end"] = (row.end or "").removesuffix(LAST_SECOND)
        listed.append([cells[each] if each in cells else getattr(row, each) for each in columns])
    write_listing(columns, listed, form)


@deployments.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@common_options
def remove(settings: Settings, /, *, names: tuple[str, ...]) -> None:
    """Remove deployments that never were, with the corrections of their clocks; photos stay."""
    with open_existing(settings.db) as store:
        store.remove_deployments(names)
        say_matched(store)


def say_matched(store: Store) -> None:
    """Say how many photos belong to a deployment, and where to look for the others."""
    matched, unmatched = store.count_matched()
    if matched or unmatched:
        say(f"{_counted(matched, 'photo')} in deployments, {unmatched:,} in none")
    if unmatched:
        say("see which and why: trapsort deployments list --unmatched", err=True)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
