"""`trapsort stations`: where the cameras stand."""

from __future__ import annotations

from pathlib import Path

import click

from trapsort.cli import common_options
from trapsort.cli.listing import FORMS, Row, format_option, write_listing
from trapsort.cli.options import open_existing, shared_options
from trapsort.cli.work import say
from trapsort.settings import Settings

COLUMNS = ("station", "latitude", "longitude")

FILE = click.argument("file", metavar="FILE.csv", type=click.Path(path_type=Path))
UTM_ZONE = click.option("--utm-zone", metavar="50N", help="Zone of the columns utm_x and utm_y.")
IGNORE = click.option(
    "--ignore", "ignored", multiple=True, metavar="COLUMN", help="Leave this column out."
)


@click.group()
@shared_options
def stations() -> None:
    """Import or list the stations: where the cameras stand."""


@stations.command("import")
@FILE
@UTM_ZONE
@IGNORE
@common_options
def import_stations(
    settings: Settings, /, *, file: Path, utm_zone: str | None, ignored: tuple[str, ...]
) -> None:
    """Add stations, or move them, from a table.

    Columns: station, latitude and longitude in degrees; or a table of deployments, as `trapsort
    deployments import` takes it. If a line is wrong, nothing is written.
    """
    from trapsort.deployments import read_stations
    from trapsort.store import Store

    rows = read_stations(file, utm_zone=utm_zone, ignored=ignored)
    with Store.open(settings.db) as store:
        store.import_stations(rows)
    say(f"{len(rows):,} station{'' if len(rows) == 1 else 's'}")


@stations.command("list")
@format_option(*FORMS)
@common_options
def list_stations(settings: Settings, /, *, form: str) -> None:
    """List the stations with their positions, degrees north and east."""
    with open_existing(settings.db) as store:
        found = store.stations()
    rows: list[Row] = [(row.name, row.latitude, row.longitude) for row in found]
    if form == "table":
        shown = _shown_degrees
        rows = [(row.name, shown(row.latitude), shown(row.longitude)) for row in found]
    write_listing(COLUMNS, rows, form)


def _shown_degrees(degrees: float | None) -> str:
    """Return degrees to about a metre: four digits of a number would be a rounded place."""
    return "" if degrees is None else f"{degrees:.5f}"
