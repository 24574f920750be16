"""Photo bytes to upright RGB pixels; the only home of Pillow's decoders, their limits and failures.

A file either becomes a `Frame` or raises `PhotoError`; nothing else leaves this room.
"""

from __future__ import annotations

import ctypes
import io
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
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

if TYPE_CHECKING:
    from pillow_heif import HeifFile

SIDE = 224
"""Pixels on a side of what the perceptual hash sees, and the models where no bundle says else."""

MAX_PIXELS = 64_000_000
"""Larger photos are refused before they are decoded (64 megapixels of RGB take 256 MB)."""

MAX_MEMORY = 512 * 1024 * 1024
"""Bytes: a photo whose decoding would need more is refused."""

HEAVY_MEMORY = 128 * 1024 * 1024
"""Bytes: of photos that need more than this, one is decoded at a time, whatever the threads."""

HEAVY = threading.RLock()
"""Held while a heavy photo is in memory, so that several threads do not add up their worst."""

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
_BITS, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 0x0102, 0x0116, 0x0142, 0x0143

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
    exif: the EXIF block of a HEIF file, which its decoder alone can find, else nothing.
    """

    pixels: NDArray[np.uint8]
    model_input: NDArray[np.uint8]
    width: int
    height: int
    format: str
    flags: tuple[str, ...]
    exif: bytes = b""


def decode(data: bytes, size: tuple[int, int] = (SIDE, SIDE)) -> Frame:
    """First picture of a file as a `Frame`; size: width and height of its `model_input`, pixels.

    Raises `PhotoError` not_an_image, unsupported, truncated, too_large, no_memory or decode_failed.
    """
    with _failures(data), _opened(data, _DRAFT * max(SIDE, *size)) as opened:
        pixels = resize(opened.picture)
        model_input = pixels if size == (SIDE, SIDE) else resize(opened.picture, size)
    flags = ("no_end_marker",) if _lacks_end(data, opened.format) else ()
    width, height = opened.size
    return Frame(pixels, model_input, width, height, opened.format, flags, opened.exif)


def view(data: bytes, longest: int) -> Image.Image:
    """Upright RGB picture for people, its longer side at most `longest` pixels, never enlarged.

    Raises `PhotoError` as `decode` does.
    """
    with _failures(data), _opened(data, longest) as opened:
        width, height = opened.size
        scale = min(1.0, longest / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = opened.picture
        return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def resize(image: Image.Image, size: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.uint8]:
    """RGB picture as uint8 (height, width, 3), read-only: the one resize of training and serving.

    Pillow's antialiased bicubic; the aspect ratio is given up, so that nothing is cut off.
    """
    pixels: NDArray[np.uint8] = np.ascontiguousarray(
        image.resize(size, Image.Resampling.BICUBIC), dtype=np.uint8
    )
    pixels.flags.writeable = False
    return pixels


# From bytes to an upright picture --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Opened:
    """Upright RGB picture, the upright original's width and height, and its format."""

    picture: Image.Image
    size: tuple[int, int]
    format: str
    exif: bytes = b""


@contextmanager
def _opened(data: bytes, least: int) -> Iterator[_Opened]:
    """A file's first picture; where that takes much memory, no other heavy one is open meanwhile.

    A JPEG may come at 1/2, 1/4 or 1/8 of its size, but with no side below `least` for that.
    """
    quiet_pillow()
    if _brands(data) & _HEIC_BRANDS and not _brands(data) & _BRANDS.keys():
        file = _open_heif(data)
        width, height = file.size
        _check_pixels(width, height)
        with _room(len(data) + width * height * _HEIF_BYTES):
            image = file.to_pillow()
            exif = image.info.get("exif") or b""
            yield _Opened(_rgb(image), image.size, "HEIF", exif)
        return
    image = Image.open(io.BytesIO(data), formats=_OPENED)
    kind, size = str(image.format), image.size
    _check_pixels(*size)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiff(image, data)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft("RGB", (least, least))
    with _room(_memory(image, size, data)):
        image.load()
        # After load: only then has Pillow turned a TIFF upright, and seen a PNG's last EXIF.
        turn = _orientation(image)
        image = _rgb(image)  # the name is used again, so that what it held goes before the turn
        if turn in _UPRIGHT:
            image = image.transpose(_UPRIGHT[turn])
        yield _Opened(image, size[::-1] if turn >= 5 else size, kind)


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


# Memory ----------------------------------------------------------------------------------------

# Bytes for a pixel of each mode while it becomes RGB, as measured. Pillow keeps RGB in 4 bytes, so
# that most modes take 8, and a picture that is turned too; deep grey becomes floats on the way.
_MODE_BYTES = {"RGB": 4, "1": 5, "L": 5, "P": 5, "I": 13, "F": 13}
_MODE_BYTES |= dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), 9)
_OTHER_BYTES = _TURNED_BYTES = 8
_WEBP_BYTES = 16  # libwebp has a canvas and the one before, Pillow a copy and its own
_HEIF_BYTES = 13  # libheif has planes and their RGB, Pillow a copy and its own


def _memory(image: Image.Image, size: tuple[int, int], data: bytes) -> int:
    """Bytes that decoding will take at its worst, with the file itself, from headers alone."""
    bytes_each = _MODE_BYTES.get(image.mode, _OTHER_BYTES)
    # A PNG may say only at its end that it is to be turned.
    if image.format == "PNG" or _orientation(image) in _UPRIGHT:
        bytes_each = max(bytes_each, _TURNED_BYTES)
    if image.format == "WEBP":
        bytes_each = _WEBP_BYTES
    need = len(data) + image.width * image.height * bytes_each
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        need += _coefficients(image, size, data)
    elif isinstance(image, TiffImagePlugin.TiffImageFile) and image.tile[0][0] == "libtiff":
        need += len(data) + _block(image)  # Pillow hands libtiff a copy of the file
    return need


def _coefficients(image: JpegImagePlugin.JpegImageFile, size: tuple[int, int], data: bytes) -> int:
    """Bytes that libjpeg keeps until it has seen all scans of a JPEG: 2 for each coefficient.

    A JPEG with one scan needs none of this; an MPO is taken to have several.
    """
    at = image.fp.tell() if image.fp else 0  # behind the header of the first scan
    header = 6 + 2 * image.layers
    one_scan = data[at - header : at][:3] == bytes((0, header, image.layers))
    if one_scan and not image.info.get("progressive"):
        return 0
    most = max(across * down for _, across, down, _ in image.layer)
    shares = sum(across * down for _, across, down, _ in image.layer)
    return 2 * size[0] * size[1] * shares // most


def _block(image: TiffImagePlugin.TiffImageFile) -> int:
    """Bytes of the strip or tile that libtiff decodes at once; a tile may exceed the picture."""
    tags = image.tag_v2
    width = tags.get(_TILE_WIDTH) or image.width
    height = tags.get(_TILE_LENGTH) or min(tags.get(_ROWS_PER_STRIP) or image.height, image.height)
    return int(width * height * max(4, sum(tags.get(_BITS) or (1,)) / 8))


@contextmanager
def _room(need: int) -> Iterator[None]:
    """Refuse what needs too much memory, and let what needs much of it wait for its like."""
    if need > MAX_MEMORY:
        detail = f"decoding would take {need >> 20:,} MB; at most {MAX_MEMORY >> 20} are used"
        raise PhotoError("too_large", detail)
    with HEAVY if need > HEAVY_MEMORY else nullcontext():
        yield


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
    return kind in ("JPEG", "MPO") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")


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
