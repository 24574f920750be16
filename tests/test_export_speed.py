"""What makes long exports fast gives the same as what it stands for."""

from __future__ import annotations

import multiprocessing
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import xlsxwriter

from tests.export_record import make_record, sample_in
from trapsort.errors import DatabaseError
from trapsort.interchange import streamed
from trapsort.interchange.place import Table
from trapsort.interchange.xlsx_rows import RowSheet
from trapsort.store import SightingQuery, Store

ODD_TEXTS = (
    *("plain", "ÁÑ tigre", " ends ", "a<b&c>", "_x0041_", "tab\there", "line\nend", "", "=1+1"),
    *("<r><t>rich</t></r>", "\ufffe", "\U0001f405", "x" * 16_001),
)


@pytest.fixture
def _two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "LONG", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


@pytest.mark.usefixtures("_two_processes")
def test_a_second_process_reads_the_same_photos_and_ends(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    receive = streamed._received
    monkeypatch.setattr(streamed, "_received", lambda pipe: started.append(1) or receive(pipe))
    make_record(url, tmp_path)
    with Store.open(url) as store:
        found = streamed.captures(store, SightingQuery(station="S1"), order="path")
        first = next(found)
        assert multiprocessing.active_children() != []
        rest = list(found)
        assert [first, *rest] == list(store.captures(SightingQuery(station="S1"), order="path"))
        assert [type(each) for each in first.answers] == [type(each) for each in rest[0].answers]
    assert len(rest) == 4 and started == [1]
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("_two_processes")
def test_what_the_second_process_cannot_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database" * 100)
    broken: Any = SimpleNamespace(url=f"sqlite:///{tmp_path}/notes.txt", last_photo_id=lambda: 9)
    with pytest.raises(DatabaseError, match=r"notes\.txt") as caught:
        next(streamed.captures(broken, SightingQuery(), order="path"))
    assert caught.value.hint
    assert multiprocessing.active_children() == []


def test_a_short_record_is_read_in_this_process(tmp_path: Path) -> None:
    with Store.open(sample_in(tmp_path).url) as store:
        found = streamed.captures(store, SightingQuery(), order="photo")
        next(found)
        assert multiprocessing.active_children() == []
        assert len(list(found)) == 7


def test_rows_of_a_sheet_are_those_of_xlsxwriter(tmp_path: Path) -> None:
    rows: list[tuple[str | float | None, ...]] = [("VU", 0.1 + 0.2, None, "S1"), (None,) * 4]
    rows += [(text, 7, "after", text) for text in ODD_TEXTS]
    rows.append(("LC", 1e-7, "last", 123_456_789_012_345_678))

    def sheets(name: str, kind: type | None) -> tuple[bytes, ...]:
        path = tmp_path / name
        with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
            sheet = book.add_worksheet("Sightings", kind)
            red = book.add_format({"bg_color": "#FF0000"})
            sheet.write_string(0, 0, "head", book.add_format({"bold": True}))
            for at, row in enumerate(rows, start=1):
                formats = (red if row[0] == "VU" else None, None, None, None)
                if kind is not None:
                    sheet.add_row(at, row, formats)
                    continue
                for place, (value, style) in enumerate(zip(row, formats, strict=True)):
                    if isinstance(value, str):
                        assert value == "" or sheet.write_string(at, place, value, style) == 0
                    elif value is not None:
                        sheet.write_number(at, place, value, style)
        with zipfile.ZipFile(path) as book:
            return book.read("xl/worksheets/sheet1.xml"), book.read("xl/styles.xml")

    assert sheets("fast.xlsx", RowSheet) == sheets("own.xlsx", None)


def test_rows_of_text_are_those_of_the_csv_writer(tmp_path: Path) -> None:
    rows = [(text, "b", "c") for text in (*ODD_TEXTS, "a,b", 'say "so"', "cr\rhere", "'", "\u2028")]
    for name, add in (("fast.csv", Table.add_texts), ("own.csv", Table.add_all)):
        with Table(tmp_path / name, ("x", "y", "z")) as table:
            add(table, rows)
            assert table.rows == len(rows)
    assert (tmp_path / "fast.csv").read_bytes() == (tmp_path / "own.csv").read_bytes()
