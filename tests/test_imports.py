"""The import order of the rooms is the data flow, and each heavy library has one home."""

from __future__ import annotations

import ast
import configparser
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trapsort.store import Store

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "trapsort"

# A room imports only rooms before it.
FLOW = """
    errors abstentions alert_rules cluster_options settings mounts urls scan fingerprint near exif
    memory resample jpeg decode bundle scores session ensemble profile explain labelled measures
    evaluate thresholds redlist blur utm moments store deployments survey lock in_hand examine
    workers classify cluster pipeline audit archive cards changes watch daemon doctor reports
    interchange alerts schedule web cli
"""
ORDER = FLOW.split()
# `demo` stands beside the flow: it draws photos and may know nothing of what becomes of them.
ALLOWED = {"demo": {"errors"}, "__main__": {"cli"}, "__init__": set()}

# Library -> the only rooms that import it.
HOMES = {
    "alembic": {"store"},
    "astral": {"survey"},
    "fastapi": {"web"},
    "pydantic": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "cykooz_resizer": {"resample"},
    "dask": {"cluster"},
    "dask_jobqueue": {"cluster"},
    "distributed": {"cluster"},
    "fsspec": {"urls"},
    "imagehash": {"fingerprint"},
    "onnxruntime": {"session"},
    "pandas": {"survey", "reports", "interchange"},
    "pillow_heif": {"decode"},
    "rich": {"cli"},
    "scipy": {"survey"},
    "simplejpeg": {"jpeg"},
    "sqlalchemy": {"store"},
    "watchdog": {"changes"},
    "jinja2": {"reports", "web"},
    "matplotlib": {"reports"},
    "xlsxwriter": {"interchange", "reports"},
}
NEVER = {"tensorflow", "keras", "sklearn", "tf2onnx", "torch", "pickle", "training"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every module that a file imports, also inside functions, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            if node.module == "trapsort":
                yield from ((f"trapsort.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module or "", node.lineno


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_room_imports_only_rooms_before_it(path: Path) -> None:
    here = room(path)
    before = ALLOWED[here] if here in ALLOWED else {*ORDER[: ORDER.index(here)], here}
    if here == "cli":
        before.add("demo")
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] == "trapsort" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] in before, f"{path}:{line}: {here} may not import {name}"
        assert parts[0] not in NEVER, f"{path}:{line}: {name} has no place in the field tool"
        homes = HOMES.get(parts[0])
        assert homes is None or here in homes, f"{path}:{line}: {name} belongs to {homes}"


def test_every_room_has_its_place() -> None:
    rooms = {room(path) for path in MODULES}
    assert rooms - {*ORDER, *ALLOWED} == set()


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules in a fresh Python after some code."""
    report = "; import json, sys; sys.stdout.flush(); print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


HEAVY = {*HOMES, *NEVER, "numpy", "PIL", "logging", "platformdirs"} - {"training", "pickle"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["-h"]])
def test_help_loads_click_and_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_after(f"from trapsort.cli.main import main; main({arguments!r})")
    assert "click" in loaded
    assert loaded & HEAVY == set()


def test_help_of_each_command_loads_nothing_heavy() -> None:
    run = "from trapsort.cli.main import main, COMMANDS; "
    loaded = loaded_after(run + "[main([name, '--help']) for name in COMMANDS]")
    assert loaded & (HEAVY - {"logging"}) == set()


def test_a_listing_loads_the_database_and_nothing_else_that_is_heavy(tmp_path: Path) -> None:
    record = tmp_path / "record.sqlite3"
    with Store.open(f"sqlite:///{record}"):
        pass
    asked = ["sightings", "--db", str(record), "--species", "unknown", "--reason", "blank"]
    loaded = loaded_after(
        f"from trapsort.cli.main import main; main({[*asked, '--format', 'csv']!r})"
    )
    assert loaded & (HEAVY - {"logging", "platformdirs"}) == {"sqlalchemy"}


def test_the_source_archive_holds_every_folder_of_python() -> None:
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    grafted = {line.split()[1] for line in lines if line.startswith("graft ")}
    folders = {path.parent.name for path in ROOT.glob("*/*.py")} - {"trapsort"}
    assert folders - {"build", "dist"} <= grafted


def test_setup_lists_every_package_and_a_marker_keeps_one_onnxruntime() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(setup["options"]["packages"].split())
    folders = {path.parent.relative_to(ROOT) for path in MODULES}
    assert listed == {".".join(folder.parts) for folder in folders} | {"trapsort.exports"}

    from packaging.requirements import Requirement

    lines = setup["options"]["install_requires"].strip().splitlines()
    runtimes = [r for r in map(Requirement, lines) if r.name.startswith("onnxruntime")]
    machines = [
        ("linux", "x86_64", "onnxruntime-gpu"),
        ("win32", "AMD64", "onnxruntime-gpu"),
        ("linux", "aarch64", "onnxruntime"),
        ("win32", "ARM64", "onnxruntime"),
        ("darwin", "arm64", "onnxruntime"),
        ("darwin", "x86_64", "onnxruntime"),
    ]
    for system, machine, expected in machines:
        here = {"sys_platform": system, "platform_machine": machine}
        chosen = [r.name for r in runtimes if r.marker and r.marker.evaluate(here)]
        assert chosen == [expected], here
