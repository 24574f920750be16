"""What decoding a JPEG at a part of its size changes: pixels, probabilities and answers."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench.photos import HEIGHT, QUALITY, WIDTH
from bench.progress import progress
from bench.tables import Cell, Column, Section, Table
from bench.workshop import Workshop, bundle_option

if TYPE_CHECKING:
    from trapsort.ensemble import Classifier

PARTS = (2, 4, 8)
"""Of each side, as libjpeg can decode it."""

SMALLEST = 2_000_000  # pixels: what is smaller tells nothing of a large photo's detail
TIGHTEST = 0.45  # of a side, that a crop shows at least
COLUMNS = (
    Column("decoded", "decoded at"),
    Column("width", "width"),
    Column("height", "height"),
    Column("drift", "pixels, of 255", 2),
    Column("mean", "probability, mean", 4),
    Column("most", "probability, 95 %", 4),
    Column("labels", "most probable label", 1, " %"),
    Column("answers", "answer", 1, " %"),
)


@dataclass(slots=True)
class Changes:
    """What one part changes against the whole, a value a picture."""

    drift: list[float] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    label: list[bool] = field(default_factory=list)
    answer: list[bool] = field(default_factory=list)

    def row(self, part: int) -> tuple[Cell, ...]:
        """Return means, the 95th percentile of the probabilities, and percentages."""
        return (
            f"1/{part}",
            WIDTH // part,
            HEIGHT // part,
            float(np.mean(self.drift)),
            float(np.mean(self.probability)),
            float(np.percentile(self.probability, 95)),
            100 * float(np.mean(self.label)),
            100 * float(np.mean(self.answer)),
        )


@click.command()
@click.option(
    "--card",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Real photos: drawn ones show no animal.",
)
@click.option("--crops", default=7, show_default=True, type=click.IntRange(min=0))
@bundle_option
@click.pass_obj
def reduced(workshop: Workshop, card: Path, crops: int, bundle: str | None) -> Section:
    """What a JPEG decoded at 1/2, 1/4 and 1/8 changes against the whole."""
    from trapsort.bundle import load_bundle
    from trapsort.ensemble import Classifier
    from trapsort.session import open_session

    loaded = load_bundle(bundle)
    classifier = Classifier(loaded, open_session(loaded))
    _, paths = workshop.photos(10_000, card)
    found = [picture for path in paths if (picture := opened(path)) is not None]
    if not found:
        raise click.BadParameter("no photo of 2 megapixels or more there", param_hint="--card")
    changes = {part: Changes() for part in PARTS}
    with progress("reduced", len(found)) as step:
        for number, picture in enumerate(found):
            step(f"photo {number + 1}")
            for each in (picture, *cut(picture, crops, random.Random(number))):  # noqa: S311
                compare(each, classifier, changes)
    notes = (
        f"{len(found)} photos and {crops} crops of each, at {WIDTH} x {HEIGHT}, JPEG quality"
        f" {QUALITY}; precision: {classifier.session.precision}",
        "pixels: mean distance after the resize; probability: of the label that changes most",
        "most probable label, answer: how many pictures got another one than decoded whole",
    )
    rows = tuple(each.row(part) for part, each in changes.items())
    title = "What is other than after a full decode"
    return Section("reduced", (Table(title, COLUMNS, rows, notes),))


def opened(path: Path) -> Image.Image | None:
    """Return an upright picture, None for one that is small or cannot be read."""
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except OSError:
        return None
    return upright if upright.width * upright.height >= SMALLEST else None


def cut(picture: Image.Image, count: int, chance: random.Random) -> Iterator[Image.Image]:
    """Yield parts of a picture, half of them mirrored."""
    for _ in range(count):
        share = chance.uniform(TIGHTEST, 1)
        width, height = round(share * picture.width), round(share * picture.height)
        left = chance.randint(0, picture.width - width)
        top = chance.randint(0, picture.height - height)
        part = picture.crop((left, top, left + width, top + height))
        yield ImageOps.mirror(part) if chance.random() < 1 / 2 else part


def compare(picture: Image.Image, classifier: Classifier, changes: dict[int, Changes]) -> None:
    """Add what each part changes of a picture, written as a JPEG of the usual size."""
    file = io.BytesIO()
    large = picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    large.save(file, "JPEG", quality=QUALITY)
    size = classifier.bundle.size
    pixels, (probabilities, answer) = seen(file.getvalue(), 1, classifier, size)
    for part, found in changes.items():
        others, (of_part, other) = seen(file.getvalue(), part, classifier, size)
        found.drift.append(float(np.abs(others - pixels).mean()))
        found.probability.append(float(np.abs(of_part - probabilities).max()))
        found.label.append(int(of_part.argmax()) != int(probabilities.argmax()))
        found.answer.append(other != answer)


def seen(
    data: bytes, part: int, classifier: Classifier, size: Sequence[int]
) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], tuple[str | None, str | None]]]:
    """Return the model's pixels, its probabilities, and the answer: a label or a reason."""
    from trapsort.decode import Frame, resize

    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (image.width // part, image.height // part))
    pixels = resize(image, (size[0], size[1]))
    frame = Frame(pixels, pixels, WIDTH, HEIGHT, "JPEG", ())
    (said,) = classifier.classify([frame])
    (probabilities,) = classifier.session.run(pixels[None]).probabilities
    return pixels.astype(np.float32), (probabilities, (said.label, said.reason))
