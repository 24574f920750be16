"""cards: a folder that holds DCIM, near enough to where one looks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trapsort.cards import CARD_LEVELS, find_cards


def found(place: Path, unlisted: list[tuple[str, int | None]] | None = None) -> list[str]:
    def note(folder: Path, error: OSError) -> None:
        assert unlisted is not None, f"cannot list {folder}"
        unlisted.append((folder.name, error.errno))

    return [os.fspath(card.relative_to(place)) for card in find_cards(place, unlisted=note)]


def test_cards_are_folders_with_dcim_in_path_order(tmp_path: Path) -> None:
    for name in ("b/DCIM/100", "a/x/dcim", "a/y/DCIM", "c/notes", "c/DCIM.bak"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "DCIM").write_bytes(b"a file")
    assert found(tmp_path) == ["a/x", "a/y", "b"]
    assert found(tmp_path / "b") == ["."]


def test_no_card_is_looked_for_too_deep_in_a_card_in_hidden_folders_or_behind_links(
    tmp_path: Path,
) -> None:
    assert CARD_LEVELS == 3
    for name in ("1/2/3/DCIM", "1/2/x/4/DCIM", "card/DCIM", "card/old/DCIM", ".trash/DCIM"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "card", target_is_directory=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "DCIM").symlink_to(tmp_path / "card" / "DCIM", target_is_directory=True)
    assert found(tmp_path) == ["1/2/3", "card"]


def test_a_folder_that_cannot_be_listed_hides_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/DCIM", "bad/DCIM", "c/DCIM"):
        (tmp_path / name).mkdir(parents=True)
    scandir = os.scandir

    def failing(folder: Path) -> object:
        if folder.name == "bad":
            raise OSError(errno.EIO, "Input/output error")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", failing)
    unlisted: list[tuple[str, int | None]] = []
    assert found(tmp_path, unlisted) == ["a", "c"]
    assert found(tmp_path / "nowhere", unlisted) == []
    assert unlisted == [("bad", errno.EIO), ("nowhere", errno.ENOENT)]
