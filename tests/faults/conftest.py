"""What the tests of the harness share; made once, for feeding is the same for all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.kills import measured_start_up
from tests.faults.program import PROJECT
from tests.faults.supply import Supply
from tests.faults.sweep import Sweep, missing
from tests.toy import write_bundle

SEED = "1"

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]  # no process groups, no SIGSTOP, no pipes


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("faults") / "toy")


@pytest.fixture(scope="session")
def supply(tmp_path_factory: pytest.TempPathFactory) -> Supply:
    """Real photographs where there are any, drawn ones elsewhere: no test here needs the former."""
    shared = Path(os.environ.get("TRAPSORT_SHARED", PROJECT.parent / "shared")) / "data"
    there = (shared / "species11").is_dir()
    return Supply(shared if there else None, tmp_path_factory.mktemp("faults"), SEED)


@pytest.fixture(scope="session")
def start_up(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    return measured_start_up(bundle, tmp_path_factory.mktemp("faults") / "start-up")


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory, supply: Supply, bundle: Path) -> Sweep:
    if reason := missing():
        pytest.skip(reason)
    return Sweep(tmp_path_factory.mktemp("sweep").resolve(), supply=supply, bundle=bundle)
