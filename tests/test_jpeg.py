"""A JPEG's pixels are those of Pillow, and what Pillow is to judge is left to it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trapsort import jpeg
from trapsort.decode import decode, view
from trapsort.errors import PhotoError
from trapsort.jpeg import scaled

BINDING = pytest.mark.skipif(jpeg.simplejpeg is None, reason="simplejpeg is not installed")
KINDS: dict[str, dict[str, object]] = {
    "4:2:0": {"subsampling": "4:2:0"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "RGB": {"keep_rgb": True},
    "restart markers": {"restart_marker_rows": 1},
}


def drawn(width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    """A JPEG with soft shapes and noise."""
    random = np.random.default_rng(width * height)
    rough = random.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), np.uint8)
    soft = np.asarray(Image.fromarray(rough).resize((width, height))).astype(int)
    noisy = np.clip(soft + random.integers(-12, 13, soft.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).convert(mode).save(file, "JPEG", **{"quality": 88} | options)
    return file.getvalue()


def pillow(data: bytes, scale: int) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (image.width // scale, image.height // scale))
        return np.asarray(image)


@pytest.fixture
def without_binding() -> Iterator[Callable[[], None]]:
    """What makes the room work as where there is no wheel."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda: patch.setattr(jpeg, "simplejpeg", None)


@BINDING
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1024, 768), (777, 1031), (64, 2001)])
def test_the_pixels_are_those_of_pillow(size: tuple[int, int], kind: str, scale: int) -> None:
    data = drawn(*size, **KINDS[kind])
    expected = pillow(data, scale)
    found = scaled(data, (expected.shape[1], expected.shape[0]))
    assert found is not None
    np.testing.assert_array_equal(found, expected)


@BINDING
def test_what_pillow_is_to_judge_is_left_to_it() -> None:
    whole = drawn(1024, 768)
    middle = len(whole) // 2
    broken = whole[:middle] + b"\0\xff\xd9\xff" * 8 + whole[middle + 32 :]
    for data in (whole[:-2], whole[:middle], broken, whole[:200], b"", b"\xff\xd8\xff"):
        assert scaled(data, (256, 192)) is None
    assert scaled(drawn(12, 12), (6, 6)) is None, "5 pixels of 8 are 8 wide, as 4 of 8 are 6"
    assert scaled(whole, (250, 190)) is None, "a size that no scale has"


@BINDING
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_frame_is_the_same_without_the_binding(
    turn: int, without_binding: Callable[[], None]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    exif[0x010F] = "RECONYX"
    data = drawn(2048, 1536, exif=exif.tobytes())
    found, shown = decode(data), view(data, 300)
    assert (found.width, found.height) == ((2048, 1536) if turn < 5 else (1536, 2048))
    without_binding()
    expected = decode(data)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.exif == expected.exif != b""
    assert (found.width, found.height) == (expected.width, expected.height)
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(view(data, 300)))


@BINDING
def test_a_damaged_jpeg_has_the_same_fate_without_the_binding(
    without_binding: Callable[[], None],
) -> None:
    whole = drawn(2048, 1536)
    random = np.random.default_rng(7)
    damaged = [whole[: int(at)] for at in random.integers(2, len(whole), 20)]
    for at in random.integers(2, len(whole), 40):
        damaged.append(whole[:at] + random.bytes(3) + whole[at + 3 :])
    found = [fate(data) for data in damaged]
    without_binding()
    assert found == [fate(data) for data in damaged]
    assert len(set(found)) > 10


def fate(data: bytes) -> object:
    try:
        frame = decode(data)
    except PhotoError as error:
        return error.reason, error.detail
    return frame.pixels.tobytes(), frame.flags


@BINDING
def test_photos_of_real_cards_are_decoded_alike(
    shared: Path, without_binding: Callable[[], None]
) -> None:
    files = sorted((shared / "cards").rglob("*.[jJ][pP][gG]"))[::20]
    found = [fate(file.read_bytes()) for file in files]
    without_binding()
    assert found == [fate(file.read_bytes()) for file in files]
    assert files
