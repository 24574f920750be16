"""Bytes to pixels: every hostile file is a frame or a reason, and every mode comes out as RGB."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trapsort import decode as room
from trapsort.bundle import SINGLE, load_bundle
from trapsort.decode import FORMATS, MAX_PIXELS, SIDE, Frame, decode, resize, view
from trapsort.ensemble import Classifier
from trapsort.errors import PhotoError
from trapsort.exif import read_exif
from trapsort.memory import Budget
from trapsort.scan import REASONS
from trapsort.session import open_session


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def quarters(width: int = 640, height: int = 480) -> Image.Image:
    """Red, green, blue and white quarters, clockwise from the upper left."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("green", (width // 2, 0, width, height // 2))
    image.paste("blue", (width // 2, height // 2, width, height))
    image.paste("white", (0, height // 2, width // 2, height))
    return image


def corners(pixels: NDArray[np.uint8]) -> list[str]:
    names = {b"\1\0\0": "red", b"\0\1\0": "green", b"\0\0\1": "blue", b"\1\1\1": "white"}
    places = ((40, 40), (40, 180), (180, 180), (180, 40))
    return [names.get((pixels[at] > 90).tobytes(), "?") for at in places]


def reason_of(data: bytes) -> tuple[str, str]:
    with pytest.raises(PhotoError) as caught:
        decode(data)
    return caught.value.reason, caught.value.detail


def outcome(data: bytes) -> str:
    """`ok` or the reason; any exception but `PhotoError` fails the test."""
    try:
        frame = decode(data)
    except PhotoError as error:
        assert error.reason in REASONS
        assert error.detail.isprintable()
        assert 0 < len(error.detail) <= 200
        return error.reason
    check(frame)
    return "ok"


def check(frame: Frame) -> None:
    assert frame.pixels.shape == (SIDE, SIDE, 3)
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous
    assert not frame.pixels.flags.writeable
    assert frame.format in FORMATS
    assert frame.width * frame.height <= MAX_PIXELS


# Formats and modes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 90, "progressive": True}),
        ("PNG", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("MPO", {"quality": 90, "save_all": True, "append_images": [Image.new("RGB", (640, 480))]}),
    ],
)
def test_every_format(kind: str, options: dict[str, object]) -> None:
    frame = decode(encoded(quarters(), kind, **options))
    check(frame)
    assert (frame.width, frame.height, frame.format, frame.flags) == (640, 480, kind, ())
    assert corners(frame.pixels) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("YCbCr", "TIFF"),
    ],
)
def test_every_colour_mode(mode: str, kind: str) -> None:
    frame = decode(encoded(quarters().convert(mode), kind))
    assert corners(frame.pixels) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("1", "TIFF")]
)
def test_every_grey_mode(mode: str, kind: str) -> None:
    image = Image.new("L", (300, 300), 0)
    image.paste(255, (150, 0, 300, 300))
    pixels = decode(encoded(image.convert(mode), kind)).pixels
    assert pixels[:, :100].max() <= 3
    assert pixels[:, 124:].min() >= 252


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_by_their_range_not_clipped(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (256, 1))
    pixels = decode(encoded(Image.fromarray(ramp), kind)).pixels
    row = pixels[100, :, 0].astype(int)
    assert (row[0], row[-1]) == (0, 255)
    assert abs(row[112] - 128) <= 1
    dark = Image.fromarray(np.full((300, 300), 2570, np.uint16))
    assert set(np.unique(decode(encoded(dark, kind)).pixels)) == {10}


def test_floats_and_32_bits_are_scaled_by_what_occurs() -> None:
    ramp = np.tile(np.linspace(-2, 2, 256), (256, 1))
    for deep in (ramp.astype(np.float32), (ramp * 1e9).astype(np.int32)):
        row = decode(encoded(Image.fromarray(deep), "TIFF")).pixels[100, :, 0].astype(int)
        assert (row[0], row[-1]) == (0, 255)
        assert abs(row[112] - 128) <= 1
    flat = np.full((300, 300), 7, np.float32)
    assert decode(encoded(Image.fromarray(flat), "TIFF")).pixels.max() == 0
    flat[3, 3] = np.nan
    assert reason_of(encoded(Image.fromarray(flat), "TIFF")) == (
        "decode_failed",
        "some pixels are not finite numbers",
    )


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert decode(data).pixels[100, 100, 0] > 250


