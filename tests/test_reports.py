"""Reports: exact bytes from a real database, files that are whole or not there."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapsort.cli.main import main
from trapsort.ensemble import Prediction
from trapsort.errors import InputError
from trapsort.exif import NO_EXIF, Exif
from trapsort.redlist import red_list
from trapsort.reports import REPORTS, report_lines, write_reports
from trapsort.reports.csv_file import FORMULA_STARTS, Cell, csv_cell, csv_line, encoded, write_lines
from trapsort.reports.iucn import threat
from trapsort.reports.nightly import utc_bounds
from trapsort.scan import Photo, Problem
from trapsort.store import DeploymentRow, Record, Store

TOMORROW = timedelta(days=1)
RHINO = red_list("iucn").scientific_name("Rhino")  # five taxa, in the list's order


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    """Five photos of a card at two stations' worth of names, and two problems."""
    card = tmp_path / "card"
    with Store.open(url) as opened:
        card_id = opened.card(card, station="=river, north")
        model_id = opened.model("iucn11", "1.0.0", "ab" * 32)

        def record(number: int, name: str, label: str | None, p: float, when: str | None) -> Record:
            return Record(
                photo=Photo(card, card / name, os.fsencode(name), 1000, 1_700_000_000_000_000_000),
                sha256=bytes([number]) * 32,
                size=1000,
                exif=_at(when),
                width=3264,
                height=2448,
                format="JPEG",
                flags=(),
                perceptual_hash=number,
                near=None,
                prediction=Prediction(
                    label, p, None if label else "blank", ((label or "Lion", p),), ()
                ),
            )

        opened.record(
            card_id,
            model_id,
            records=[
                record(1, "b/IMG_0001.JPG", "Lion", 0.98765432, "2026-03-02T05:06:07"),
                record(2, "=cmd.JPG", "Rhino", 0.75, "2026-03-01T23:59:59"),
                record(3, "IMG,\n3.JPG", None, 0.5, None),
                record(4, "IMG_0004.JPG", "Lion", 0.9, "2026-03-04T00:00:00"),
                record(5, "IMG_0005.JPG", "cheetahs", 1.0, "2026-03-03T00:00:00"),
            ],
            seen=[],
            problems=[
                Problem(card, b"z.JPG", "truncated", "image file is truncated"),
                Problem(card, b"-a.txt", "not_an_image", "starts with 'hello'"),
            ],
        )
        (reviewed,) = (s.photo_id for s in opened.sightings() if s.path == "IMG_0005.JPG")
        opened.review(reviewed, "Lion", reviewer="Ada", count=1, note="")
        yield opened


def _at(when: str | None) -> Exif:
    return dataclasses.replace(NO_EXIF, camera_time=when)


def text(name: str, store: Store, *days: date | None, listed: str = "iucn") -> str:
    since, until = days or (None, None)
    return "".join(report_lines(REPORTS[name], store, since, until, red_list=listed))


# What the reports say --------------------------------------------------------------------------


def test_nightly(store: Store, tmp_path: Path) -> None:
    today = date.today()
    card = tmp_path / "card"
    station = '"\'=river, north"'
    assert text("nightly", store, today - TOMORROW, today).splitlines(keepends=True) == [
        "station,card,path,camera_time,label,scientific_name,iucn,probability,reason,reviewed,"
        "model\n",
        f"{station},{card},'=cmd.JPG,2026-03-01T23:59:59,Rhino,{RHINO},NT-CR,0.75,,false,"
        "iucn11-1.0.0\n",
        f"{station},{card},b/IMG_0001.JPG,2026-03-02T05:06:07,Lion,Panthera leo,VU,0.9877,,false,"
        "iucn11-1.0.0\n",
        f"{station},{card},IMG_0005.JPG,2026-03-03T00:00:00,Lion,Panthera leo,VU,,,true,\n",
        f"{station},{card},IMG_0004.JPG,2026-03-04T00:00:00,Lion,Panthera leo,VU,0.9,,false,"
        "iucn11-1.0.0\n",
        f'{station},{card},"IMG,\\n3.JPG",,,,,0.5,blank,false,iucn11-1.0.0\n',
    ]


def test_nightly_is_of_one_local_date(store: Store) -> None:
    today = date.today()
    header = ",".join(REPORTS["nightly"].COLUMNS) + "\n"
    assert text("nightly", store, today + 2 * TOMORROW, today + 2 * TOMORROW) == header
    assert text("nightly", store, today - 9 * TOMORROW, today - 2 * TOMORROW) == header


