"""Reviews from a CSV file: who said what of which photo, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.records import LION, ask, keys, record, sha
from tests.toy import write_bundle
from trapsort.cli.main import main
from trapsort.errors import InputError
from trapsort.interchange.detected import LeftOut
from trapsort.interchange.matching import Matcher
from trapsort.interchange.read_reviews import Account, Labels, import_reviews, read_reviews
from trapsort.store import Store

ROWS = "SELECT label, count, reviewer, time, note FROM reviews ORDER BY id"


def with_photos(store: Store, *names: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record(name, prediction=LION) for name in names])


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def imported(
    store: Store, path: Path, *, any_other: bool = False, reviewer: str = ""
) -> tuple[Account, list[LeftOut]]:
    left: list[LeftOut] = []
    account = import_reviews(
        store,
        path,
        Matcher(store),
        Labels(store.labels(), any_other=any_other),
        reviewer=reviewer,
        on_left_out=left.append,
        on_progress=lambda _: None,
    )
    return account, left


def test_reviews_are_appended_with_who_and_when(store: Store, url: str, tmp_path: Path) -> None:
    with_photos(store, "DCIM/a.jpg", "DCIM/b.jpg", "DCIM/c.jpg")
    digest = sha("DCIM/b.jpg").hex().upper()
    path = write(
        tmp_path,
        "path,sha256,label,count,reviewer,time,note",
        'card/DCIM/a.jpg,,panthera leo,3,Ana,2026-05-01T12:00:00+02:00,"two, and a cub"',
        f"nowhere.jpg,{digest},unknown,,Ben,2026-05-01,",
        "DCIM/c.jpg,,human,,Ben,2026-05-01 08:30,",
        "DCIM/d.jpg,,Lion,,Ben,,",
        f",{sha('x').hex()},Lion,,Ben,,",
    )
    account, left = imported(store, path)
    assert account == Account(lines=5, photos=3, new=3)
    assert left == [
        LeftOut("DCIM/d.jpg", "unknown", ""),
        LeftOut(sha("x").hex(), "unknown", "no photo has that sha256"),
    ]
    assert ask(url, ROWS) == [
        ("Lion", 3, "Ana", "2026-05-01T10:00:00Z", "two, and a cub"),
        (None, 1, "Ben", "2026-05-01T00:00:00Z", ""),
        ("person", 1, "Ben", "2026-05-01T08:30:00Z", ""),
    ]
    found = {each.path: (each.label, each.count, each.reviewer) for each in store.sightings()}
    assert found["DCIM/a.jpg"] == ("Lion", 3, "Ana")
    assert found["DCIM/b.jpg"] == (None, 1, "Ben")


def test_twice_is_once_and_a_change_of_mind_is_another(
    store: Store, url: str, tmp_path: Path
) -> None:
    with_photos(store, "a.jpg")
    first = "a.jpg,Lion,2026-05-01,Ana"
    path = write(tmp_path, "path,label,time,reviewer", first, first, "a.jpg,blank,,Ana")
    assert imported(store, path)[0].new == 2
    before = ask(url, "SELECT * FROM reviews ORDER BY id")
    assert imported(store, path)[0].new == 0
    assert ask(url, "SELECT * FROM reviews ORDER BY id") == before
    path = write(tmp_path, "path,label,time,reviewer", "a.jpg,Lion,2026-06-01,Ana")
    assert imported(store, path)[0].new == 1
    assert [row[0] for row in ask(url, ROWS)] == ["Lion", "blank", "Lion"]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_spreadsheets_write_other_separators(
    store: Store, url: str, tmp_path: Path, separator: str
) -> None:
    with_photos(store, "-a.jpg")
    lines = ("\ufeffPath,Label,Reviewer,Note,", "'-a.jpg,African Elephant,Ana,'=1+1,", ",,,,")
    path = write(tmp_path, *(line.replace(",", separator) for line in lines))
    assert imported(store, path)[0].new == 1
    assert ask(url, "SELECT label, reviewer, note FROM reviews") == [
        ("African_Elephant", "Ana", "=1+1")
    ]


def test_a_label_that_is_not_known_is_an_error_with_the_nearest(
    store: Store, url: str, tmp_path: Path
) -> None:
    with_photos(store, "a.jpg", "b.jpg")
    path = write(tmp_path, "path,label", "a.jpg,Lion", "b.jpg,Loin")
    with pytest.raises(InputError) as raised:
        imported(store, path, reviewer="Ana")
    assert raised.value.message == f"{path}, line 3: 'Loin' is no label; the nearest: Lion."
    assert raised.value.hint == (
        "Correct the line; nothing was recorded. For a species that the bundle does not know:"
        " --new-labels."
    )
    assert ask(url, ROWS) == []
    assert imported(store, path, any_other=True, reviewer="Ana")[0].new == 2
    path = write(tmp_path, "path,label", "a.jpg,loin")  # given before, so known by now
    assert imported(store, path, reviewer="Ben")[0].new == 1
    assert [row[0] for row in ask(url, ROWS)] == ["Lion", "Loin", "Loin"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["path,count", "a.jpg,1"], " has no column label."),
        (["label", "Lion"], " has no column path or sha256."),
        (["path,label", "a.jpg,"], ", line 2: there is no label; write unknown where nobody can"),
        (["path,label", ",Lion"], ", line 2: it names no photo."),
        (["sha256,label", "abc,Lion"], ", line 2: 'abc' is no sha256: 64 hexadecimal digits."),
        (["path,label,count", "a.jpg,Lion,two"], ", line 2: count is 'two', not a whole number."),
        (["path,label,count", "a.jpg,Lion,-1"], ", line 2: count is '-1', not a whole number."),
        (["path,label,time", "a.jpg,Lion,1.5.26"], ", line 2: time is '1.5.26': write 2026-05-01"),
        (["path,label,note", "a.jpg,Lion,a\0b"], ", line 2: it holds NUL characters."),
        (["path,label,reviewer", "", "a.jpg,Lion,"], ", line 3: it has no reviewer; name who"),
        (["path,label", "a.jpg," + "x" * 200_000], ", line 2: field larger than field limit"),
        ([""], " has no column label."),
    ],
)
def test_a_line_that_cannot_be_is_refused(tmp_path: Path, lines: list[str], why: str) -> None:
    path = write(tmp_path, *lines)
    reviewer = "" if "reviewer" in why else "Ana"
    with pytest.raises(InputError) as raised:
        list(read_reviews(path, Labels(()), reviewer))
    assert raised.value.message.startswith(f"{path}{why}")


def test_what_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes("path,label\né.jpg,Lion\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"reviews\.csv is not in UTF-8"):
        list(read_reviews(path, Labels(()), "Ana"))


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "x.sqlite3"
    options = ["--db", str(database), "--bundle", str(write_bundle(tmp_path / "toy"))]
    path = write(tmp_path, "path,label", "a.jpg,Rhino", *(f"{n}.jpg,Lion" for n in range(25)))
    assert main(["import", "reviews", str(path), "--reviewer", "Ana", *options]) == 4
    with Store.open(f"sqlite:///{database}") as store:
        with_photos(store, "a.jpg")
    capfd.readouterr()
    left = tmp_path / "left.csv"
    more = ["--reviewer", "Ana", "--left-out", str(left)]
    assert main(["import", "reviews", str(path), *more, *options]) == 1
    printed = capfd.readouterr()
    assert printed.out == "reviews.csv: 26 reviews of 1 photo, 1 new\n"
    lines = printed.err.splitlines()
    assert lines[:2] == ["25 files: no recorded photo is at that path", "  0.jpg"]
    assert lines[-2:] == [
        "  ... and 5 more; --left-out CSV has all",
        "name the card that the paths are of with --card",
    ]
    assert left.read_text().splitlines() == [
        "path,reason,detail",
        *(f"{n}.jpg,unknown," for n in range(25)),
    ]
