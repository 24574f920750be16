"""`python -m bench`: how fast trapsort is beside the published way, part by part."""

from __future__ import annotations

import copy
import functools
import io
import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bench.cluster import cluster
from bench.export import export
from bench.memory import memory
from bench.record import record
from bench.reduced import reduced
from bench.scale import scale
from bench.sizes import sizes
from bench.speed import speed
from bench.stages import stages_command
from bench.startup import startup
from bench.tables import Section
from bench.web import web
from bench.workshop import Workshop

SUITE = (speed, stages_command, sizes, memory, startup, scale)
"""What runs where no part is named."""


@click.group(chain=True, invoke_without_command=True)
@click.option(
    "--write",
    "page",
    metavar="PAGE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write the figures into this page of the docs as well, docs/performance.md.",
)
@click.option("--format", "shape", default="table", type=click.Choice(["table", "json"]))
@click.pass_context
def main(context: click.Context, page: Path | None, shape: str) -> None:
    """Measure how fast trapsort is: the parts that are named, in one run.

    Without a part: speed, stages, sizes, memory, startup and scale.
    """
    stack = context.with_resource(ExitStack())
    context.obj = Workshop(stack, is_json=shape == "json", page=page)
    if context.invoked_subcommand is None:
        for part in SUITE:
            context.invoke(main.commands[str(part.name)])


@main.result_callback()
@click.pass_context
def finish(context: click.Context, /, *_: object, **__: object) -> None:
    """Say what all was measured on."""
    context.obj.finish()


class Copied(io.StringIO):
    """A file that keeps what is written to it, and hands it on."""

    def __init__(self, to: Any) -> None:
        super().__init__()
        self._to = to

    def write(self, text: str) -> int:
        """Write, and flush at each line."""
        self._to.write(text)
        self._to.flush()
        return super().write(text)


def asked(context: click.Context) -> tuple[str, ...]:
    """Return the options that were given on the command line; of a path its name alone."""
    found = []
    for option in context.command.params:
        if context.get_parameter_source(str(option.name)) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[str(option.name)]
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, bool):
                found.append((option.opts if each else option.secondary_opts)[0])
            else:
                found += [option.opts[0], each.name if isinstance(each, Path) else str(each)]
    return tuple(found)


def add(command: click.Command) -> None:
    """Make a command a part of the suite; what it prints itself becomes its section."""
    inner, name = command.callback, str(command.name)
    if inner is None:
        raise ValueError(f"{name} does nothing")

    @functools.wraps(inner)
    def run(*arguments: Any, **options: Any) -> None:
        context = click.get_current_context()
        workshop = context.find_root().obj
        copied = Copied(sys.stderr if workshop.is_json else sys.stdout)
        with redirect_stdout(copied):
            section = inner(*arguments, **options)
        section = section or Section(name, printed=copied.getvalue())
        workshop.take(replace(section, options=asked(context)))

    part = copy.copy(command)
    part.callback = run
    main.add_command(part)


for each in (*SUITE, web, export, record, cluster, reduced):
    add(each)


if __name__ == "__main__":
    main()
