"""Fixtures that every test may use: the shared photographs, a database and a drawn card."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from tests.postgres import Server
    from trapsort.store import Store

# Where a server is needed, a missing one is a failure; read here, as tests see no such variable.
NEEDS_POSTGRESQL = "TRAPSORT_NEEDS_POSTGRESQL" in os.environ
PROJECT = Path(__file__).resolve().parent.parent


# Folders and files whose tests take longest, the slowest first.
SLOWEST = """
    training test_docs.py faults web test_badfiles.py test_pipeline.py test_watch.py test_daemon.py
    test_cluster.py test_commands.py test_store.py test_decode.py test_scale.py test_bench.py
    test_writers.py test_watching.py test_wheel.py
"""
SLOW = SLOWEST.split()

if "PYTEST_XDIST_WORKER" in os.environ:  # a core has one process of tests: more threads only wait
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest, so that no process ends minutes after the others."""

    def rank(item: pytest.Item) -> int:
        parts = item.path.relative_to(PROJECT).parts
        return min((SLOW.index(part) for part in parts if part in SLOW), default=len(SLOW))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the database and settings of the person who runs it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    for name in [name for name in os.environ if name.startswith("TRAPSORT_")]:
        if name != "TRAPSORT_SHARED":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs and reference results; skips where there is none."""
    folder = Path(os.environ.get("TRAPSORT_SHARED", PROJECT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no reference photographs at {folder}; set TRAPSORT_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A throw-away PostgreSQL server; skips where there is none to be found."""
    try:
        from tests import postgres
    except ImportError as error:
        _without_server(f"no driver for PostgreSQL: {error}; install trapsort[postgres]")
    programs = postgres.programs()
    if programs is None:
        _without_server("no PostgreSQL server; install Debian's postgresql or put initdb into PATH")
    with postgres.running(programs) as running:
        yield running


def _without_server(why: str) -> NoReturn:
    if NEEDS_POSTGRESQL:
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty record: a test that takes it runs on a file and on a server."""
    if request.param == "sqlite":
        return f"sqlite:///{(tmp_path / 'sightings.sqlite3').as_posix()}"
    server: Server = request.getfixturevalue("server")
    return server.record()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A record without photos, on a file and on a server."""
    from trapsort.store import Store

    with Store.open(url, busy_seconds=5) as opened:
        yield opened
