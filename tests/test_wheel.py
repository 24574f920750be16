"""The wheel holds what the field needs, and works without the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
BUNDLES = sorted(path.parent.name for path in (ROOT / "exports").glob("*/bundle.json"))
SOURCES = ("trapsort", "exports", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel, built from a copy of the checkout, was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "installed"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            clean = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=clean)
        else:
            shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*build, str(source)], check=True, cwd=folder)
    (wheel,) = folder.glob("trapsort-*.whl")
    subprocess.run([*pip, "install", *offline, "--target", str(target), str(wheel)], check=True)
    shutil.rmtree(source)
    return target / "trapsort"


def test_the_wheel_holds_data_migrations_and_every_bundle(installed: Path) -> None:
    assert (installed / "data" / "redlist.csv").is_file()
    revisions = ROOT / "trapsort" / "store" / "migrations" / "versions"
    for path in revisions.glob("*.py"):
        assert (installed / path.relative_to(ROOT / "trapsort")).is_file()
    for name in BUNDLES:
        for path in (ROOT / "exports" / name).iterdir():
            assert (installed / "exports" / name / path.name).read_bytes() == path.read_bytes()


def test_the_installed_wheel_classifies_with_its_own_bundle(
    installed: Path, tmp_path: Path
) -> None:
    if not BUNDLES:
        pytest.skip("exports/ holds no bundle yet")
    Image.new("RGB", (640, 480), (90, 110, 80)).save(tmp_path / "photo.jpg")

    def trapsort(*arguments: str) -> list[dict[str, object]]:
        done = subprocess.run(
            [sys.executable, "-m", "trapsort", *arguments, "--format", "jsonl"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    (said,) = trapsort("classify", "photo.jpg")
    assert Path(str(said["path"])).name == "photo.jpg"
    assert said["model"] in BUNDLES
    assert (said["label"] is None) is (said["reason"] is not None)
    used = [model["bundle"] for model in trapsort("models")]
    assert used == [str(installed / "exports" / name) for name in BUNDLES]
