"""The docs say what is: generated pages are current, and every shell block runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from trapsort.cli import work
from trapsort.pipeline import Progress

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
HAND_WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
NEEDS_PHOTOS = {"tutorial.md"}


@pytest.fixture
def transcript(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import transcript

    return transcript


def test_generated_pages_are_current() -> None:
    check = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "page", [p for p in HAND_WRITTEN if "```" in p.read_text()], ids=lambda p: p.name
)
def test_shell_blocks_run(
    page: Path, tmp_path: Path, transcript: ModuleType, request: pytest.FixtureRequest
) -> None:
    folder, tools = tmp_path / "here", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    if page.name in NEEDS_PHOTOS:
        cards = request.getfixturevalue("shared") / "cards"
        shutil.copytree(cards, folder / "cards", copy_function=shutil.copyfile)
    environment = transcript.prepare(tools)
    for block in transcript.blocks(page.read_text(encoding="utf-8")):
        where = f"{page.name}:{block.line}"
        if block.reason:
            continue
        if block.kind == "sh":
            code, output = transcript.run(block.text, folder, environment)
            assert code == 0, f"{where}: exit code {code}\n{output}"
            continue
        for step in transcript.steps(block.text):
            _, output = transcript.run(step.command, folder, environment)
            shown = f"{where}: $ {step.command}\nshown:\n{step.output}\nreal:\n{output}"
            assert transcript.matches(step.output, output), shown


def test_every_fence_of_a_shell_is_seen(transcript: ModuleType) -> None:
    for page in HAND_WRITTEN:
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^```(sh|shell|bash|console|zsh)\b", text, re.MULTILINE)
        assert len(fences) == len(list(transcript.blocks(text))), page


def test_readme_opens_with_the_two_commands(transcript: ModuleType) -> None:
    first = next(transcript.blocks((ROOT / "README.md").read_text(encoding="utf-8")))
    assert first.text == "make watch CARD=/path/of/the/card\nmake test\n"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_page_of_the_docs_is_in_the_index() -> None:
    docs = ROOT / "docs"
    linked = set(re.findall(r"\]\(([^)#]+)\)", (docs / "index.md").read_text(encoding="utf-8")))
    pages = {p.relative_to(docs).as_posix() for p in docs.rglob("*.md")} - {"index.md"}
    assert pages - linked == set()


def test_makefile_names_the_two_commands_and_says_what_it_needs() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on this machine")
    done = subprocess.run(
        [make, "--dry-run", "watch", "CARD=/a b"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
    )
    assert 'trapsort watch "/a b"' in done.stdout


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        ("4 files\n", "4 files\n", True),
        ("4 files\n", "5 files\n", False),
        ("... files\n", "4,812 files\n", True),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\nz\n", "a\nz\n", True),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("a  \n", "a\n", True),
        ("", "", True),
        ("", "a\n", False),
    ],
)
def test_matches(transcript: ModuleType, shown: str, real: str, same: bool) -> None:
    assert transcript.matches(shown, real) is same


def test_how_long_it_took_is_no_part_of_a_transcript(
    transcript: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(work, "LINE_EVERY_SECONDS", 0.0)
    lines = work._Lines(Path("/media/card"))
    lines.show(Progress(1_100, None))
    lines.show(Progress(1_100, 4_812))
    progress = tmp_path / "progress.txt"
    progress.write_text(capsys.readouterr().err)
    assert progress.read_text().count("\n") == 2
    script = f"cat '{progress}'; echo 'card: 4,812 files: 4,812 photos recorded'; cat '{progress}'"
    said = transcript.run(script, tmp_path, dict(os.environ))
    assert said == (0, "card: 4,812 files: 4,812 photos recorded\n")