def test_species(store: Store) -> None:
    assert text("species", store, date(2026, 3, 1), date(2026, 3, 3)) == (
        "label,scientific_name,iucn,photos,reviewed,stations,first_camera_time,last_camera_time\n"
        "Lion,Panthera leo,VU,2,1,1,2026-03-02T05:06:07,2026-03-03T00:00:00\n"
        f"Rhino,{RHINO},NT-CR,1,0,1,2026-03-01T23:59:59,2026-03-01T23:59:59\n"
    )
    assert text("species", store).splitlines()[1:][-1] == ",,,1,0,1,,"


def test_iucn(store: Store) -> None:
    assert text("iucn", store) == (
        "iucn,labels,photos,reviewed\nNT-CR,Rhino,1,0\nVU,Lion,3,1\n,,1,0\n"
    )
    assert text("iucn", store, listed="published") == (
        "iucn,labels,photos,reviewed\nCR,Rhino,1,0\nVU,Lion,3,1\n,,1,0\n"
    )


def test_the_most_threatened_category_comes_first() -> None:
    mixed = ["VU", "", "NT-CR", "NT", "DD", "CR", "NT-VU", "EX", "EN-CR", "EN"]
    ordered = ["EX", "CR", "EN-CR", "NT-CR", "EN", "VU", "NT-VU", "NT", "DD", ""]
    assert sorted(mixed, key=threat, reverse=True) == ordered


def test_iucn_puts_cr_above_a_range_that_reaches_it(store: Store) -> None:
    for photo in list(store.sightings()):
        if photo.label == "Lion" and not photo.reviewed:
            store.review(photo.photo_id, "Orangutan", reviewer="Ada")
    rows = [line.split(",")[:3] for line in text("iucn", store).splitlines()[1:]]
    assert rows == [
        ["CR", "Orangutan", "2"],
        ["NT-CR", "Rhino", "1"],
        ["VU", "Lion", "1"],
        ["", "", "1"],
    ]


def test_problems(store: Store, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(text("problems", store))))
    assert [(row["path"], row["reason"], row["detail"]) for row in rows] == [
        ("'-a.txt", "not_an_image", "starts with 'hello'"),
        ("z.JPG", "truncated", "image file is truncated"),
    ]
    assert {row["card"] for row in rows} == {str(tmp_path / "card")}
    assert text("problems", store, date(2020, 1, 1), date(2020, 1, 1)).count("\n") == 1


def test_the_same_data_gives_the_same_bytes(store: Store, url: str, tmp_path: Path) -> None:
    store.import_deployments(
        [DeploymentRow(name="A", station="=river, north", start="2026-03-01T00:00:00")]
    )
    for name in REPORTS:
        outs = [tmp_path / f"{name}{number}.csv" for number in (1, 2)]
        for out in outs:
            assert main(["report", name, "--db", url, "--out", str(out)]) == 0
        assert outs[0].read_bytes() == outs[1].read_bytes()
        assert outs[0].read_bytes().count(b"\n") > 1, name


def test_rows_have_the_length_of_the_columns(store: Store) -> None:
    for report in REPORTS.values():
        for row in report.rows(store, None, None, red_list="iucn"):
            assert len(row) == len(report.COLUMNS)


