"""Many files in one folder: flat memory, in a process of its own (see tests/scale.py)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures with Linux's /proc")


def scale(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.scale", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_memory_does_not_grow_with_a_folder_of_20_000_files() -> None:
    done = scale("20000")
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "20,000 files: 19,600 photos recorded, 0 seen before, 400 problems"
    assert re.fullmatch(
        r"20,000 files in \d+ s, \d+/s; memory \d+ MB at the start, \d+ MB at the end, "
        r"\d+ bytes more a file",
        second,
    )
    assert done.returncode == 0, second


def test_decoding_and_classifying_leave_nothing_either() -> None:
    done = scale("1000", "--whole")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_leak_would_be_seen() -> None:
    done = scale("3000", "--leak", "4096")
    assert done.returncode == 1
    assert done.stdout.startswith("3,000 files: 2,940 photos recorded, 0 seen before, 60 problems")
