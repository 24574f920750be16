"""Photo bytes to upright RGB pixels; the only home of Pillow's decoders, their limits and failures.

A file either becomes a `Frame` or raises `PhotoError`; nothing else leaves this room.
"""

from __future__ import annotations

import ctypes
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    _imaging,
)

from trapsort.errors import PhotoError
from trapsort.exif import quiet_pillow
from trapsort.jpeg import scaled
from trapsort.memory import heif_memory, memory, room_for
from trapsort.resample import bicubic

if TYPE_CHECKING:
    from pillow_heif import HeifFile

SIDE = 224
"""Pixels on a side of what the perceptual hash sees, and the models where no bundle says else."""

MAX_PIXELS = 64_000_000
"""Larger photos are refused before they are decoded (64 megapixels of RGB take 256 MB)."""

FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "GIF", "BMP", "HEIF")
"""What `Frame.format` may be; nothing else is opened. HEIF needs the extra `heic`."""

# Named through their plugins, so that these are imported and Pillow never loads all its others.
# (An MPO opens as the JPEG that it begins with.)
_OPENED = (
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
    GifImagePlugin.GifImageFile.format,
    BmpImagePlugin.BmpImageFile.format,
)

# libjpeg scales by 1/2, 1/4 or 1/8 almost for free. With twice the side the result differs from
# that of a full decode by 0.2 to 0.6 of 255 (means of three real cards; 0.95 for the worst photo),
# and 8 megapixels take a seventh of the time.
_DRAFT = 2

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _DNG_VERSION, _SUBFILE_TYPE, _SUB_IFDS = 0x0112, 0xC612, 0x00FE, 0x014A

_NO_HEIC = 'HEIC files are read where pillow-heif is installed: pip install "trapsort[heic]"'

# First bytes of files that are photos or films, but of a kind that is not read.
_UNSUPPORTED = {
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"%PDF": "PDF",
    b"8BPS": "PSD",
    b"FUJIFILMCCD-RAW": "RAW (Fuji)",
    b"IIRO": "RAW (Olympus)",
    b"IIRS": "RAW (Olympus)",
    b"IIU\0": "RAW (Panasonic)",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"\x1a\x45\xdf\xa3": "video (Matroska)",
    b"\0\0\x01\xba": "video (MPEG)",
}
_SUPPORTED = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "RAW (Canon)"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_TRUNCATED = ("truncated", "broken data stream", "unexpected end", "unexpected eof", "premature")


@dataclass(frozen=True, slots=True)
class Frame:
    """What a photo shows, ready for the models.

    pixels: uint8 (224, 224, 3) RGB, upright, the whole photo squeezed into the square, read-only;
    model_input: the same at the size that a bundle's graph takes, mostly the same array; width,
    height: pixels of the upright original; format: one of `FORMATS`; flags: sorted,
    `no_end_marker` where a JPEG decodes but its end is missing (a half-copied file often does);
    exif: the EXIF block of a HEIF or JPEG file, found in passing, else nothing.
    """

    pixels: NDArray[np.uint8]
    model_input: NDArray[np.uint8]
    width: int
    height: int
    format: str
    flags: tuple[str, ...]
    exif: bytes = b""


def decode(
    data: bytes,
    size: tuple[int, int] = (SIDE, SIDE),
    *,
    keep: Callable[[Image.Image], None] | None = None,
) -> Frame:
    """First picture of a file as a `Frame`; size: width and height of its `model_input`, pixels.

    keep: is handed the upright picture from which the frame is made, which may be smaller than the
    original, and must not change it or fail.
    Raises `PhotoError` not_an_image, unsupported, truncated, too_large, no_memory or decode_failed.
    """
    with _failures(data), _opened(data, _DRAFT * max(SIDE, *size)) as opened:
        pixels = resize(opened.picture)
        model_input = pixels if size == (SIDE, SIDE) else resize(opened.picture, size)
        if keep is not None:
            keep(opened.picture)
    flags = ("no_end_marker",) if _lacks_end(data, opened.format) else ()
    width, height = opened.size
    return Frame(pixels, model_input, width, height, opened.format, flags, opened.exif)


def check_kind(beginning: bytes) -> None:
    """Look at a file's first bytes, hundreds or more, before all of it is read.

    Raises `PhotoError` unsupported, as `decode` would, for films and other files that are not read.
    """
    reason, detail = _identify(beginning)
    if reason == "unsupported" and not _brands(beginning) & _HEIC_BRANDS:
        raise PhotoError(reason, detail)


