"""`make bench`: the published way, trapsort and the decode floor, side by side in one run."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from bench import photos
from bench.export import export
from bench.measure import Result, interleave, print_table, summarise, this_machine
from bench.web import web

MIN_REPEATS = 5  # a median of fewer says little


@click.group(invoke_without_command=True)
@click.option("--photos", "count", default=64, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--repeats", default=5, show_default=True, type=click.IntRange(min=MIN_REPEATS), help="Rounds."
)
@click.option(
    "--card",
    default=None,
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Measure on the JPEG files of this folder, not on drawn photos.",
)
@click.option("--bundle", default=None, metavar="NAME|DIR", help="Model; the default one if not.")
@click.option("--format", "shape", default="table", type=click.Choice(["table", "json"]))
@click.pass_context
def main(
    context: click.Context,
    count: int,
    repeats: int,
    card: Path | None,
    bundle: str | None,
    shape: str,
) -> None:
    """Measure how many photos a second each way takes in, on photographs drawn for it."""
    if context.invoked_subcommand is not None:
        return
    from bench.ways import everyone_way, floor_way, published_way, trapsort_way
    from trapsort.bundle import load_bundle
    from trapsort.ensemble import Classifier
    from trapsort.session import open_session

    machine = this_machine()
    loaded = load_bundle(bundle)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trapsort-bench-")))
        if card is None:
            click.echo(f"drawing {count} photos", err=True)
            paths = photos.draw(scratch / "card", count)
        else:
            paths = photos.copy_distinct(card, scratch / "card", count)
            count = len(paths)
        if not paths:
            raise click.BadParameter(f"no JPEG file below {card}", param_hint="--card")
        classifier = Classifier(loaded, open_session(loaded))
        ways = [
            published_way(paths, loaded),
            trapsort_way(scratch / "card", count, classifier, scratch, stack),
            everyone_way(scratch / "card", count, loaded, scratch, stack),
            floor_way(paths),
        ]
        click.echo(f"measuring {repeats} rounds, and one before to warm up", err=True)
        seconds = interleave(ways, repeats)
        result = Result(
            photos=count,
            megapixels=photos.megapixels(paths),
            megabytes_per_photo=sum(path.stat().st_size for path in paths) / count / 1e6,
            repeats=repeats,
            model=f"{loaded.model_name} on {classifier.session.provider}",
            machine=machine,
            rows=summarise(ways, seconds, count),
        )
    if shape == "json":
        click.echo(json.dumps(result.as_dict(), indent=2))
    else:
        print_table(result)


main.add_command(export)
main.add_command(web)


if __name__ == "__main__":
    main()
