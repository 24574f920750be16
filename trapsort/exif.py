"""What the camera wrote about a photo; bad EXIF never costs a photo.

Tag numbers: Exif 2.32 (CIPA DC-008). Reconyx MakerNotes: offsets as documented by exiftool's
Reconyx tables.
"""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from PIL import Image

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
_BLOCK = b"Exif\0\0"
_NO_TIFF_IN_EXIF = re.compile(rb"Exif\0\0(?!II\*\0|MM\0\*)")
_PILLOW = r"PIL(\.|$)"


@dataclass(frozen=True, slots=True)
class Exif:
    """The camera's own words, cleaned; None where it wrote nothing usable.

    camera_time: `YYYY-MM-DDTHH:MM:SS` by the camera's clock, which has no zone; utc_offset:
    `+02:00`; temperature_c: degrees Celsius; moon: phase, as `waxing gibbous`; trigger: `motion`,
    `timelapse`, `external`, `manual` or the maker's letter; sequence_index of sequence_length
    frames, from 1; latitude, longitude: degrees north and east; flags: sorted, of `clock_unset`,
    `clock_future`, `no_time`, `exif_damaged`.
    """

    camera_time: str | None = None
    utc_offset: str | None = None
    make: str | None = None
    model: str | None = None
    serial: str | None = None
    temperature_c: float | None = None
    moon: str | None = None
    trigger: str | None = None
    sequence_index: int | None = None
    sequence_length: int | None = None
    event_number: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    flags: tuple[str, ...] = ()


NO_EXIF = Exif(flags=("no_time",))
"""A photo without EXIF."""


def quiet_pillow() -> None:
    """Keep Pillow's warnings about damaged files from the screen: they end up in flags and reasons.

    One filter for Pillow's own modules, set again where somebody changed the filters since. Not
    `warnings.catch_warnings`, which swaps the filters of all threads.
    """
    if not warnings.filters or getattr(warnings.filters[0][3], "pattern", None) != _PILLOW:
        warnings.filterwarnings("ignore", module=_PILLOW)


def read_exif(data: bytes, *, now: datetime | None = None) -> Exif:
    """What the bytes of a photo, or an EXIF block alone, say about its taking; never raises.

    now: the present time, to tell clocks that run ahead (UTC; a naive one is taken as UTC).
    """
    tags = _read_tags(data)
    if tags is None:
        return NO_EXIF
    flags = {"exif_damaged"} if tags.damaged else set()
    maker_note = tags.exif.get(0x927C)
    note = reconyx_note(maker_note) if isinstance(maker_note, bytes) else ReconyxNote()
    if note.damaged:
        flags.add("exif_damaged")
    camera_time, utc_offset, clock_flags = _camera_time(tags, note, now or datetime.now(UTC))
    latitude, longitude = _position(tags.gps)
    temperature = _number(tags.exif.get(0x9400)) if note.celsius is None else note.celsius
    return Exif(
        camera_time=camera_time,
        utc_offset=utc_offset,
        make=_text(tags.base.get(0x010F)),
        model=_text(tags.base.get(0x0110)),
        serial=note.serial or _text(tags.exif.get(0xA431)),
        temperature_c=temperature if temperature is not None and abs(temperature) < 100 else None,
        moon=note.moon,
        trigger=note.trigger,
        sequence_index=note.sequence[0] if note.sequence else None,
        sequence_length=note.sequence[1] if note.sequence else None,
        event_number=note.event,
        latitude=latitude,
        longitude=longitude,
        flags=tuple(sorted(flags | clock_flags)),
    )


# The container ---------------------------------------------------------------------------------

_Values = Mapping[int, object]


@dataclass(frozen=True, slots=True)
class _Tags:
    base: _Values
    exif: _Values
    gps: _Values
    damaged: bool


