"""Run the shell blocks of a page, so that what the docs show is what happens.

python docs/transcript.py PAGE [--cards DIR]   runs PAGE's blocks and writes their real output

A ```sh block is a script that must succeed. A ```console block is a transcript: lines that begin
with `$ ` are commands, the others their output; `...` in an output line stands for any text, alone
on a line for any lines. A comment `<!-- not run: REASON -->` before a block leaves it out. The
blocks of a page run one after the other in one fresh folder with a home of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>.+?) -->\n+)?```(?P<kind>sh|console)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SECONDS = 300
PROGRESS = re.compile(r"^.+: [\d,]+(?: of [\d,]+)? files, [\d.]+/s.*\n", re.MULTILINE)
NOW = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")  # differs from run to run


@dataclass(frozen=True, slots=True)
class Block:
    """One shell block; `reason` says why it cannot be run, if it cannot."""

    kind: str
    text: str
    line: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a transcript with the output below it."""

    command: str
    output: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the shell blocks of a page in order."""
    for found in BLOCK.finditer(page):
        line = page.count("\n", 0, found.start("text")) + 1
        yield Block(found["kind"], found["text"], line, found["reason"])


def steps(text: str) -> list[Step]:
    """Return the commands of a transcript with their outputs."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return [Step(command, output) for command, output in zip(parts[1::2], parts[2::2], strict=True)]


def matches(shown: str, real: str) -> bool:
    """Tell whether real output is what a page shows; trailing spaces do not count."""
    pattern = ""
    for line in shown.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(map(re.escape, line.rstrip().split("..."))) + r"[ ]*\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in real.splitlines())) is not None


def prepare(folder: Path) -> dict[str, str]:
    """Return the environment of a page: this checkout's `trapsort`, and a home in `folder`."""
    programs = folder / "bin"
    programs.mkdir()
    script = programs / "trapsort"
    python = shlex.quote(sys.executable)
    script.write_text(f'#!/bin/sh\nexec {python} -m trapsort "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRAPSORT_", "XDG_"))}
    return clean | {
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }


def run(script: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Return the exit code of a shell script and what it printed, errors among it.

    But for lines of progress: only what takes long enough prints them.
    """
    done = subprocess.run(  # noqa: S603  # the script is ours, from a page of these docs
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, PROGRESS.sub("", done.stdout.decode("utf-8", "backslashreplace"))


def retold(page: str, folder: Path, environment: dict[str, str]) -> str:
    """Return the page with the real outputs where the shown ones do not match."""

    def block(found: re.Match[str]) -> str:
        if found["reason"]:
            return found[0]
        if found["kind"] == "sh":
            code, output = run(found["text"], folder, environment)
            if code:
                raise SystemExit(f"exit code {code} of:\n{found['text']}\n{output}")
            return found[0]
        text = ""
        for step in steps(found["text"]):
            _, output = run(step.command, folder, environment)
            kept = step.output if matches(step.output, output) else NOW.sub("...", output)
            text += f"$ {step.command}\n{kept}"
        return found[0].replace(found["text"], text)

    return BLOCK.sub(block, page)


def main() -> int:
    """Rewrite the outputs of one page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--cards", type=Path, help="folder that the page calls `cards`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        tools, folder = Path(name, "tools"), Path(name, "here")
        tools.mkdir()
        folder.mkdir()
        if options.cards:
            shutil.copytree(options.cards, folder / "cards", copy_function=shutil.copyfile)
        page = retold(options.page.read_text(encoding="utf-8"), folder, prepare(tools))
    options.page.write_text(page, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
