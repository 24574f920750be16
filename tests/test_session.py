"""ONNX Runtime, as trapsort uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.toy import write_bundle

OPEN = """
import sys
from trapsort.bundle import load_bundle
from trapsort.session import open_session
print(open_session(load_bundle(sys.argv[1])).provider)
"""


def test_a_run_leaves_nothing_in_the_home_of_the_user(tmp_path: Path) -> None:
    bundle, home = write_bundle(tmp_path / "toy"), tmp_path / "empty"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_"))}
    run = subprocess.run(
        [sys.executable, "-c", OPEN, str(bundle)],
        env={**kept, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.endswith("ExecutionProvider\n")
    assert list(home.rglob("*")) == []