def _read_tags(data: bytes) -> _Tags | None:
    """The three directories of a file; None where there is no file to read or no EXIF in it."""
    quiet_pillow()
    damaged = False
    found: list[_Values] = [{}, {}, {}]
    with suppress(Exception):  # Pillow raises nearly every type there is; decode says what is wrong
        if data.startswith(_BLOCK):
            source = Image.Exif()
            source.load(data)
        else:
            source = Image.open(io.BytesIO(data), formats=_FORMATS).getexif()
        for place, directory in enumerate((None, 0x8769, 0x8825)):
            try:
                found[place] = dict(source if directory is None else source.get_ifd(directory))
            except Exception:  # one damaged directory leaves the others
                damaged = True
    damaged = damaged or _NO_TIFF_IN_EXIF.search(data, 0, 4096) is not None
    return _Tags(found[0], found[1], found[2], damaged) if damaged or any(found) else None


# Single values ---------------------------------------------------------------------------------


def _text(value: object) -> str | None:
    """Text without NULs, control characters and spare spaces; None if nothing is left."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    printable = "".join(character if character.isprintable() else " " for character in value[:200])
    return " ".join(printable.split()) or None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever Pillow made of the bytes
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _position(gps: _Values) -> tuple[float | None, float | None]:
    """Latitude and longitude; None for both unless both are there, valid and not zero."""
    latitude = _degrees(gps.get(2), gps.get(1), "NS", 90)
    longitude = _degrees(gps.get(4), gps.get(3), "EW", 180)
    # Receivers without a fix write 0, 0: a point in the Atlantic.
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None, None
    return latitude, longitude


def _degrees(value: object, reference: object, signs: str, limit: float) -> float | None:
    letter = _text(reference)
    if not isinstance(value, tuple) or len(value) != 3 or letter is None or letter not in signs:
        return None
    parts = [_number(part) for part in value]
    degrees = 0.0
    for part, size in zip(parts, (1, 60, 3600), strict=True):
        if part is None or part < 0:
            return None
        degrees += part / size
    return round(-degrees if letter == signs[1] else degrees, 7) if degrees <= limit else None


# Time ------------------------------------------------------------------------------------------

_TIME = re.compile(r"(\d{4})[:/.-] ?(\d{1,2})[:/.-] ?(\d{1,2})[ T]+(\d{1,2}):(\d\d):(\d\d)", re.A)
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d", re.A)
_FACTORY_TIME = datetime(2002, 12, 8, 12, 0, 0)  # what several makers' clocks start at


def _camera_time(
    tags: _Tags, note: ReconyxNote, now: datetime
) -> tuple[str | None, str | None, set[str]]:
    """First usable time, its offset, and flags; fake dates are kept as written and flagged."""
    flags: set[str] = set()
    for written, offset in _times(tags, note):
        match = _TIME.match(written)
        try:
            moment = datetime(*map(int, match.groups())) if match else None  # type: ignore[arg-type]
        except ValueError:
            moment = None
        if moment is None:
            flags.add("exif_damaged" if re.search("[1-9]", written) else "clock_unset")
            continue
        return moment.isoformat(), offset, _clock_flags(moment, now)
    return None, None, flags or {"no_time"}


def _times(tags: _Tags, note: ReconyxNote) -> Iterator[tuple[str, str | None]]:
    """What may be the time of taking, best first, each with the offset tag that belongs to it."""
    for values, time_tag, offset_tag in (
        (tags.exif, 0x9003, 0x9011),
        (tags.exif, 0x9004, 0x9012),
        (tags.base, 0x0132, 0x9010),
    ):
        written = _text(values.get(time_tag))
        offset = _text(tags.exif.get(offset_tag)) or ""
        if written:
            yield written, offset if _OFFSET.fullmatch(offset) else None
    if note.clock:
        yield "{:04}:{:02}:{:02} {:02}:{:02}:{:02}".format(*note.clock), None


def _clock_flags(moment: datetime, now: datetime) -> set[str]:
    now_utc = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    if moment > now_utc + timedelta(days=1):  # a day: the camera's zone is not known
        return {"clock_future"}
    if moment.date() <= date(1980, 1, 1) or moment == _FACTORY_TIME:
        return {"clock_unset"}
    return set()


# Reconyx ---------------------------------------------------------------------------------------

_MOON = (
    "new",
    "new crescent",
    "first quarter",
    "waxing gibbous",
    "full",
    "waning gibbous",
    "last quarter",
    "old crescent",
)
_TRIGGERS = {"M": "motion", "T": "timelapse", "E": "external", "P": "manual"}


@dataclass(frozen=True, slots=True)
class ReconyxNote:
    """What a MakerNote adds; clock: year, month, day, hour, minute, second, as written."""

    clock: tuple[int, ...] | None = None
    serial: str | None = None
    celsius: float | None = None
    moon: str | None = None
    trigger: str | None = None
    sequence: tuple[int, int] | None = None
    event: int | None = None
    damaged: bool = False


def reconyx_note(note: bytes) -> ReconyxNote:
    """Values of a Reconyx MakerNote; all None for another maker's. Never raises."""
    try:
        for magic, read in _MODELS.items():
            if note.startswith(magic):
                return read(note)
    except struct.error:  # too short
        return ReconyxNote(damaged=True)
    return ReconyxNote()


