"""The record behind the page, made once in a process and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.web.site import Browser, Site, make


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make(tmp_path_factory.mktemp("site"))


@pytest.fixture
def site(_drawn: Site, tmp_path: Path) -> Site:
    """A record of five photos and a problem; its card is shared and may not be changed."""
    file = tmp_path / "x.sqlite3"
    shutil.copy(_drawn.folder / "x.sqlite3", file)
    return replace(
        _drawn, folder=tmp_path, url=f"sqlite:///{file.as_posix()}", opened=[], stopped=[]
    )


@pytest.fixture
def browser(site: Site) -> Iterator[Browser]:
    with site.browser() as somebody:
        yield somebody
