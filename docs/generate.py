"""Write the reference pages that come from the code; `--check` fails where one is out of date.

python docs/generate.py [--check]
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sqlalchemy import Column

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout's own trapsort, whatever else is installed

REFERENCE = ROOT / "docs" / "reference"
WIDTH = 88
NOTE = "<!-- Written by `make docs` from the code. Do not edit. -->\n"


def cli_page() -> str:
    """Return `--help` of trapsort and of every command, at a fixed width."""
    from trapsort.cli.main import cli

    def help_text(command: click.Command, name: str, parent: click.Context | None) -> str:
        settings = {**command.context_settings, "terminal_width": WIDTH}
        context = click.Context(command, info_name=name, parent=parent, **settings)
        return command.get_help(context)

    top = click.Context(cli, info_name="trapsort", **cli.context_settings)
    parts = [f"# Commands\n\n{NOTE}", _section("trapsort", help_text(cli, "trapsort", None))]
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        if command is None:
            raise LookupError(f"no command {name}")
        parts.append(_section(f"trapsort {name}", help_text(command, name, top)))
        if isinstance(command, click.Group):
            group = click.Context(command, info_name=name, parent=top)
            parts += [
                _section(f"trapsort {name} {each}", help_text(command.commands[each], each, group))
                for each in command.list_commands(group)
            ]
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    body = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{body}\n```\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def columns_page() -> str:
    """Return the columns of every report and of every table of the database."""
    from trapsort.reports import REPORTS
    from trapsort.store.tables import METADATA, sightings

    parts = [f"# Columns\n\n{NOTE}", "# Reports\n"]
    for name, report in REPORTS.items():
        meanings = ((f"`{column}`", meaning) for column, meaning in report.COLUMNS.items())
        parts.append(f"## {name}\n\n{_table(('column', 'what it holds'), meanings)}")
    parts.append("# Database\n\nTimes that trapsort itself writes are UTC.\n")
    for table in [sightings, *sorted(METADATA.tables.values(), key=lambda each: each.name)]:
        kind = " (view)" if table is sightings else ""
        columns = [
            (f"`{column.name}`", str(column.type), _constraint(column, view=table is sightings))
            for column in table.columns
        ]
        parts.append(f"## {table.name}{kind}\n\n{_table(('column', 'type', ''), columns)}")
    return "\n".join(parts)


def _constraint(column: Column[Any], *, view: bool) -> str:
    targets = ", ".join(f"`{key.target_fullname}`" for key in column.foreign_keys)
    words = ["key" if column.primary_key else "", "" if column.nullable or view else "never null"]
    return ", ".join(filter(None, [*words, f"of {targets}" if targets else ""]))


def settings_page() -> str:
    """Return every setting with its environment variable and meaning."""
    from trapsort.settings import PREFIX, Settings

    source = inspect.getsource(Settings)
    meanings = dict(re.findall(r'^    (\w+):.*\n    """(.*?)"""', source, re.MULTILINE))
    rows = (
        (f"`{each.name}`", f"`{PREFIX}{each.name.upper()}`", meanings[each.name])
        for each in dataclasses.fields(Settings)
    )
    intro = """
A later source wins over an earlier one: defaults, the configuration file, the environment,
the options of the command. The file is TOML, with the keys below at its top level. It is the one
that `--config` or `TRAPSORT_CONFIG` names, else `config.toml` in the user's configuration folder.
Relative paths in it start at its own folder. An unknown key, in the file or behind `TRAPSORT_` in
the environment, is an error; an empty variable counts as not set.
"""
    return f"# Settings\n\n{NOTE}{intro}\n{_table(('key', 'environment', 'meaning'), rows)}"


def problems_page() -> str:
    """Return every reason for which a file can give no sighting, and what to do."""
    from trapsort.scan import REASONS

    rows = ((f"`{reason}`", advice) for reason, advice in REASONS.items())
    return f"# Problems\n\n{NOTE}\n{_table(('reason', 'what to do'), rows)}"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "columns.md": columns_page,
    "problems.md": problems_page,
    "settings.md": settings_page,
}


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or with --check name those that differ; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    os.environ.pop("COLUMNS", None)  # click would wrap to the terminal of whoever runs this
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8", newline="\n")
    for name in stale:
        print(f"docs/reference/{name} {'is out of date; run: make docs' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
