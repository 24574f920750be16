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

PILLOW = int(PIL.__version__.split(".")[0])
ORDER = [
    ((816, 612), False),
    ((612, 816), False),
    ((300, 400), True),
    ((100, 75), False),
    ((75, 100), False),
    ((1, 1), False),
    ((3, 900), True),
    ((900, 3), False),
    ((224, 224), False),
]
"""Pictures, and whether their columns come first on the way to 224 x 224."""


def noise(width: int, height: int, *, bits: bool = False) -> Image.Image:
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray((values > 127).astype(np.uint8) * 255 if bits else values)


def pillow(image: Image.Image, size: tuple[int, int], *, columns_first: bool) -> np.ndarray:
    """Pillow's resize along one side and the other then."""
    between = (image.width, size[1]) if columns_first else (size[0], image.height)
    whole = image.resize(between, Image.Resampling.BICUBIC).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(whole).astype(int)


def in_one_call(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(int)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    drift = np.abs(found - expected)
    assert drift.max() <= 2
    assert drift.mean() < 0.01


@pytest.mark.parametrize(("size", "columns_first"), ORDER)
@pytest.mark.parametrize("bits", [False, True], ids=["noise", "black and white"])
def test_every_value_is_pillows_or_next_to_it(
    size: tuple[int, int], columns_first: bool, bits: bool
) -> None:
    image = noise(*size, bits=bits)
    found = bicubic(image, (224, 224))
    assert_close(found, pillow(image, (224, 224), columns_first=columns_first))
    if PILLOW == 13:
        assert_close(found, in_one_call(image, (224, 224)))


@pytest.mark.skipif(PILLOW != 13, reason="the order is that of Pillow 13")
def test_the_order_is_that_of_pillow_13() -> None:
    dice = np.random.default_rng(1)
    for _ in range(150):
        width, height, across, down = (int(side) for side in dice.integers(8, 400, 4))
        image = noise(width, height, bits=True)  # its edges tell the orders apart
        drift = bicubic(image, (across, down)) - in_one_call(image, (across, down))
        assert np.abs(drift).max() <= 2


def test_real_photos_are_what_one_call_of_pillow_makes_of_them(shared: Path) -> None:
    photos = sorted((shared / "cards/peru/DCIM/100EK113").glob("*.JPG"))
    assert photos
    for path in photos[:3]:
        with Image.open(path) as image:
            image.draft("RGB", (816, 612))
            image.load()
        assert_close(bicubic(image, (224, 224)), in_one_call(image, (224, 224)))


def test_without_the_other_library_it_is_pillow_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "fast", None)
    for size, columns_first in ORDER:
        image = noise(*size)
        expected = pillow(image, (224, 224), columns_first=columns_first)
        assert np.array_equal(bicubic(image, (224, 224)), expected)


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
    assert (resample.fast is None) == (PILLOW > resample.NEWEST)