# Upright ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(quarters(), kind, exif=exif)
    frame = decode(data)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    assert (frame.width, frame.height) == upright.size
    assert (frame.width, frame.height) == ((480, 640) if orientation >= 5 else (640, 480))
    assert corners(frame.pixels) == corners(np.asarray(upright.resize((SIDE, SIDE))))
    assert view(data, 100).size == ((75, 100) if orientation >= 5 else (100, 75))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    frame = decode(encoded(quarters(), "JPEG", exif=exif))
    assert corners(frame.pixels) == ["red", "green", "blue", "white"]


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.integers(0, 60))
def test_broken_exif_never_costs_the_pixels(damage: bytes, at: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 01:00:00"
    data = encoded(quarters(64, 48), "JPEG", exif=exif)
    at += data.index(b"Exif\0\0")
    damage = damage[: data.index(b"\xff\xdb") - at]  # EXIF alone, not the picture behind it
    assert outcome(data[:at] + damage + data[at + len(damage) :]) == "ok"


# Refused and broken ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "not_an_image", "the content is not that of an image file"),
        (b"just text\n" * 99, "not_an_image", "the content is not that of an image file"),
        (b"\0" * 4096, "not_an_image", "the content is not that of an image file"),
        (b"\0\0\0\x18ftypavif" + b"\0" * 99, "unsupported", "AVIF files are not read"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "unsupported", "AVIF files are not read"),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 99, "unsupported", "video files are not read"),
        (b"\0\0\0\x18ftypcrx " + b"\0" * 99, "unsupported", "RAW (Canon) files are not read"),
        (b"RIFF\0\0\0\0AVI LIST", "unsupported", "video files are not read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported", "EPS files are not read"),
        (b"8BPS\0\1" + b"\0" * 99, "unsupported", "PSD files are not read"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82",
            "decode_failed",
            "begins as PNG, but its header cannot be read",
        ),
        (
            b"\xff\xd8\xff\xd9",
            "decode_failed",
            "begins as JPEG, but its header cannot be read",
        ),
    ],
)
def test_what_is_no_photo_says_so(data: bytes, reason: str, detail: str) -> None:
    assert reason_of(data) == (reason, detail)


@pytest.mark.parametrize("tag", [{0xC612: b"\1\4\0\0"}, {0x00FE: 1, 0x014A: 8}])
def test_raw_files_that_begin_as_tiff_are_not_taken_for_their_thumbnail(
    tag: dict[int, object],
) -> None:
    data = encoded(quarters(64, 48), "TIFF", tiffinfo=tag)
    assert reason_of(data) == ("unsupported", "RAW files are not read")


def test_size_is_checked_before_anything_is_decoded() -> None:
    fits = Image.new("1", (8000, 8000))
    assert decode(encoded(fits, "PNG")).width == 8000
    above = Image.new("1", (8000, 8001))
    assert reason_of(encoded(above, "PNG")) == (
        "too_large",
        "8000 x 8001 pixels; at most 64,000,000 are decoded",
    )
    bomb = bytearray(encoded(Image.new("L", (8, 8)), "JPEG"))
    at = bomb.index(b"\xff\xc0")
    bomb[at + 5 : at + 9] = b"\xff\xff\xff\xff"  # says 65,535 x 65,535
    started = time.process_time()
    assert reason_of(bytes(bomb)) == ("too_large", "more than 64,000,000 pixels")
    assert time.process_time() - started < 1


def test_a_cut_jpeg_is_truncated_wherever_it_is_cut() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")
    for share in (0.3, 0.6, 0.9, 0.99):
        assert reason_of(data[: int(len(data) * share)])[0] == "truncated"


def test_a_jpeg_whose_tail_is_zeros_decodes_with_a_flag() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")
    half = data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    assert decode(half).flags == ("no_end_marker",)
    assert decode(data + b"\0" * 512).flags == ()
    assert decode(data + b"maker's trailer").flags == ()


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo() -> None:
    data = encoded(quarters(), "JPEG")
    thumbnail = encoded(quarters(64, 48), "JPEG")
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + segment + data[2:]
    assert decode(whole).flags == ()
    assert decode(whole[:-2] + bytes(4096)).flags == ("no_end_marker",)


def test_running_out_of_memory_costs_one_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("trapsort.decode.resize", no_memory)
    detail = "memory ran out while the photo was decoded"
    assert reason_of(encoded(quarters(), "JPEG")) == ("no_memory", detail)


