"""Walking a card: what is found, in which order, and what is left alone."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapsort import scan as room
from trapsort.errors import InputError
from trapsort.scan import (
    REASONS,
    Photo,
    Problem,
    card_of,
    check_root,
    display_name,
    scan,
    volume_of,
)

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file systems")


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(root: Path) -> list[bytes]:
    return [item.relative for item in scan(root)]


def test_a_photo_is_described_by_what_the_file_system_says(tmp_path: Path) -> None:
    put(tmp_path, "DCIM/IMG_0001.JPG")
    os.utime(tmp_path / "DCIM/IMG_0001.JPG", ns=(1, 1_700_000_000_123_456_700))
    (photo,) = scan(tmp_path)
    assert photo == Photo(
        card=tmp_path,
        path=tmp_path / "DCIM" / "IMG_0001.JPG",
        relative=b"DCIM/IMG_0001.JPG",
        size=1,
        mtime_ns=1_700_000_000_123_456_700,
    )
    assert photo.name == "DCIM/IMG_0001.JPG"


def test_order_is_that_of_the_whole_paths(tmp_path: Path) -> None:
    put(tmp_path, "b/1", "a/2", "a/1", "a-b", "a.txt", "a0", "B")
    assert found(tmp_path) == [b"B", b"a-b", b"a.txt", b"a/1", b"a/2", b"a0", b"b/1"]


def test_hidden_unfinished_and_system_files_are_left_out(tmp_path: Path) -> None:
    put(
        tmp_path,
        "._IMG.JPG",
        ".IMG.JPG.Xy12Zz",
        ".Trashes/1.JPG",
        "IMG.JPG.part",
        "IMG.JPG.PART",
        "IMG.tmp",
        "IMG.crdownload",
        "IMG.filepart",
        "IMG.JPG~",
        "System Volume Information/1.JPG",
        "$RECYCLE.BIN/1.JPG",
        "lost+found/1.JPG",
        "@eaDir/1.JPG",
        "FOUND.000/FILE0000.CHK",
        "odd.part/1.JPG",
        "IMG.JPG",
    )
    assert found(tmp_path) == [b"FOUND.000/FILE0000.CHK", b"IMG.JPG", b"odd.part/1.JPG"]


@posix
def test_links_and_special_files_are_listed_and_not_followed(tmp_path: Path) -> None:
    card = tmp_path / "card"
    put(card, "photo.jpg")
    put(tmp_path, "outside/1.jpg")
    (card / "file").symlink_to(card / "photo.jpg")
    (card / "folder").symlink_to(tmp_path / "outside")
    (card / "loop").symlink_to(card)
    (card / "nothing").symlink_to(card / "missing")
    os.mkfifo(card / "pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(card)  # a socket's path must be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    assert [item for item in scan(card) if isinstance(item, Problem)] == [
        Problem(card, b"file", "link", "a symbolic link"),
        Problem(card, b"folder", "link", "a symbolic link"),
        Problem(card, b"loop", "link", "a symbolic link"),
        Problem(card, b"nothing", "link", "a symbolic link"),
        Problem(card, b"pipe", "special_file", "a named pipe"),
        Problem(card, b"socket", "special_file", "a socket"),
    ]


@posix
def test_a_folder_whose_place_a_link_took_is_not_listed(tmp_path: Path) -> None:
    card = tmp_path / "card"
    put(card, "a", "b/1")
    put(tmp_path, "outside/1")
    items = scan(card)
    assert next(items).relative == b"a"
    (card / "b").rename(tmp_path / "aside")
    (card / "b").symlink_to(tmp_path / "outside")
    detail = "a link or a file took the folder's place"
    assert list(items) == [Problem(card, b"b", "link", detail)]


@posix
@pytest.mark.parametrize("stepwise", [True, False])
def test_names_are_the_same_where_the_system_cannot_go_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stepwise: bool
) -> None:
    put(tmp_path, "a/b/1", "a/\udcff", ".hidden", "c")
    monkeypatch.setattr(room, "_STEPWISE", stepwise)
    assert found(tmp_path) == [b"a/b/1", b"a/\xff", b"c"]


@posix
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_one_problem(tmp_path: Path) -> None:
    put(tmp_path, "a/1", "b/1")
    (tmp_path / "a").chmod(0)
    try:
        items = list(scan(tmp_path))
    finally:
        (tmp_path / "a").chmod(0o700)
    assert items[0] == Problem(tmp_path, b"a", "unreadable", "Permission denied")
    assert [item.relative for item in items] == [b"a", b"b/1"]


def test_a_failing_card_gives_problems_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/1", "b/1", "c")
    listing, lstat = room._listing, os.lstat

    def broken_listing(card: Path, relative: bytes) -> list[bytes]:
        if relative == b"a/":
            raise OSError(5, "Input/output error")
        return listing(card, relative)

    def broken_lstat(path: bytes) -> os.stat_result:
        if path.endswith(b"c"):
            raise OSError(5, "Input/output error")
        return lstat(path)

    monkeypatch.setattr(room, "_listing", broken_listing)
    monkeypatch.setattr("trapsort.scan.os.lstat", broken_lstat)
    items = list(scan(tmp_path))
    monkeypatch.undo()
    assert items[0] == Problem(tmp_path, b"a", "unreadable", "Input/output error")
    assert items[1].relative == b"b/1"
    assert items[2] == Problem(tmp_path, b"c", "unreadable", "Input/output error")


def test_a_file_that_went_away_is_no_problem_but_a_card_that_did_ends_the_scan(
    tmp_path: Path,
) -> None:
    card = tmp_path / "card"
    put(card, "1", "2", "3")
    items = scan(card)
    assert next(items).relative == b"1"
    (card / "2").unlink()
    assert next(items).relative == b"3"

    items = scan(card)
    next(items)
    card.rename(tmp_path / "pulled out")
    card.mkdir()  # an empty mount point is left
    with pytest.raises(InputError) as caught:
        list(items)
    assert str(caught.value) == (
        f"{card} went away while it was read.\nInsert the card again and repeat the command."
    )


def test_a_file_as_root_gives_itself_even_a_hidden_one(tmp_path: Path) -> None:
    put(tmp_path, ".IMG.JPG")
    (photo,) = scan(tmp_path / ".IMG.JPG")
    assert (photo.card, photo.relative) == (tmp_path, b".IMG.JPG")


def test_a_relative_root_and_a_linked_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "card/1")
    (tmp_path / "link").symlink_to("card")
    monkeypatch.chdir(tmp_path)
    (photo,) = scan(Path("card/../card"))
    assert (photo.card, photo.relative) == (tmp_path / "card", b"1")
    (photo,) = scan(Path("link"))
    assert (photo.card, photo.relative) == (tmp_path / "link", b"1")


def test_a_card_is_named_without_detours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "card/1")
    monkeypatch.chdir(tmp_path)
    for root in ("card", "card/", "card/../card", "card/1"):
        assert card_of(Path(root)).root == tmp_path / "card"
    card = card_of(tmp_path / "card")
    assert card.is_there
    (tmp_path / "card").rename(tmp_path / "pulled out")
    assert not card.is_there


@posix
def test_a_volume_is_named_by_the_link_to_its_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1234-ABCD").symlink_to("/dev/null")
    (tmp_path / "0000-0000").symlink_to("/dev/not there any more")
    monkeypatch.setattr(room, "_VOLUMES", tmp_path)
    device = Path("/dev/null").stat().st_rdev
    assert volume_of(device) == "1234-ABCD"
    assert volume_of(device + 1) == ""
    monkeypatch.setattr(room, "_VOLUMES", tmp_path / "not there")
    assert volume_of(device) == ""


def test_a_missing_root_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        scan(tmp_path / "none")
    assert str(caught.value) == (
        f"{tmp_path / 'none'} does not exist.\nGive a folder or a file that exists."
    )
    (tmp_path / "dangling").symlink_to("none")
    with pytest.raises(InputError, match=r"dangling is a link to nothing\.\n"):
        check_root(tmp_path / "dangling")
    with pytest.raises(InputError, match=r"cannot be read: embedded null byte\.\n"):
        check_root(Path("a\0b"))


def test_deep_folders_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    depth = 600
    put(tmp_path, "/".join("d" * depth) + "/photo")
    (photo,) = scan(tmp_path)
    assert photo.relative.count(b"/") == depth


@pytest.mark.parametrize(
    ("relative", "shown"),
    [
        (b"DCIM/IMG_1.JPG", "DCIM/IMG_1.JPG"),
        ("L\u00f6we \u7345\u5b50.jpg".encode(), "L\u00f6we \u7345\u5b50.jpg"),
        (b"a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        (b"L\xf6we", "L\\xf6we"),
        ("gpj.\u202eexe".encode(), "gpj.\\u202eexe"),
    ],
)
def test_names_are_shown_safely(relative: bytes, shown: str) -> None:
    assert display_name(relative) == shown
    assert Problem(Path("/"), relative, "link", "").name == shown


@given(st.binary())
def test_any_name_is_printable(relative: bytes) -> None:
    shown = display_name(relative)
    assert shown.isprintable()
    shown.encode()  # no surrogates are left


_names = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
@settings(max_examples=60, deadline=None)
@given(names=st.sets(_names, min_size=1, max_size=8), folder=_names)
def test_every_name_is_found_once_and_in_byte_order(
    names: set[bytes], folder: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("card")
    below = root / os.fsdecode(b"f" + folder)
    below.mkdir()
    for name in names:
        (below / os.fsdecode(b"p" + name + b"g")).touch()
    items = list(scan(root))
    assert [item.relative for item in items] == sorted(
        b"f" + folder + b"/p" + name + b"g" for name in names
    )
    assert all(isinstance(item, Photo) and item.path.is_file() for item in items)


def test_every_reason_says_what_to_do() -> None:
    assert " ".join(REASONS) == (
        "empty not_an_image unsupported truncated too_large unreadable changed link special_file"
        " decode_failed no_memory fatal failed unclassified"
    )
    assert all(text.endswith(".") and text.isprintable() for text in REASONS.values())
