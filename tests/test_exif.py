"""What the camera wrote: exact values from real cameras, and anything at all from broken files."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trapsort.exif import NO_EXIF, Exif, ReconyxNote, quiet_pillow, read_exif, reconyx_note

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def photo(
    *,
    base: dict[int, object] | None = None,
    exif: dict[int, object] | None = None,
    gps: dict[int, object] | None = None,
    kind: str = "JPEG",
) -> bytes:
    tags = Image.Exif()
    tags.update(base or {})
    if exif:
        tags.get_ifd(0x8769).update(exif)
    if gps:
        tags.get_ifd(0x8825).update(gps)
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, kind, exif=tags)
    return stream.getvalue()


# Real cameras ----------------------------------------------------------------------------------


def test_reconyx_hyperfire_2_burst(shared: Path) -> None:
    burst = sorted((shared / "cards/heron/DCIM/100RECNX").glob("*.JPG"), key=lambda p: p.stem[-4:])
    first, *_, last = (read_exif(path.read_bytes()) for path in burst)
    assert first == Exif(
        camera_time="2021-04-11T20:43:09",
        make="RECONYX",
        model="HYPERFIRE 2 COVERT",
        serial="H2RXEM06043616",
        temperature_c=2.0,
        moon="new",
        trigger="motion",
        sequence_index=1,
        sequence_length=10,
        event_number=4,
    )
    assert last == replace(first, camera_time="2021-04-11T20:43:15", sequence_index=10)


def test_reconyx_that_writes_its_time_into_the_maker_note_alone(shared: Path) -> None:
    bear = (shared / "cards/oddities/american_black_bear.jpg").read_bytes()
    assert read_exif(bear) == Exif(
        camera_time="2010-11-06T04:04:00",
        serial="P800BD05003063",
        temperature_c=1.0,
        moon="new",
        trigger="motion",
        sequence_index=1,
        sequence_length=3,
        event_number=57,
    )


def test_reconyx_hyperfire_maker_note_agrees_with_its_exif_time(shared: Path) -> None:
    for name, moon, event in (
        ("blank", "last quarter", 115),
        ("domestic_cattle", "new crescent", 202),
        ("domestic_dog", "waning gibbous", 281),
        ("vehicle", "waning gibbous", 8),
    ):
        data = (shared / f"cards/oddities/{name}.jpg").read_bytes()
        found = read_exif(data)
        with Image.open(io.BytesIO(data)) as image:
            note = reconyx_note(image.getexif().get_ifd(0x8769)[0x927C])
        assert note.clock is not None
        assert datetime(*note.clock).isoformat() == found.camera_time  # type: ignore[arg-type]
        assert (found.moon, found.event_number, found.make) == (moon, event, "RECONYX")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("peru/DCIM/100EK113/EK000001.JPG", Exif(camera_time="2014-07-01T15:22:09")),
        (
            "camtrapR/StationA/StationA__2009-04-10__05-07-00(1).JPG",
            Exif(camera_time="2009-04-10T05:07:00", make="G4", model="CUDDEBACK"),
        ),
        ("oddities/african_elephants_bw.jpg", NO_EXIF),
        ("oddities/african_elephants_truncated_file.jpg", Exif(camera_time="2010-08-04T08:43:15")),
    ],
)
def test_other_cameras(shared: Path, name: str, expected: Exif) -> None:
    assert read_exif((shared / "cards" / name).read_bytes()) == expected


def test_serengeti_frames_come_in_threes(shared: Path) -> None:
    frames = sorted((shared / "cards/serengeti/DCIM").glob("*/*.JPG"))
    times = [read_exif(frame.read_bytes()).camera_time for frame in frames]
    assert times[:3] == ["2010-08-19T18:24:57", "2010-08-19T18:24:57", "2010-08-19T18:24:58"]


def test_camtrapr_names_hold_the_time_that_the_camera_wrote(shared: Path) -> None:
    photos = sorted((shared / "cards/camtrapR").glob("*/*.JPG"))
    assert len(photos) == 68
    for path in photos:
        _, day, clock = path.stem.split("__")
        expected = f"{day}T{clock[:8].replace('-', ':')}"
        assert read_exif(path.read_bytes()).camera_time == expected


# Time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "camera_time", "flags"),
    [
        ("2020:02:29 23:59:59", "2020-02-29T23:59:59", ()),
        ("2020-02-29T03:04:05", "2020-02-29T03:04:05", ()),
        ("2020: 2: 9  3:04:05", "2020-02-09T03:04:05", ()),
        ("2020:02:29 23:59:59\0\0 ", "2020-02-29T23:59:59", ()),
        ("0000:00:00 00:00:00", None, ("clock_unset",)),
        ("    :  :     :  :  ", None, ("clock_unset",)),
        ("2021:02:29 00:00:00", None, ("exif_damaged",)),
        ("yesterday at 9", None, ("exif_damaged",)),
        ("1970:01:01 00:00:12", "1970-01-01T00:00:12", ("clock_unset",)),
        ("1980:01:01 07:30:00", "1980-01-01T07:30:00", ("clock_unset",)),
        ("2002:12:08 12:00:00", "2002-12-08T12:00:00", ("clock_unset",)),
        ("2002:12:08 12:00:01", "2002-12-08T12:00:01", ()),
        ("2026:01:02 00:00:00", "2026-01-02T00:00:00", ()),
        ("2026:01:02 00:00:01", "2026-01-02T00:00:01", ("clock_future",)),
        ("", None, ("no_time",)),
    ],
)
def test_times_are_kept_as_written_and_flagged(
    written: str, camera_time: str | None, flags: tuple[str, ...]
) -> None:
    found = read_exif(photo(base={0x010F: "Maker"}, exif={0x9003: written}), now=NOW)
    assert (found.camera_time, found.flags) == (camera_time, flags)


def test_now_may_be_of_any_zone_or_none() -> None:
    data = photo(exif={0x9003: "2026:01:02 00:00:01"})
    assert read_exif(data, now=NOW.replace(tzinfo=None)).flags == ("clock_future",)
    west = NOW.astimezone(timezone(timedelta(hours=-8)))
    assert read_exif(data, now=west).flags == ("clock_future",)
    assert read_exif(data, now=NOW + timedelta(seconds=1)).flags == ()


def test_the_first_usable_time_counts() -> None:
    original, digitized, changed = (
        "2020:01:01 01:00:00",
        "2020:01:01 02:00:00",
        "2020:01:01 03:00:00",
    )
    tags: dict[int, object] = {0x9003: original, 0x9004: digitized}
    base: dict[int, object] = {0x0132: changed}
    assert read_exif(photo(base=base, exif=tags)).camera_time == "2020-01-01T01:00:00"
    tags[0x9003] = "0000:00:00 00:00:00"
    assert read_exif(photo(base=base, exif=tags)) == Exif(camera_time="2020-01-01T02:00:00")
    assert read_exif(photo(base=base)).camera_time == "2020-01-01T03:00:00"


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("+02:00", "+02:00"),
        ("-03:30\0", "-03:30"),
        ("+2", None),
        ("+99:00", None),
        ("   :  ", None),
    ],
)
def test_an_offset_is_kept_if_it_is_one(offset: str, expected: str | None) -> None:
    data = photo(exif={0x9003: "2020:01:01 01:00:00", 0x9011: offset, 0x9012: "+09:00"})
    assert read_exif(data).utc_offset == expected


# Text, numbers, place --------------------------------------------------------------------------


def test_text_is_cleaned() -> None:
    found = read_exif(photo(base={0x010F: "\0\0\0", 0x0110: " Cam\x07era\n X \0"}))
    assert (found.make, found.model) == (None, "Cam era X")
    assert read_exif(photo(base={0x010F: "m" * 5000})).make == "m" * 200


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_container_that_cameras_or_people_use(kind: str) -> None:
    found = read_exif(photo(base={0x010F: "Maker", 0x0132: "2020:01:01 01:00:00"}, kind=kind))
    assert found == Exif(camera_time="2020-01-01T01:00:00", make="Maker")


def test_temperature_and_serial_of_plain_exif() -> None:
    tags: dict[int, object] = {0x9400: -7.5, 0xA431: "SN 12"}
    found = read_exif(photo(exif=tags))
    assert (found.temperature_c, found.serial) == (-7.5, "SN 12")
    assert read_exif(photo(exif={0x9400: 500.0})).temperature_c is None


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        ({1: "S", 2: (1.0, 30.0, 36.0), 3: "E", 4: (36.0, 0.0, 0.0)}, (-1.51, 36.0)),
        ({1: "N", 2: (47.0, 0.0, 0.0), 3: "W", 4: (8.0, 30.0, 0.0)}, (47.0, -8.5)),
        ({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (8.0, 0.0, 0.0)}, (None, None)),
        ({2: (47.0, 0.0, 0.0), 4: (8.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (47.0, 0.0, 0.0)}, (None, None)),
    ],
)
def test_position(gps: dict[int, object], expected: tuple[float | None, float | None]) -> None:
    found = read_exif(photo(gps=gps))
    assert (found.latitude, found.longitude) == expected


# Reconyx ---------------------------------------------------------------------------------------


def ultrafire() -> bytes:
    note = bytearray(0x80)
    note[:10] = b"RECONYXUF\0"
    struct.pack_into("<sBBI", note, 0x34, b"T", 2, 5, 70_000)
    struct.pack_into("<5BH", note, 0x3B, 9, 8, 7, 6, 5, 2019)
    struct.pack_into("<Bhh", note, 0x43, 4, 23, -5)
    note[0x4B:0x52] = b"UF12345"
    return bytes(note)


def hyperfire(order: str = "<") -> bytes:
    note = bytearray(0x60)
    struct.pack_into("<H", note, 0, 0xF101)
    struct.pack_into("<2s4H", note, 12, b"M\0", 1, 3, 2, 1)
    struct.pack_into(order + "6H", note, 22, 0, 4, 20, 6, 11, 2010)
    struct.pack_into("<H", note, 36, 9)  # no such phase of the moon
    struct.pack_into("<h", note, 0x28, -3)
    note[0x2A:0x34] = "HC500".encode("utf-16-le")
    return bytes(note)


def test_ultrafire() -> None:
    assert reconyx_note(ultrafire()) == ReconyxNote(
        clock=(2019, 5, 6, 7, 8, 9),
        serial="UF12345",
        celsius=-5.0,
        moon="full",
        trigger="timelapse",
        sequence=(2, 5),
        event=70_000,
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_hyperfire_of_either_byte_order_in_its_clock(order: str) -> None:
    assert reconyx_note(hyperfire(order)) == ReconyxNote(
        clock=(2010, 6, 11, 20, 4, 0),
        serial="HC500",
        celsius=-3.0,
        trigger="motion",
        sequence=(1, 3),
        event=131_073,
    )


def test_a_maker_note_gives_what_exif_lacks_and_no_more() -> None:
    tags: dict[int, object] = {0x927C: ultrafire()}
    assert read_exif(photo(exif=tags)).camera_time == "2019-05-06T07:08:09"
    tags[0x9003] = "2020:01:01 01:00:00"
    found = read_exif(photo(exif=tags))
    assert (found.camera_time, found.trigger) == ("2020-01-01T01:00:00", "timelapse")
    assert (found.temperature_c, found.moon, found.event_number) == (-5.0, "full", 70_000)


def test_a_cut_maker_note_is_flagged_and_another_makers_is_not() -> None:
    written = "2020:01:01 01:00:00"
    cut = read_exif(photo(exif={0x9003: written, 0x927C: hyperfire()[:20]}))
    assert cut == Exif(camera_time="2020-01-01T01:00:00", flags=("exif_damaged",))
    other = read_exif(photo(exif={0x9003: written, 0x927C: b"\0" * 460}))
    assert other == Exif(camera_time="2020-01-01T01:00:00")


_notes = st.builds(
    bytes.__add__,
    st.sampled_from([b"\x01\xf1", b"RECONYXH2\0", b"RECONYXUF\0", b""]),
    st.binary(max_size=256),
)


@settings(max_examples=500)
@given(_notes)
def test_any_maker_note_is_read_without_raising(note: bytes) -> None:
    found = reconyx_note(note)
    assert found.moon is None or found.moon.isprintable()
    assert found.serial is None or found.serial.isprintable()
    if found.sequence:
        assert 1 <= found.sequence[0] <= found.sequence[1]


@settings(max_examples=100, deadline=None)
@given(_notes)
def test_any_maker_note_in_a_photo_costs_nothing_else(note: bytes) -> None:
    found = read_exif(photo(exif={0x9003: "2020:01:01 01:00:00", 0x927C: note}))
    assert found.camera_time == "2020-01-01T01:00:00"
    assert found.temperature_c is None or abs(found.temperature_c) < 100


# Broken files ----------------------------------------------------------------------------------

_GOOD = photo(
    base={0x010F: "Maker", 0x0132: "2020:01:01 03:00:00"},
    exif={0x9003: "2020:01:01 01:00:00", 0x927C: ultrafire()},
    gps={1: "S", 2: (1.0, 30.0, 36.0), 3: "E", 4: (36.0, 0.0, 0.0)},
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 511), st.binary(min_size=1, max_size=8), st.integers(0, len(_GOOD)))
def test_any_damage_to_exif_is_survived(at: int, damage: bytes, end: int) -> None:
    broken = _GOOD[:at] + damage + _GOOD[at + len(damage) :]
    for data in (broken, broken[:end], broken[2:], damage):
        found = read_exif(data, now=NOW)
        assert list(found.flags) == sorted(set(found.flags))
        assert (found.camera_time is None) <= bool(found.flags)


def test_bytes_without_exif() -> None:
    assert read_exif(b"") == NO_EXIF
    assert read_exif(b"text") == NO_EXIF
    assert read_exif(photo()) == NO_EXIF
    assert Exif(flags=("no_time",)) == NO_EXIF


def test_exif_that_cannot_be_parsed_is_flagged() -> None:
    start = _GOOD.index(b"Exif\0\0") + 6
    data = _GOOD[:start] + b"notatime" + _GOOD[start + 8 :]
    assert read_exif(data) == Exif(flags=("exif_damaged", "no_time"))


def test_every_hostile_file_is_survived(shared: Path) -> None:
    files = sorted(path for path in (shared / "badfiles").iterdir() if path.suffix != ".csv")
    assert len(files) == 351
    for path in files:
        found = read_exif(path.read_bytes(), now=NOW)
        assert (found.camera_time is None) <= bool(found.flags), path


def test_pillows_warnings_are_quiet_in_every_thread_and_others_are_not() -> None:
    heard: list[str] = []

    def warn() -> None:
        quiet_pillow()
        for module in ("PIL.TiffImagePlugin", "PILLAR"):
            try:
                warnings.warn_explicit("careful", UserWarning, "file.py", 1, module=module)
            except UserWarning:
                heard.append(module)

    threads = [threading.Thread(target=warn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == ["PILLAR", "PILLAR"]
    before = list(warnings.filters)
    quiet_pillow()
    assert list(warnings.filters) == before