def _hyperfire(note: bytes) -> ReconyxNote:
    trigger, *words = struct.unpack_from("<2s14H", note, 12)  # words: 7 to 20 of the note
    index, length, event_high, event_low, *clock = words[:10]
    if clock[5] > 0x1FFF:  # a year with its bytes swapped, as some firmware writes all six words
        clock = [(word >> 8) | (word & 0xFF) << 8 for word in clock]
    second, minute, hour, month, day, year = clock
    (celsius,) = struct.unpack_from("<h", note, 0x28)
    return ReconyxNote(
        clock=(year, month, day, hour, minute, second),
        serial=_wide(note, 0x2A, 0x48),
        celsius=float(celsius),
        moon=_moon(words[11]),
        trigger=_trigger(trigger),
        sequence=_sequence(index, length),
        event=event_high << 16 | event_low,
    )


def _hyperfire2(note: bytes) -> ReconyxNote:
    # Its clock words are left alone: this camera writes the EXIF time, which is the right one.
    trigger, index, length, event_high, event_low = struct.unpack_from("<2s4H", note, 0x34)
    moon, _, celsius = struct.unpack_from("<Hhh", note, 0x4C)
    return ReconyxNote(
        serial=_wide(note, 0x7E, 0x9C),
        celsius=float(celsius),
        moon=_moon(moon),
        trigger=_trigger(trigger),
        sequence=_sequence(index, length),
        event=event_high << 16 | event_low,
    )


def _ultrafire(note: bytes) -> ReconyxNote:
    trigger, index, length, event = struct.unpack_from("<sBBI", note, 0x34)
    second, minute, hour, day, month, year = struct.unpack_from("<5BH", note, 0x3B)
    moon, _, celsius = struct.unpack_from("<Bhh", note, 0x43)
    return ReconyxNote(
        clock=(year, month, day, hour, minute, second),
        serial=_text(note[0x4B:0x5A].split(b"\0")[0]),
        celsius=float(celsius),
        moon=_moon(moon),
        trigger=_trigger(trigger),
        sequence=_sequence(index, length),
        event=event,
    )


_MODELS = {b"\x01\xf1": _hyperfire, b"RECONYXH2\0": _hyperfire2, b"RECONYXUF\0": _ultrafire}


def _wide(note: bytes, start: int, end: int) -> str | None:
    return _text(note[start:end].decode("utf-16-le", "ignore").split("\0")[0])


def _moon(phase: int) -> str | None:
    return _MOON[phase] if phase < len(_MOON) else None


def _trigger(letter: bytes) -> str | None:
    name = _text(letter)
    return _TRIGGERS.get(name, name) if name else None


def _sequence(index: int, length: int) -> tuple[int, int] | None:
    return (index, length) if 1 <= index <= length else None
