"""`trapsort demo`: a drawn card, to see the whole way without photographs."""

from __future__ import annotations

from pathlib import Path

import click

from trapsort.cli import common_options
from trapsort.settings import Settings


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@common_options
def demo(_settings: Settings, folder: Path) -> None:
    """Draw a small synthetic card into the folder DIR, which is made if need be.

    It holds drawings (each says that it is synthetic) with camera times, a burst, duplicates and a
    broken file. No model can name what is drawn, so expect it to abstain.
    """
    from trapsort.demo import draw_card

    draw_card(folder)
    click.echo(f"drew a synthetic card in {folder}; now try: trapsort ingest {folder}")
