"""Draws photographs to measure with: natural texture, of 8 megapixels about 3 MB each."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT = 3264, 2448
QUALITY = 88
PLANES: Final = 3  # textures drawn; each photo mixes them anew, far quicker than drawing them
SLOPE: Final = 1.1  # with the noise below, a photo takes about 3 MB
GRAIN: Final = 4.0  # sensor noise in grey levels
THREADS: Final = 2  # that draw; a photo of 24 megapixels takes some 900 MB meanwhile

Plane = npt.NDArray[np.float32]


def texture(height: int, width: int, random: np.random.Generator, *, slope: float) -> Plane:
    """Return noise of mean 0 and variance 1 whose amplitude falls as 1/frequency**slope.

    Natural scenes have a slope near 1 (Field 1987, J. Opt. Soc. Am. A 4, 2379).
    """
    squared = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None] ** 2
    squared[0, 0] = 1.0
    spectrum = random.normal(size=squared.shape) + 1j * random.normal(size=squared.shape)
    plane: npt.NDArray[np.float64] = np.fft.irfft2(
        spectrum / squared ** (slope / 2), s=(height, width)
    )
    return np.asarray((plane - plane.mean()) / plane.std(), dtype=np.float32)


def scene(number: int, planes: list[Plane]) -> npt.NDArray[np.uint8]:
    """Return photo `number`, uint8 (height, width, 3): texture, light and grain.

    The same number and planes give the same pixels.
    """
    random = np.random.default_rng([number, 1])
    height, width = planes[0].shape
    shifted = [
        np.roll(plane, (int(random.integers(height)), int(random.integers(width))), (0, 1))
        for plane in planes
    ]
    light = np.linspace(random.uniform(130, 190), random.uniform(60, 110), height)[:, None, None]
    colour = random.uniform(0.7, 1.1, size=3)
    mix = random.normal(18, 6, size=(len(planes), 1)) + random.normal(0, 3, size=(len(planes), 3))
    pixels = np.broadcast_to(light * colour, (height, width, 3)).astype(np.float32)
    for plane, weights in zip(shifted, mix, strict=True):
        pixels += plane[..., None] * weights.astype(np.float32)
    pixels += random.standard_normal((height, width, 1), dtype=np.float32) * np.float32(GRAIN)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def exif(number: int) -> Image.Exif:
    """Return what a camera writes beside the pixels, one photo a minute."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "TRAPSORT", "BENCH"
    tags.get_ifd(0x8769)[0x9003] = f"2025:06:01 {number // 60 % 24:02d}:{number % 60:02d}:00"
    return tags


def draw(
    folder: Path,
    count: int,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    quality: int = QUALITY,
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write `count` photographs into `folder` and return their paths in order.

    quality: of the JPEG files, 1 to 95; `on_step` hears of each photo when it is there.
    """
    random = np.random.default_rng(0)
    planes = [texture(height, width, random, slope=SLOPE) for _ in range(PLANES)]
    folder.mkdir(parents=True, exist_ok=True)

    def one(number: int) -> Path:
        path = folder / f"IMG_{number:04d}.JPG"
        Image.fromarray(scene(number, planes)).save(path, quality=quality, exif=exif(number))
        return path

    paths = []
    with ThreadPoolExecutor(THREADS) as pool:
        for path in pool.map(one, range(count)):
            on_step(f"drawing {path.name}")
            paths.append(path)
    return paths


def copy_distinct(card: Path, folder: Path, count: int) -> list[Path]:
    """Copy at most `count` JPEG files of different content from `card`; their new paths."""
    found: dict[str, bytes] = {}
    for path in sorted(card.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg") and path.is_file() and len(found) < count:
            data = path.read_bytes()
            found.setdefault(hashlib.sha256(data).hexdigest(), data)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"IMG_{number:04d}.JPG" for number in range(len(found))]
    for path, data in zip(paths, found.values(), strict=True):
        path.write_bytes(data)
    return paths


def megapixels(paths: list[Path]) -> float:
    """Median size of photographs, in million pixels."""
    sizes = []
    for path in paths:
        with Image.open(path) as image:
            sizes.append(image.width * image.height / 1e6)
    return statistics.median(sizes)
