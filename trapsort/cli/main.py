"""The command `trapsort`: finds the sub-command, and turns what goes wrong into words."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

import trapsort
from trapsort.cli.options import shared_options
from trapsort.errors import TrapsortError

BUG = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
RECORDING = ("ingest", "watch")  # commands that work on when nobody reads what they print

# Name -> where the command lives, and its line in the list. Literal, so that `trapsort --help`
# imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "watch": ("trapsort.cli.watch:watch", "Take in what is there, then all that arrives."),
    "ingest": ("trapsort.cli.ingest:ingest", "Take in a card or folder once."),
    "web": ("trapsort.cli.web:web", "Review, correct and look around on a local page."),
    "classify": ("trapsort.cli.classify:classify", "Say what photos show, without a database."),
    "sightings": ("trapsort.cli.sightings:sightings", "List or count the sightings."),
    "survey": ("trapsort.cli.survey:survey", "Events, effort, rates, histories, activity."),
    "report": ("trapsort.cli.report:report", "Write reports: CSV, a nightly set, the survey."),
    "alerts": ("trapsort.cli.alerts:alerts", "Send, list or try the alerts."),
    "schedule": ("trapsort.cli.schedule:schedule", "Print what starts trapsort by itself."),
    "stations": ("trapsort.cli.stations:stations", "Import or list where the cameras stand."),
    "deployments": (
        "trapsort.cli.deployments:deployments",
        "Import or list which camera stood where and when.",
    ),
    "clock": ("trapsort.cli.clock:clock", "Correct a camera's clock, or list corrections."),
    "problems": ("trapsort.cli.problems:problems", "List the files that gave no sighting."),
    "audit": ("trapsort.cli.audit:audit", "Prove that nothing on a card was lost."),
    "archive": ("trapsort.cli.archive:archive", "Copy a card's photos by station and date."),
    "export": ("trapsort.cli.export:export", "Write files that other programs open."),
    "import": ("trapsort.cli.import_:import_", "Take in what others said of the photos."),
    "evaluate": ("trapsort.cli.evaluate:evaluate", "Measure the model on your labelled photos."),
    "explain": ("trapsort.cli.explain:explain", "Draw where in a photo the model looked."),
    "models": ("trapsort.cli.models:models", "List the models here and in the database."),
    "demo": ("trapsort.cli.demo:demo", "Draw a small synthetic card to try trapsort on."),
    "doctor": ("trapsort.cli.doctor:doctor", "Say what runs, what is wrong and what to do."),
    "completion": ("trapsort.cli.completion:completion", "Print the completion of a shell."),
}


class LazyCommands(click.Group):
    """A group that imports a command when it is asked for, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, or None."""
        if cmd_name not in COMMANDS:
            return None
        place, line = COMMANDS[cmd_name]
        module, attribute = place.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101  # COMMANDS is ours, and tested
        command.short_help = line
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from `COMMANDS` alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that had enough of a listing (`| head`) is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            if ctx.invoked_subcommand in RECORDING:  # their own lines end nothing: work.say
                raise RuntimeError("a pipe broke that was not the output") from error
            from trapsort.cli.work import discard

            discard(sys.stdout)
            return 0
        return result


@click.command(
    cls=LazyCommands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Options stand before or after the command. Each command has its own --help.",
)
@click.version_option(trapsort.__version__, message="%(prog)s %(version)s")
@shared_options
def cli() -> None:
    """Camera-trap cards in, sightings that a biologist can defend out."""


def _open_closed_streams() -> None:
    """Open to nothing what the caller closed (`>&-`): no database may become stdout."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # It stays open as long as Python runs, as the streams of `sys` do.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def _complain(message: str, hint: str = "") -> None:
    from trapsort.cli.listing import shown  # a file's name in it must not steer the terminal

    for line in f"trapsort: {message}\n{hint}".splitlines():
        click.echo(shown(line), err=True)


def _log_bug(error: Exception) -> str:
    """Append the traceback to the user's log file; return where it is, in words."""
    import time
    import traceback

    from trapsort.settings import log_path

    path = log_path()
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = f"{moment} trapsort {trapsort.__version__}, Python {sys.version.split()[0]}\n"
    text = head + "".join(traceback.format_exception(error)) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)
    except OSError:  # a full disk must not hide the first error
        click.echo(text, err=True)
        return "the traceback is above"
    return f"the traceback is in {path}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code (docs/reference/exit-codes.md)."""
    _open_closed_streams()
    try:
        result = cli.main(arguments, prog_name="trapsort", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except TrapsortError as error:
        _complain(error.message, error.hint)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        return INTERRUPTED
    except Exception as error:
        kind = type(error).__name__
        _complain(f"unexpected {kind}, which is a bug of trapsort; {_log_bug(error)}")
        return BUG
