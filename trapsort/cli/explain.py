"""`trapsort explain`: where in a photo the model looked."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import click

from trapsort.cli import common_options
from trapsort.cli.options import profile_options
from trapsort.cli.work import open_classifier
from trapsort.errors import InputError, PhotoError
from trapsort.settings import Settings


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, metavar="PNG", type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write.",
)  # fmt: skip
@profile_options
@common_options
def explain(settings: Settings, /, *, photo: Path, out: Path) -> None:
    """Draw over PHOTO what spoke for its most probable label (Grad-CAM).

    The map is the mean of the members' own, of the score before the softmax.
    """
    from trapsort.explain import caption
    from trapsort.explain import explain as draw
    from trapsort.fingerprint import read_content
    from trapsort.reports.csv_file import write_whole
    from trapsort.scan import Problem, check_root, scan

    check_root(photo)
    with suppress(OSError):  # mostly: there is no such file yet
        if out.samefile(photo):
            raise InputError(f"--out {out} is the photo itself.", "Choose another --out.")
    if photo.is_dir():
        raise InputError(f"{photo} is a folder.", "Name one photo.")
    try:
        (item,) = scan(photo)
        if isinstance(item, Problem):
            raise PhotoError(item.reason, item.detail)
        content = read_content(item)
        explanation = draw(content.data, open_classifier(settings))
    except PhotoError as error:
        raise InputError(f"{photo}: {error.detail}.", "Choose a photo that can be read.") from error
    picture = io.BytesIO()
    explanation.picture.save(picture, format="PNG")
    write_whole(out, [picture.getvalue()])
    click.echo(caption(explanation.prediction, explanation.explained))
    click.echo(f"written to {out}", err=True)