def test_a_local_date_lasts_from_midnight_to_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change its time zone")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        # The clocks go back on that day: 25 hours.
        day = date(2026, 11, 1)
        assert utc_bounds(day, day) == ("2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z")
        assert utc_bounds(None, None) == (None, None)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar_bound_nothing(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change its time zone")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        first, last = utc_bounds(date.min, date.max)
        assert last is None
        assert first is not None and first < "0001-01-03"
        first, last = utc_bounds(date.max, date.min)
        assert first is not None and first > "9999-12-30"
        assert last is not None and last < "0001-01-03"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("command", [["problems", "--format", "csv"], ["report", "nightly"]])
@pytest.mark.parametrize(
    ("span", "found"),
    [
        (["--since", "0001-01-01", "--until", "9999-12-31"], True),
        (["--since", "0999-01-01"], True),
        (["--since", "9999-12-31"], False),
        (["--until", "0001-01-01"], False),
    ],
)
def test_any_date_is_a_bound(
    command: list[str],
    span: list[str],
    found: bool,
    store: Store,
    url: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main([*command, *span, "--db", url]) == 0
    assert (len(capfd.readouterr().out.splitlines()) > 1) is found


def test_nightly_files_of_two_days(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "new"
    today = date.today()
    written = write_reports(store, folder, today)
    assert [path.name for path in written] == [
        f"{name}-{day.isoformat()}.{'txt' if name == 'summary' else 'csv'}"
        for day in (today - TOMORROW, today)
        for name in (
            *("nightly", "events", "new-species", "effort", "silent", "problems"),
            "summary",
        )
    ]
    assert sorted(folder.iterdir()) == sorted(written)
    lists = [path for path in written if path.name.startswith("nightly-")]
    both = "".join(path.read_text(encoding="utf-8") for path in lists)
    assert both.count("IMG_0001.JPG") == 1, "each sighting stands in one file"
    before = [path.read_bytes() for path in written]
    write_reports(store, folder, today)
    assert [path.read_bytes() for path in written] == before


# Commands --------------------------------------------------------------------------------------


def test_sightings_as_json_lines(
    store: Store, url: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["sightings", "--db", url, "--format", "jsonl", "--species", "Rhino"]) == 0
    (row,) = map(json.loads, capfdbinary.readouterr().out.splitlines())
    assert list(row)[:3] == ["photo_id", "path", "card"]
    assert (row["path"], row["label"], row["iucn"]) == ("=cmd.JPG", "Rhino", "NT-CR")
    assert (row["probability"], row["sha256"]) == (0.75, "02" * 32)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], 5),
        (["--species", "Lion"], 3),
        (["--species", "lion"], 3),
        (["--species", "diceros BICORNIS"], 1),
        (["--species", "CHEETAHS"], 0),
        (["--species", "UNKNOWN"], 1),
        (["--species", "acinonyx jubatus"], 0),
        (["--species", "Lion", "--species", "Rhino"], 4),
        (["--iucn", "EN"], 1),
        (["--iucn", "vu"], 4),
        (["--iucn", "EN", "--redlist", "published"], 0),
        (["--since", "2026-03-02", "--until", "2026-03-03"], 2),
        (["--station", "=river, north"], 5),
        (["--station", "south"], 0),
        (["--min-probability", "0.95"], 2),
        (["--reason", "blank"], 1),
        (["--reviewed"], 1),
        (["--unreviewed"], 4),
        (["--card", "{card}"], 5),
    ],
)
def test_filters(
    filters: list[str],
    expected: int,
    store: Store,
    url: str,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    filled = [each.replace("{card}", str(tmp_path / "card")) for each in filters]
    assert main(["sightings", "--db", url, "--format", "json", *filled]) == 0
    assert len(json.loads(capfdbinary.readouterr().out)) == expected


def test_a_misspelt_code_is_not_an_empty_list(
    store: Store, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["sightings", "--db", url, "--iucn", "XX"]) == 2
    assert capfd.readouterr().err == (
        "trapsort: there is no Red List category XX\n"
        "choose from LC, NT, VU, EN, CR, EW, EX, DD, NE\n"
    )
    assert main(["sightings", "--db", url, "--reason", "blnk"]) == 2
    assert capfd.readouterr().err.startswith("trapsort: there is no reason blnk\nchoose from blank")


def test_a_misspelt_species_is_not_an_empty_list(
    store: Store, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (rhino,) = (s.photo_id for s in store.sightings() if s.label == "Rhino")
    store.review(rhino, "Honey Badger", reviewer="Ada")
    assert main(["sightings", "--db", url, "--species", "Lino"]) == 2
    assert capfd.readouterr().err == (
        "trapsort: no species is called Lino\n"
        "choose from African_Elephant, Amur_Leopard, Arctic_Fox, cheetahs, Chimpanzee, "
        "Honey Badger, Jaguars, Lion, Orangutan, Panda, Panthers, Rhino, unknown\n"
    )
    arguments = ["sightings", "--db", url, "--format", "jsonl", "--species", "honey badger"]
    assert main(arguments) == 0  # what the Red List does not know, the record does
    (row,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (row["photo_id"], row["label"]) == (rhino, "Honey Badger")


def test_counts(store: Store, url: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def count(by: str) -> str:
        assert main(["sightings", "--db", url, "--count-by", by, "--format", "csv"]) == 0
        return capfdbinary.readouterr().out.decode("utf-8")

    assert count("species") == "species,photos\nLion,3\nRhino,1\nunknown,1\n"
    assert count("iucn") == "iucn,photos\nVU,3\n,1\nNT-CR,1\n"
    assert count("day").splitlines()[1:4] == [",1", "2026-03-01,1", "2026-03-02,1"]
    assert count("station") == 'station,photos\n"\'=river, north",5\n'


def test_the_table_of_sightings(store: Store, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sightings", "--db", url, "--species", "Rhino"]) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    assert [" ".join(line.split()) for line in printed.out.splitlines()] == [
        "camera_time station sighting iucn probability path",
        "2026-03-01 23:59:59 =river, north Rhino NT-CR 0.75 =cmd.JPG",
    ]
    assert main(["sightings", "--db", url, "--station", "nowhere"]) == 0
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "nothing found\n")


def test_problems_say_what_to_do(store: Store, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    from trapsort.scan import REASONS

    assert main(["problems", "--db", url]) == 0
    out = capfd.readouterr().out
    assert "-a.txt" in out and "z.JPG" in out
    assert out.endswith(
        f"\nnot_an_image: {REASONS['not_an_image']}\ntruncated: {REASONS['truncated']}\n"
    )
    assert main(["problems", "--db", url, "--format", "jsonl", "--until", "2020-01-01"]) == 0
    assert capfd.readouterr().out == ""


def test_models_names_what_is_in_the_database(
    store: Store, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--db", url, "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (row,) = [row for row in rows if row["digest"] == "ab" * 32]
    assert (row["name"], row["version"], row["bundle"]) == ("iucn11", "1.0.0", None)


# Cells and files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("", ""),
        ("plain", "plain"),
        ('say "hi"', '"say ""hi"""'),
        ("a,b", '"a,b"'),
        ("a\nb", '"a\nb"'),
        ("a\rb", '"a\rb"'),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", '"\'\r=1"'),
        ("'=1", "'=1"),
        (-12.5, "-12.5"),
        (-3, "-3"),
        (True, "true"),
        (False, "false"),
    ],
)
def test_a_cell(value: Cell, cell: str) -> None:
    assert csv_cell(value) == cell


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2))
def test_what_is_written_is_what_is_read(row: list[str]) -> None:
    read = next(csv.reader(io.StringIO(csv_line(row), newline="")))
    assert read == [f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell for cell in row]
    assert not any(cell.startswith(FORMULA_STARTS) for cell in read)


