"""The options that every command shares, before or after its name, and what they set up."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from trapsort.settings import Settings
    from trapsort.store import Store

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])

_GIVEN = "trapsort.options given"  # key in Context.meta, which a group shares with its commands
LEVELS = {-1: "ERROR", 0: "WARNING", 1: "INFO", 2: "DEBUG"}


def _given(context: click.Context) -> dict[str, object]:
    options: dict[str, object] = context.meta.setdefault(_GIVEN, {})
    return options


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Note a setting that was really given; the one after the command's name wins."""
    if value is not None and parameter.name is not None:
        _given(context)[parameter.name] = value


def _count(context: click.Context, parameter: click.Parameter, value: int) -> None:
    if value:
        given = _given(context)
        change = value if parameter.name == "verbose" else -value
        before = given.get("verbosity", 0)
        assert isinstance(before, int)  # noqa: S101  # only this function writes it
        given["verbosity"] = max(-1, min(2, before + change))


def setting_option(*names: str, help: str, metavar: str | None = None) -> Callable[[F], F]:
    """Return an option that overrides one setting instead of being an argument.

    The option's name in Python is the setting's: `setting_option("--workers", help=...)`,
    `setting_option("--redlist", "red_list", help=...)`. Its value is checked with the settings.
    """
    return click.option(*names, help=help, metavar=metavar, expose_value=False, callback=_keep)


_SHARED = (
    setting_option("--db", metavar="URL", help="Sightings database: a URL or a SQLite file."),
    click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_keep,
        help="Configuration file (TOML).",
    ),
    setting_option("--bundle", metavar="NAME|DIR", help="Model bundle to classify with."),
    click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_count,
        help="Say more; twice for everything.",
    ),
    click.option(
        "-q",
        "--quiet",
        count=True,
        expose_value=False,
        callback=_count,
        help="Say errors only.",
    ),
    setting_option("--log-file", metavar="FILE", help="Also write the log to this file."),
)


def model_options(function: F) -> F:
    """Add --profile and --taxon, which make another model of the bundle."""
    for option in (
        setting_option("--taxon", metavar="RANK=NAME", help="Only species of this taxon occur."),
        setting_option("--profile", metavar="FILE", help="Site profile for the bundle (TOML)."),
    ):
        function = option(function)
    return function


def profile_options(function: F) -> F:
    """Add --profile, --taxon and --graph-precision: all that says how photos are classified."""
    precision = setting_option(
        "--graph-precision",
        metavar="auto|single|int8",
        help="Which of the bundle's graphs; auto takes the fastest here.",
    )
    return model_options(precision(function))


def redlist_option(function: F) -> F:
    """Add --redlist, which overrides the setting `red_list`."""
    return setting_option(
        "--redlist",
        "red_list",
        metavar="iucn|published",
        help="Red List categories: today's, or one a label as published.",
    )(function)


def previews_option(function: F) -> F:
    """Add --previews and --no-previews, which override the setting `previews`."""
    return click.option(
        "--previews/--no-previews",
        default=None,
        expose_value=False,
        callback=_keep,
        help="Keep a picture of each photo for the page, for when its card is gone.",
    )(function)


def shared_options(function: F) -> F:
    """Add --db, --config, --bundle, -v, -q and --log-file."""
    for option in reversed(_SHARED):
        function = option(function)
    return function


def current_settings() -> Settings:
    """Return the settings of the running command, merged from every source."""
    from trapsort.settings import merged

    options = dict(_given(click.get_current_context()))
    config = options.pop("config", None)
    return merged(options, config=config if isinstance(config, Path) else None)


def current_config() -> Path | None:
    """Return the configuration file that the running command reads, if any."""
    import os

    from trapsort.settings import PREFIX, config_path

    named = _given(click.get_current_context()).get("config") or os.environ.get(f"{PREFIX}CONFIG")
    path = Path(str(named)) if named else config_path()
    return path if named or path.is_file() else None


def common_options(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Give a command the shared options and, as its first argument, the merged settings."""

    @functools.wraps(command)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> R:
        settings = current_settings()
        _start_log(settings)
        return command(settings, *args, **kwargs)

    return shared_options(with_settings)


def _start_log(settings: Settings) -> None:
    """Send log lines to stderr, and to the log file where one is set, until the command ends."""
    import logging

    from trapsort.errors import SettingsError

    logger = logging.getLogger("trapsort")
    console = logging.StreamHandler()
    console.setLevel(LEVELS[settings.verbosity])
    console.setFormatter(logging.Formatter("trapsort: %(message)s"))
    handlers: list[logging.Handler] = [console]
    if settings.log_file is not None:
        try:
            settings.log_file.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(settings.log_file, encoding="utf-8")
        except OSError as error:
            message = f"cannot write the log file {settings.log_file}: {error.strerror}"
            raise SettingsError(message) from error
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)

    def stop() -> None:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()

    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel("DEBUG" if settings.verbosity > 1 else "INFO")
    click.get_current_context().call_on_close(stop)


def missing_database(url: str) -> Path | None:
    """Return the SQLite file that a URL names, if it is not there."""
    from trapsort.settings import sqlite_file

    path = sqlite_file(url)
    return None if path is None or path.is_file() else path


def open_existing(url: str) -> Store:
    """Open a database that must be there: a misspelt path must not look like an empty record.

    Raises:
        DatabaseError: there is no such file, or it cannot be opened.
    """
    from trapsort.errors import DatabaseError
    from trapsort.store import Store

    if path := missing_database(url):
        raise DatabaseError(
            f"there is no database at {path} yet",
            "take in a card first (trapsort ingest DIR), or name another one with --db",
        )
    return Store.open(url)


def _date(
    _context: click.Context, _parameter: click.Parameter, value: datetime | None
) -> date | None:
    return None if value is None else value.date()


def day_option(*names: str, help: str) -> Callable[[F], F]:
    """Return an option that takes a date and gives a `date`, or None."""
    day = click.DateTime(formats=("%Y-%m-%d",))
    return click.option(*names, type=day, callback=_date, metavar="YYYY-MM-DD", help=help)
