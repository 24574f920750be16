"""The resize is Pillow's bicubic, whoever computes it."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from trapsort import resample
from trapsort.resample import bicubic

SIZES = ((816, 612), (612, 816), (100, 75), (75, 100), (1, 1), (3, 900), (900, 3), (224, 224))


def noise(width: int, height: int, *, bits: bool = False) -> Image.Image:
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray((values > 127).astype(np.uint8) * 255 if bits else values)


def pillow(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Rows first, columns then."""
    narrow = image.resize((size[0], image.height), Image.Resampling.BICUBIC)
    return np.asarray(narrow.resize(size, Image.Resampling.BICUBIC)).astype(int)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", [False, True], ids=["noise", "black and white"])
def test_every_value_is_pillows_or_next_to_it(size: tuple[int, int], bits: bool) -> None:
    image = noise(*size, bits=bits)
    for target in ((224, 224), (300, 150)):
        drift = np.abs(bicubic(image, target) - pillow(image, target))
        assert drift.max() <= 2
        assert drift.mean() < 0.01


def test_a_wide_picture_is_what_one_call_of_pillow_makes_of_it(shared: Path) -> None:
    photos = sorted((shared / "cards/peru/DCIM/100EK113").glob("*.JPG"))
    assert photos
    for path in photos[:3]:
        with Image.open(path) as image:
            image.draft("RGB", (816, 612))
            image.load()
        drift = np.abs(
            bicubic(image, (224, 224))
            - np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
        )
        assert drift.max() <= 2
        assert drift.mean() < 0.01


def test_without_the_other_library_it_is_pillow_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "fast", None)
    for size in SIZES:
        image = noise(*size)
        assert np.array_equal(bicubic(image, (224, 224)), pillow(image, (224, 224)))


def test_the_picture_is_left_alone_and_the_answer_cannot_be_changed() -> None:
    image = noise(300, 200)
    before = image.tobytes()
    pixels = bicubic(image, (224, 224))
    assert image.tobytes() == before
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert not pixels.flags.writeable
    assert not bicubic(noise(224, 224), (224, 224)).flags.writeable


def test_threads_do_not_disturb_each_other() -> None:
    images = [noise(200 + 17 * place, 300 - 11 * place) for place in range(12)]
    alone = [bicubic(image, (224, 224)) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = list(pool.map(lambda image: bicubic(image, (224, 224)), images))
            assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


def test_where_there_is_a_wheel_it_is_used() -> None:
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("no wheel is promised for this machine")
    newer = int(PIL.__version__.split(".")[0]) > resample.NEWEST
    assert (resample.fast is None) == newer, "see whether cykooz_resizer knows this Pillow"
