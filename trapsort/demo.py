"""Draw a small synthetic card, for someone who has no photos at hand: scenery, not wildlife.

Every picture says in its corner and in its EXIF that it is synthetic. The same Pillow draws the
same bytes each time.
"""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from trapsort.errors import InputError

WIDTH, HEIGHT, STRIP = 1920, 1080, 72
LABEL = "SYNTHETIC DRAWING - NOT A PHOTOGRAPH"
_DESCRIPTION = "synthetic drawing by trapsort demo, not a photograph"
_FOLDER, _SECOND_FOLDER = "DCIM/100TRAPS", "DCIM/101TRAPS"
_START = datetime(2025, 3, 14, 16, 20, 0)
_HORIZON = 0.45

_Shape = tuple[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class DemoCard:
    """What was drawn: `files` are `photos` (different and readable), `duplicates` and `broken`.

    Among the photos: `near_duplicates` that repeat another one in other bytes, and `burst` frames
    of one visit. (Empty frames of the one scenery resemble each other too, as real ones do.)
    """

    folder: Path
    files: int
    photos: int
    duplicates: int
    near_duplicates: int
    burst: int
    broken: int


@dataclass(frozen=True, slots=True)
class _Scene:
    """One frame: when (minutes since the start), which animal, where (0 to 1), how large."""

    minutes: float
    animal: str = ""
    x: float = 0.5
    size: float = 0.5
    celsius: int = 12

    @property
    def time(self) -> datetime:
        return _START + timedelta(minutes=self.minutes)

    @property
    def night(self) -> bool:
        return not 6 <= self.time.hour < 19


# Frames 6 to 8 are the burst: a deer that walks by, a second apart.
_SCENES = (
    _Scene(0, "", celsius=17),
    _Scene(41, "deer", 0.35, 0.55, 16),
    _Scene(93, "bird", 0.7, 0.3, 15),
    _Scene(221, "boar", 0.5, 0.5, 11),
    _Scene(318, "cat", 0.6, 0.45, 9),
    _Scene(902, "deer", 0.3, 0.6, 8),
    _Scene(902 + 1 / 60, "deer", 0.45, 0.6, 8),
    _Scene(902 + 2 / 60, "deer", 0.6, 0.6, 8),
    _Scene(990, "", celsius=13),
    _Scene(1130, "bird", 0.25, 0.35, 18),
    _Scene(1371, "boar", 0.7, 0.6, 19),
    _Scene(1560, "", celsius=14),
    _Scene(1683, "cat", 0.3, 0.6, 10),
    _Scene(1790, "deer", 0.75, 0.4, 8),
    _Scene(1934, "", celsius=6),
    _Scene(2111, "boar", 0.25, 0.4, 5),
    _Scene(2419, "bird", 0.5, 0.45, 12),
    _Scene(2655, "deer", 0.5, 0.75, 18),
    _Scene(2801, "cat", 0.75, 0.55, 17),
)
_HOSTILE = _Scene(2950, "boar", 0.4, 0.7, 14)  # its name would be a formula in a spreadsheet
_BURST = 3

# Unit shapes: x to the right, y downwards, the feet at y = 1, the body about 1 wide.
_LEGS = tuple(("line", (x, 0.5, x + 0.02, 1.0, 0.05)) for x in (0.22, 0.3, 0.66, 0.74))
_ANIMALS: dict[str, tuple[_Shape, ...]] = {
    "deer": (
        *_LEGS,
        ("ellipse", (0.15, 0.3, 0.82, 0.65)),
        ("line", (0.78, 0.45, 0.92, 0.12, 0.11)),
        ("ellipse", (0.84, 0.02, 1.1, 0.16)),
        ("line", (0.92, 0.05, 0.86, -0.22, 0.025)),
        ("line", (0.89, -0.08, 1.0, -0.25, 0.025)),
    ),
    "boar": (
        *_LEGS,
        ("ellipse", (0.08, 0.3, 0.88, 0.8)),
        ("ellipse", (0.72, 0.4, 1.1, 0.74)),
        ("polygon", (0.8, 0.42, 0.86, 0.25, 0.92, 0.42)),
        ("line", (0.1, 0.45, 0.0, 0.6, 0.02)),
    ),
    "cat": (
        *_LEGS,
        ("ellipse", (0.12, 0.38, 0.86, 0.66)),
        ("ellipse", (0.78, 0.22, 1.04, 0.48)),
        ("polygon", (0.8, 0.28, 0.83, 0.12, 0.9, 0.25)),
        ("polygon", (0.93, 0.25, 1.0, 0.12, 1.02, 0.28)),
        ("line", (0.16, 0.48, -0.2, 0.75, 0.06)),
    ),
    "bird": (
        ("line", (0.45, 0.5, 0.45, 1.0, 0.03)),
        ("line", (0.55, 0.5, 0.55, 1.0, 0.03)),
        ("ellipse", (0.2, 0.25, 0.8, 0.6)),
        ("line", (0.72, 0.35, 0.82, -0.1, 0.06)),
        ("ellipse", (0.74, -0.22, 0.92, -0.06)),
        ("polygon", (0.9, -0.18, 1.2, -0.12, 0.9, -0.09)),
    ),
}


def draw_card(folder: Path) -> DemoCard:
    """Draw a card of 24 JPEGs and a text file into a new or empty folder.

    Raises `InputError` where the folder holds something already or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} is not empty.", "Give a new folder for the synthetic card.")
        return _write(folder, _contents())
    except OSError as error:
        raise InputError(
            f"Cannot draw a card in {folder}: {error.strerror}.", "Give another folder."
        ) from error


def _contents() -> dict[str, tuple[bytes, datetime]]:
    """Bytes and time of each file by its path below the folder."""
    files = {
        f"{_FOLDER}/IMG_{number:04}.JPG": (_photo(scene, seed=number), scene.time)
        for number, scene in enumerate(_SCENES, start=1)
    }
    number = len(_SCENES)
    repeated, whole = f"{_FOLDER}/IMG_0003.JPG", f"{_FOLDER}/IMG_0010.JPG"
    return (
        files
        | {
            f"{_FOLDER}/IMG_{number + 1:04}.JPG": (
                _photo(_SCENES[1], seed=2, quality=55),  # the near-duplicate: compressed once more
                _SCENES[1].time,
            ),
            f"{_FOLDER}/IMG_{number + 2:04}.JPG": files[repeated],
            f"{_FOLDER}/IMG_{number + 3:04}.JPG": (
                _photo(_SCENES[4], seed=99)[: 60 * 1024],  # half a copy
                _SCENES[4].time,
            ),
            f"{_FOLDER}/=1+1.JPG": (_photo(_HOSTILE, seed=98), _HOSTILE.time),
            f"{_SECOND_FOLDER}/IMG_0001.JPG": files[whole],
            "NOTES.TXT": (f"{LABEL}\nDrawn by `trapsort demo`.\n".encode(), _START),
        }
    )


def _write(folder: Path, files: dict[str, tuple[bytes, datetime]]) -> DemoCard:
    for name, (content, time) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        seconds = time.replace(tzinfo=UTC).timestamp()
        os.utime(path, (seconds, seconds))
    different, broken = len({content for content, _ in files.values()}), 2
    return DemoCard(
        folder=folder,
        files=len(files),
        photos=different - broken,
        duplicates=len(files) - different,
        near_duplicates=1,
        burst=_BURST,
        broken=broken,
    )


# One picture -----------------------------------------------------------------------------------


def _photo(scene: _Scene, *, seed: int, quality: int = 82) -> bytes:
    """JPEG bytes of one frame, with the EXIF that a camera would write."""
    image = _scenery(scene, np.random.default_rng(seed))
    draw = ImageDraw.Draw(image)
    if scene.animal:
        _draw_animal(draw, scene)
    _draw_strip(draw, scene)
    exif = Image.Exif()
    exif[0x010E] = _DESCRIPTION
    exif[0x010F], exif[0x0110] = "trapsort", "DEMO 1"
    time = f"{scene.time:%Y:%m:%d %H:%M:%S}"
    exif[0x0132] = time
    exif.get_ifd(0x8769).update({0x9003: time, 0x9004: time})
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, exif=exif)
    return stream.getvalue()


@dataclass(frozen=True, slots=True)
class _Place:
    """What no frame changes, float32.

    colours: (3, 1080, 1920), 0 to 255; texture: (1080, 1920), how much of it leaves and grass add;
    bark: (1080, 1920), what trees leave of the light; lamp: (1080, 1920), the camera's own light.
    """

    colours: NDArray[np.float32]
    texture: NDArray[np.float32]
    bark: NDArray[np.float32]
    lamp: NDArray[np.float32]


@cache
def _place() -> _Place:
    """Sky, hills, ground and trees."""
    y = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :]
    hills = _HORIZON + 0.05 * np.sin(7 * x + 1) + 0.03 * np.sin(17 * x)
    near, far = y >= 0.55, y < hills
    colours = np.stack(
        [
            np.where(near, ground * (1.15 - 0.5 * y), np.where(far, sky + 60 * y, hill))
            for sky, hill, ground in ((120, 70, 120), (170, 100, 118), (215, 80, 70))
        ]
    )
    texture = np.where(near, 40, np.where(far, 0, 25)).astype(np.float32)
    bark = np.ones_like(texture)
    for trunk, width in ((0.08, 0.03), (0.87, 0.022), (0.96, 0.04)):
        beside = np.abs(x - trunk - 0.01 * np.sin(5 * y))
        bark[(beside < width * (0.6 + 0.4 * y)) & (y < 0.8)] *= 0.35
    lamp = np.exp(-(((x - 0.5) / 0.45) ** 2 + ((y - 0.65) / 0.5) ** 2))
    lamp *= np.where(y > _HORIZON, 0.8, 0.5)
    return _Place(colours, texture, bark, lamp)


def _scenery(scene: _Scene, random: np.random.Generator) -> Image.Image:
    """The place as it looks at the time: 1920 x 1080, at night grey and lit in the middle."""
    place = _place()
    hour = scene.time.hour + scene.time.minute / 60
    shade = 0.55 + 0.45 * math.sin(min(max((hour - 5) / 14, 0), 1) * math.pi)
    picture = (place.colours + place.texture * _texture(random)) * place.bark
    picture = picture.mean(axis=0, keepdims=True) * place.lamp if scene.night else picture * shade
    picture += random.random((HEIGHT, WIDTH), dtype=np.float32) * (14 if scene.night else 6)
    bands = [Image.fromarray(band) for band in np.clip(picture, 0, 255).astype(np.uint8)]
    return Image.merge("RGB", bands * (3 // len(bands)))


def _texture(random: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of -1 to 1, finer than an animal: leaves and grass."""
    coarse = Image.fromarray((random.random((HEIGHT // 12, WIDTH // 12)) * 255).astype(np.uint8))
    fine = coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(fine, np.float32) / 127.5 - 1


def _draw_animal(draw: ImageDraw.ImageDraw, scene: _Scene) -> None:
    colour = (150, 150, 150) if scene.night else (74, 52, 36)
    scale = scene.size * HEIGHT * 0.8
    left, top = scene.x * WIDTH - scale / 2, HEIGHT * 0.9 - STRIP - scale
    for shape, numbers in _ANIMALS[scene.animal]:
        width = numbers[-1] if shape == "line" else 0.0
        pairs = zip(numbers[0::2], numbers[1::2], strict=False)  # a line's width has no partner
        points = [(left + px * scale, top + py * scale) for px, py in pairs]
        if shape == "line":
            draw.line(points, fill=colour, width=max(1, round(width * scale)))
        elif shape == "ellipse":
            draw.ellipse(points, fill=colour)
        else:
            draw.polygon(points, fill=colour)


def _draw_strip(draw: ImageDraw.ImageDraw, scene: _Scene) -> None:
    """Black strip below, as camera traps print it, and the label above."""
    font = ImageFont.load_default(36)
    draw.rectangle((0, HEIGHT - STRIP, WIDTH, HEIGHT), fill=(0, 0, 0))
    fahrenheit = round(scene.celsius * 9 / 5 + 32)
    text = f"TRAPS-01   {scene.time:%Y-%m-%d  %H:%M:%S}   {scene.celsius} C / {fahrenheit} F"
    draw.text((24, HEIGHT - STRIP + 14), text, fill=(255, 255, 255), font=font)
    draw.text((WIDTH - 24, HEIGHT - STRIP + 14), LABEL, (255, 220, 120), font=font, anchor="ra")
