"""`make bench`: the published way, trapsort and the decode floor, side by side in one run."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from bench import photos
from bench.measure import Result, interleave, print_table, summarise, this_machine

MIN_REPEATS = 5  # a median of fewer says little


@click.command()
@click.option("--photos", "count", default=64, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--repeats", default=5, show_default=True, type=click.IntRange(min=MIN_REPEATS), help="Rounds."
)
@click.option("--bundle", default=None, metavar="NAME|DIR", help="Model; the default one if not.")
@click.option("--format", "shape", default="table", type=click.Choice(["table", "json"]))
def main(count: int, repeats: int, bundle: str | None, shape: str) -> None:
    """Measure how many photos a second each way takes in, on photographs drawn for it."""
    from bench.ways import floor_way, published_way, trapsort_way
    from trapsort.bundle import load_bundle
    from trapsort.ensemble import Classifier
    from trapsort.session import open_session

    machine = this_machine()
    loaded = load_bundle(bundle)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trapsort-bench-")))
        click.echo(f"drawing {count} photos", err=True)
        paths = photos.draw(scratch / "card", count)
        classifier = Classifier(loaded, open_session(loaded))
        ways = [
            published_way(paths, loaded),
            trapsort_way(scratch / "card", count, classifier, scratch, stack),
            floor_way(paths),
        ]
        click.echo(f"measuring {repeats} rounds, and one before to warm up", err=True)
        seconds = interleave(ways, repeats)
        result = Result(
            photos=count,
            megapixels=photos.WIDTH * photos.HEIGHT / 1e6,
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


if __name__ == "__main__":
    main()