def textured(width: int = 96, height: int = 72) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("WEBP", {}),
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_a_cut_file_is_a_problem_or_shows_every_pixel(
    kind: str, options: dict[str, object]
) -> None:
    data = encoded(textured(), kind, **options)
    whole = decode(data).pixels
    step = max(1, len(data) // 400)
    for length in range(len(data) - 1, 0, -step):
        if outcome(data[:length]) == "ok":
            assert np.array_equal(decode(data[:length]).pixels, whole)
            assert length > 0.98 * len(data)


def test_nothing_of_libtiff_reaches_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    for compression in (5, 50001):  # LZW without data; WebP, which libtiff may not know
        assert outcome(tiff(64, 64, 64, compression=compression)) == "decode_failed"
    assert capfd.readouterr() == ("", "")


# Memory ----------------------------------------------------------------------------------------


def tiff(width: int, height: int, tile: int, bits: int = 8, compression: int = 5) -> bytes:
    """A TIFF (5: LZW) whose one tile is of `tile` x `tile` pixels, with nothing in it."""
    tags = [
        (256, width), (257, height), (258, bits), (259, compression), (262, 1), (277, 1),
        (322, tile), (323, tile), (324, 8), (325, 8),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IQH", 16, 0, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("data", "needed"),
    [
        (tiff(64, 64, 20_000), 1525),  # one tile larger than the picture
        (tiff(7000, 7000, 16, bits=32), 607),
    ],
)
def test_what_would_take_too_much_memory_is_refused_by_its_header(data: bytes, needed: int) -> None:
    detail = f"decoding would take {needed:,} MB; at most 512 are used"
    started = time.process_time()
    assert reason_of(data) == ("too_large", detail)
    assert time.process_time() - started < 1


def test_a_progressive_jpeg_is_counted_with_its_coefficients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2 bytes each: 3 to a pixel in 4:4:4, 1.5 in 4:2:0; one scan needs no more than its rows."""
    image = textured(1600, 1200)
    taken = []
    for options in ({"subsampling": 0}, {"subsampling": 2}, None):
        more = {"progressive": True, **options} if options else {}
        data = encoded(image, "JPEG", **more)
        monkeypatch.setattr("trapsort.memory.MAX_MEMORY", 0)
        needed = reason_of(data)[1]
        taken.append(int(needed.split()[3]))
        monkeypatch.undo()
    assert taken == [14, 8, 3]


USED = """
import io, json, re, sys
from pathlib import Path
import numpy as np
from PIL import Image
from trapsort import decode as room

def status(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

needs = []
room_for = room.room_for
room.room_for = lambda need: needs.append(need) or room_for(need)
size = 3000, 2500
ramp = np.add.outer(np.arange(size[1]), np.arange(size[0])).astype(np.uint16)
exif = Image.Exif()
exif[0x0112] = 6
found = []
for mode, kind, options in json.loads(sys.argv[1]):
    grey = Image.fromarray(ramp if mode == "I;16" else (ramp // 16 % 256).astype(np.uint8))
    stream = io.BytesIO()
    image = grey if mode == "I;16" else grey.convert(mode)
    if kind == "HEIF":
        import pillow_heif
        pillow_heif.from_pillow(image).save(stream, quality=30)
    else:
        image.save(stream, kind, exif=exif, **options)
    data = stream.getvalue()
    room.decode(data)
    del grey, stream, image
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status("VmRSS") - len(data)
    room.decode(data)
    found.append((kind, mode, status("VmHWM") - before, needs[-1]))
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures with Linux's /proc")
def test_memory_is_what_the_headers_promise() -> None:
    cases: list[tuple[str, str, dict[str, object]]] = [
        ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
        ("RGB", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("I;16", "PNG", {}),
        ("RGB", "TIFF", {}),
        ("RGB", "TIFF", {"compression": "tiff_lzw", "strip_size": 1 << 30}),
        ("CMYK", "TIFF", {}),
        ("RGBA", "WEBP", {"quality": 1, "method": 0}),
        ("P", "GIF", {}),
        ("RGB", "BMP", {}),
    ]
    if heif_installed():
        cases += [("RGBA", "HEIF", {})]
    # Every large block on its own, so that what is free again is given back and counted anew.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run(
        [sys.executable, "-c", USED, json.dumps(cases)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    for kind, mode, used, promised in json.loads(done.stdout):
        assert 0.7 * promised < used + 2**20, (kind, mode, used, promised)
        assert used < 1.03 * promised + 2**21, (kind, mode, used, promised)


def test_what_exceeds_the_budget_is_decoded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pictures that take more than half of the budget each, one is in memory at a time."""
    most, inside = 0, 0

    def slow(image: Image.Image) -> NDArray[np.uint8]:
        nonlocal most, inside
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        inside -= 1
        return resize(image)

    monkeypatch.setattr(room, "resize", slow)
    data = encoded(quarters(), "PNG")
    found = []
    for size in (1, 2**40):
        most = 0
        monkeypatch.setattr("trapsort.memory.PICTURES", Budget(size))
        with ThreadPoolExecutor(3) as pool:
            assert all(pool.map(decode, [data] * 6))
        found.append(most)
    assert found == [1, 3]


def test_a_png_that_is_damaged_in_the_middle_is_not_decoded_into_grey() -> None:
    """Pillow gives such a picture, half of it grey, to who asks for its EXIF and then loads it."""
    data = bytearray(encoded(textured(600, 400), "PNG"))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    with Image.open(io.BytesIO(data)) as image:
        with pytest.raises((OSError, SyntaxError)):
            image.getexif()
        image.load()  # no error any more
    assert reason_of(bytes(data))[0] in ("decode_failed", "truncated")


# HEIC ------------------------------------------------------------------------------------------


def heif_installed() -> bool:
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def drawn_heic(image: Image.Image, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_is_decoded_and_turned_upright_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0132] = "2024:05:06 07:08:09"
    image = quarters()
    stream = io.BytesIO()
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    # As cameras do: pixels as they lie, and the turn both in the container and in the EXIF.
    pillow_heif.encode("RGB", image.size, image.tobytes(), stream, exif=exif.tobytes())
    data = stream.getvalue()
    assert data.count(b"irot") == (orientation in (3, 5, 6, 7, 8))
    frame = decode(data)
    check(frame)
    image.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(image)
    assert (frame.width, frame.height) == upright.size
    assert corners(frame.pixels) == corners(np.asarray(upright.resize((SIDE, SIDE))))
    assert (frame.format, frame.flags) == ("HEIF", ())
    assert read_exif(frame.exif).camera_time == "2024-05-06T07:08:09"
    assert view(data, 100).size == ((75, 100) if orientation >= 5 else (100, 75))


def test_a_deep_or_transparent_heic_and_one_without_exif() -> None:
    ramp = np.tile(np.linspace(0, 65535, 512).astype(np.uint16), (512, 1))
    row = decode(drawn_heic(Image.fromarray(ramp), quality=95)).pixels[100, :, 0].astype(int)
    assert row[0] <= 3
    assert row[-1] >= 252
    assert abs(row[112] - 128) <= 3
    frame = decode(drawn_heic(quarters().convert("RGBA")))
    assert corners(frame.pixels) == ["red", "green", "blue", "white"]
    assert frame.exif == b""


def test_a_damaged_heic_is_a_problem() -> None:
    data = drawn_heic(textured())
    for length in range(12, len(data), len(data) // 100):
        assert outcome(data[:length]) in ("decode_failed", "truncated")
    nothing = b"\0\0\0\x18ftypheic" + b"\0" * 99
    assert outcome(nothing) == "decode_failed"


def test_without_pillow_heif_a_heic_says_how_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    assert reason_of(b"\0\0\0\x18ftypheic" + b"\0" * 99) == (
        "unsupported",
        'HEIC files are read where pillow-heif is installed: pip install "trapsort[heic]"',
    )


def test_pillow_heif_is_loaded_for_a_heic_alone_and_pillow_never_hears_of_it() -> None:
    data = drawn_heic(quarters(64, 48))
    code = (
        "import sys, io; from PIL import Image; from trapsort.decode import decode\n"
        "stream = io.BytesIO(); Image.new('RGB', (9, 9)).save(stream, 'PNG')\n"
        "decode(stream.getvalue()); assert 'pillow_heif' not in sys.modules\n"
        f"decode({data!r}); assert 'pillow_heif' in sys.modules\n"
        "assert 'HEIF' not in Image.OPEN"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Any damage ------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"]), st.data())
def test_any_damage_is_a_frame_or_a_reason(kind: str, data: st.DataObject) -> None:
    good = encoded(quarters(48, 32), kind)
    at = data.draw(st.integers(0, len(good)))
    damage = data.draw(st.binary(min_size=1, max_size=12))
    end = data.draw(st.integers(0, len(good)))
    outcome(good[:at] + damage + good[at + len(damage) :])
    outcome(good[:end])


# Real files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["default", "error"])
def test_every_hostile_file_is_a_frame_or_a_reason(shared: Path, action: str) -> None:
    files = sorted(path for path in (shared / "badfiles").iterdir() if path.suffix != ".csv")
    assert len(files) == 351
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]  # a warning must not decide
        found = Counter(outcome(path.read_bytes()) for path in files)
    assert sum(found.values()) == 351
    assert found["ok"] >= 100
    assert found["not_an_image"] >= 90
    assert found["unsupported"] >= 14
    assert found["truncated"] >= 30
    assert found["too_large"] >= 4


def test_what_plain_pillow_reads_of_the_allowed_formats_is_read(shared: Path) -> None:
    for path in sorted((shared / "badfiles").iterdir()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(path, formats=[kind for kind in FORMATS if kind != "MPO"]) as image:
                    image.load()
                    small = image.width * image.height <= MAX_PIXELS
        except Exception:  # noqa: S112 - what plain Pillow cannot read is not the question here
            continue
        assert not small or outcome(path.read_bytes()) == "ok", path


def test_real_cards(shared: Path) -> None:
    photos = sorted(
        path for path in (shared / "cards").glob("**/*") if path.suffix.lower() == ".jpg"
    )
    assert len(photos) == 107
    with ThreadPoolExecutor(2) as pool:
        found = dict(
            zip(photos, pool.map(lambda path: outcome(path.read_bytes()), photos), strict=True)
        )
    broken = {path.name: reason for path, reason in found.items() if reason != "ok"}
    assert broken == {"african_elephants_truncated_file.jpg": "truncated"}
    first = decode((shared / "cards/peru/DCIM/100EK113/EK000001.JPG").read_bytes())
    assert (first.width, first.height, first.format, first.flags) == (3264, 2448, "JPEG", ())


def test_the_fast_decode_is_close_to_the_full_one(shared: Path) -> None:
    for path in sorted((shared / "cards/peru/DCIM/100EK113").glob("*.JPG"))[:4]:
        with Image.open(path) as image:
            full = resize(image.convert("RGB")).astype(int)
        drift = np.abs(decode(path.read_bytes()).pixels - full)
        assert drift.mean() < 1  # nearest neighbour: above 5
        assert drift.max() < 25


def test_the_fast_decode_answers_as_the_full_one_does(shared: Path) -> None:
    bundle = load_bundle()
    classifier = Classifier(bundle, open_session(replace(bundle, precision=SINGLE)))
    named = []
    for path in sorted((shared / "cards").glob("*/DCIM/100EK113/*.JPG")):
        fast = decode(path.read_bytes())
        with Image.open(path) as image:
            full = resize(image.convert("RGB"))
        frames = [replace(fast, model_input=full), fast]
        scores = classifier.session.run(np.stack([frame.model_input for frame in frames]))
        assert np.abs(np.diff(scores.probabilities, axis=0)).max() < 0.05
        labels = {answer.label for answer in classifier.classify(frames)}
        assert len(labels) == 1
        named += labels
    assert Counter(named) == {None: 15, "African_Elephant": 3}


def test_a_jpeg_is_decoded_at_the_smallest_size_of_twice_what_the_models_see() -> None:
    """The resize of what libjpeg makes at a part of the size is the resize that follows."""
    noise = Image.fromarray(np.random.default_rng(4).integers(0, 256, (4800, 3600, 3), np.uint8))
    for height, part in ((4800, 8), (3584, 8), (3576, 4), (1792, 4), (1784, 2), (896, 2), (888, 1)):
        data = encoded(noise.crop((0, 0, 3600, height)), "JPEG")
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (image.width // part, image.height // part))
            assert image.height == height // part
            expected = resize(image)
        assert np.array_equal(decode(data).pixels, expected), (height, part)


def test_the_resize_is_pillows_bicubic_of_the_whole_photo() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (300, 400, 3), np.uint8)
    image = Image.fromarray(noise)
    expected = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
    drift = np.abs(resize(image) - expected)  # tests/test_resample.py says more
    assert drift.max() <= 1
    assert drift.mean() < 0.01
    assert np.array_equal(decode(encoded(image, "PNG")).pixels, resize(image))


# For people ------------------------------------------------------------------------------------


def test_view_keeps_the_shape_and_never_enlarges() -> None:
    data = encoded(quarters(4000, 1000), "JPEG")
    assert view(data, 800).size == (800, 200)
    assert view(data, 800).mode == "RGB"
    assert view(data, 9000).size == (4000, 1000)
    assert view(encoded(quarters(3000, 2), "PNG"), 100).size == (100, 1)


def test_view_fails_as_decode_does() -> None:
    with pytest.raises(PhotoError) as caught:
        view(b"text", 100)
    assert caught.value.reason == "not_an_image"