def view(data: bytes, longest: int) -> Image.Image:
    """Upright RGB picture for people, its longer side at most `longest` pixels, never enlarged.

    Raises `PhotoError` as `decode` does.
    """
    with _failures(data), _opened(data, longest, longer_only=True) as opened:
        width, height = opened.size
        scale = min(1.0, longest / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = opened.picture
        # As sharp as bicubic for a smaller picture, and half the work.
        return image if image.size == size else image.resize(size, Image.Resampling.HAMMING)


def crops(
    data: bytes,
    boxes: Sequence[tuple[float, float, float, float]],
    size: tuple[int, int] = (SIDE, SIDE),
) -> list[Frame]:
    """Parts of a file's first picture, each as a `Frame`, cut from all of its pixels.

    boxes: left, top, right and bottom as shares of the upright picture, at least a pixel of each is
    taken; size: as for `decode`. Raises `PhotoError` as `decode` does.
    """
    frames = []
    with _failures(data), _opened(data, MAX_PIXELS) as opened:
        width, height = opened.picture.size
        for left, top, right, bottom in boxes:
            x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
            corner = max(x + 1, round(right * width)), max(y + 1, round(bottom * height))
            part = opened.picture.crop((x, y, *corner))
            pixels = resize(part)
            model_input = pixels if size == (SIDE, SIDE) else resize(part, size)
            frames.append(Frame(pixels, model_input, *part.size, opened.format, ()))
    return frames


def resize(image: Image.Image, size: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.uint8]:
    """RGB picture as uint8 (height, width, 3), read-only: the one resize of training and serving.

    Antialiased bicubic; the aspect ratio is given up, so that nothing is cut off.
    """
    return bicubic(image, size)


# From bytes to an upright picture --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Opened:
    """Upright RGB picture, the upright original's width and height, and its format."""

    picture: Image.Image
    size: tuple[int, int]
    format: str
    exif: bytes = b""


@contextmanager
def _opened(data: bytes, least: int, *, longer_only: bool = False) -> Iterator[_Opened]:
    """A file's first picture, in the memory that it takes, which all threads share.

    A JPEG may come at 1/2, 1/4 or 1/8 of its size, but with no side below `least` for that, or
    with `longer_only` the longer one not.
    """
    quiet_pillow()
    if _brands(data) & _HEIC_BRANDS and not _brands(data) & _BRANDS.keys():
        file = _open_heif(data)
        _check_pixels(*file.size)
        with room_for(heif_memory(file.size, data)):
            image = file.to_pillow()
            exif = image.info.get("exif") or b""
            yield _Opened(_rgb(image), image.size, "HEIF", exif)
        return
    image = Image.open(io.BytesIO(data), formats=_OPENED)
    kind, size, exif = str(image.format), image.size, b""
    _check_pixels(*size)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image, data)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        short = max(1, least * min(size) // max(size)) if longer_only else least
        image.draft("RGB", (least, short) if size[0] >= size[1] else (short, least))
        exif = image.info.get("exif", b"")
        image.decodermaxblock = len(data)  # all of it at once: in pieces it is copied twice
    # A PNG may say only at its end that it is to be turned. To ask it before `load` would be a load
    # of its own, after whose failure the next one gives a picture that is half grey.
    is_turned = kind == "PNG" or _orientation(image) in _UPRIGHT
    with room_for(memory(image, size, data, is_turned=is_turned)):
        small = scaled(data, image.size) if image.mode == "RGB" and image.size != size else None
        if small is None:
            image.load()
        # After load: only then has Pillow turned a TIFF upright, and seen a PNG's last EXIF.
        turn = _orientation(image)
        # The names are used again, so that what they held goes before the turn.
        image = _rgb(image) if small is None else Image.fromarray(small)
        small = None
        if turn in _UPRIGHT:
            image = image.transpose(_UPRIGHT[turn])
        yield _Opened(image, size[::-1] if turn >= 5 else size, kind, exif)


def _open_heif(data: bytes) -> HeifFile:
    """Header of a HEIC file; its decoder is imported here only, and not registered with Pillow."""
    try:
        import pillow_heif
    except ImportError as error:
        raise PhotoError("unsupported", _NO_HEIC) from error
    file = pillow_heif.open_heif(data)
    if not len(file):
        raise PhotoError("decode_failed", "begins as HEIC, but holds no picture that can be read")
    return file


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        detail = f"{width} x {height} pixels; at most {MAX_PIXELS:,} are decoded"
        raise PhotoError("too_large", detail)


def _check_tiff(image: TiffImagePlugin.TiffImageFile, data: bytes) -> None:
    """Refuse RAW files: DNG, NEF, ARW and CR2 are TIFFs that begin with a thumbnail or raw data."""
    _hush_libtiff()
    tags = image.tag_v2
    thumbnail = tags.get(_SUBFILE_TYPE) == 1 and _SUB_IFDS in tags
    if _DNG_VERSION in tags or thumbnail or data[8:10] == b"CR":
        raise PhotoError("unsupported", "RAW files are not read")


@cache
def _hush_libtiff() -> None:
    """Keep libtiff's messages about damaged files from the screen: Pillow raises them anyway.

    One pointer, set once for all threads, in the library that Pillow itself loaded. Where it
    cannot be found (linked into Pillow on Windows) the messages stay.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


# Pixels ----------------------------------------------------------------------------------------


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where there is none, or none that can be read."""
    with suppress(Exception):  # damaged EXIF fails in many ways and must never cost the pixels
        turn = image.getexif().get(_ORIENTATION, 1)
        return int(turn) if turn in _UPRIGHT else 1
    return 1


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB; more than 8 bits are scaled, never clipped; transparency is ignored."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(np.asarray(image), image.mode))
    elif image.mode == "La":  # Pillow has no direct way from premultiplied grey
        image = image.convert("LA")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[np.generic], mode: str) -> NDArray[np.uint8]:
    """Deep grey values as uint8: 16 bits by their full range, 32 bits and floats by what occurs."""
    deep = values.astype(np.float32)
    low, high = float(deep.min()), float(deep.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise PhotoError("decode_failed", "some pixels are not finite numbers")
    if mode.startswith("I;16") or (mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    deep -= low
    deep *= 255 / (high - low) if high > low else 0.0
    deep += 0.5
    return deep.astype(np.uint8)


def _lacks_end(data: bytes, kind: str) -> bool:
    """Whether a JPEG has no end marker behind its last start of scan; data between hold neither."""
    if kind not in ("JPEG", "MPO"):
        return False
    end = data.rfind(b"\xff\xd9")  # mostly the last two bytes: what follows is soon searched
    return data.find(b"\xff\xda", max(end, 0)) >= 0


def in_brief(error: Exception) -> str:
    """What went wrong inside a library, in one line of at most 200 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


@contextmanager
def _failures(data: bytes) -> Iterator[None]:
    """The one place where a decoder's failure, of whatever type, becomes a `PhotoError`."""
    try:
        yield
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError("too_large", f"more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoError(*_identify(data)) from error
    except MemoryError as error:
        raise PhotoError("no_memory", "memory ran out while the photo was decoded") from error
    except Exception as error:  # Pillow raises nearly every type there is
        text = in_brief(error)
        cut = any(phrase in text.lower() for phrase in _TRUNCATED) or isinstance(error, EOFError)
        raise PhotoError("truncated" if cut else "decode_failed", text) from error


def _brands(data: bytes) -> set[bytes]:
    """What an ISO media file (HEIC, AVIF, MP4) says that it is; nothing for other files."""
    if data[4:8] != b"ftyp":
        return set()
    listed = data[16 : min(int.from_bytes(data[:4], "big"), 256)]
    return {data[8:12], *(listed[at : at + 4] for at in range(0, len(listed), 4))}


def _identify(data: bytes) -> tuple[str, str]:
    """Reason and detail for bytes that no allowed decoder takes, from how they begin."""
    for magic, name in _UNSUPPORTED.items():
        if data.startswith(magic):
            return "unsupported", f"{name} files are not read"
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        names = [_BRANDS[brand] for brand in sorted(_brands(data) & _BRANDS.keys())]
        return "unsupported", f"{names[0] if names else 'video'} files are not read"
    if data[:4] == b"RIFF" and data[8:12] in (b"AVI ", b"WEBP"):
        if data[8:12] == b"AVI ":
            return "unsupported", "video files are not read"
        return "decode_failed", "begins as WEBP, but its header cannot be read"
    for magic, name in _SUPPORTED.items():
        if data.startswith(magic):
            return "decode_failed", f"begins as {name}, but its header cannot be read"
    return "not_an_image", "the content is not that of an image file"