def test_a_name_that_is_not_utf8_is_escaped() -> None:
    assert encoded("caf\udce9") == b"caf\\udce9"


def test_a_report_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old\n")

    def failing() -> Iterator[str]:
        yield "new\n"
        assert out.read_text() == "old\n"
        raise RuntimeError("pulled out")

    with pytest.raises(RuntimeError, match="pulled out"):
        write_lines(out, failing())
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert out.read_text() == "old\n"
    write_lines(out, ["new\n"])
    assert out.read_bytes() == b"new\n"


def test_what_a_killed_program_left_goes_with_the_next_report(tmp_path: Path) -> None:
    """But not what another one may still be writing, nor what is not ours."""
    out = tmp_path / "out.csv"
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from trapsort.reports import write_lines\n"
        "def lines():\n"
        "    yield 'half of it'\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "write_lines(Path(sys.argv[1]), lines())"
    )
    killed = subprocess.run([sys.executable, "-c", program, out], check=False)
    assert killed.returncode not in (0, 1)
    (part,) = tmp_path.iterdir()
    write_lines(out, ["new\n"])
    assert sorted(tmp_path.iterdir()) == [part, out]  # just written: it may be another program's
    hours_ago = time.time() - 2 * 3600
    kept = [tmp_path / name for name in ("trapsort-01234567.part", ".trapsort-0.part", "x.part")]
    for path in (part, *kept):
        path.touch()
        os.utime(path, (hours_ago, hours_ago))
    write_lines(tmp_path / "other.csv", ["new\n"])
    assert sorted(tmp_path.iterdir()) == sorted([out, tmp_path / "other.csv", *kept])


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        (lambda folder: folder / "no" / "out.csv", r"cannot write .*out\.csv: No such file or dir"),
        (lambda folder: folder, "cannot write .*: it is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    place: Callable[[Path], Path], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=complaint):
        write_lines(place(tmp_path), ["x\n"])
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old\n")
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("this system makes no links")
    write_lines(link, ["new\n"])
    assert link.is_symlink()
    assert real.read_text() == "new\n"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="this system has no /dev/null")
def test_a_device_is_written_not_replaced() -> None:
    write_lines(Path("/dev/null"), ["x\n"])
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
