"""The one place where settings merge: defaults < configuration file < environment < options.

A setting is a field of `Settings`; its key in the file is the field's name, its environment
variable `TRAPSORT_` and the name in capitals. An unknown key is an error, because a misspelt
`db` would otherwise write to the default database without a word.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from trapsort.alert_rules import AlertRule, parsed_rules
from trapsort.cluster_options import SlurmJobs, parsed_cluster, parsed_slurm
from trapsort.errors import SettingsError

PREFIX = "TRAPSORT_"
# Variables that are no settings: which file to read, and where the tests find reference
# photographs.
NOT_SETTINGS = (f"{PREFIX}CONFIG", f"{PREFIX}SHARED")
MAX_WORKERS = 1024


def config_path() -> Path:
    """Return where the user's configuration file is looked for."""
    from platformdirs import user_config_path

    return user_config_path("trapsort", appauthor=False) / "config.toml"


def log_path() -> Path:
    """Return the file that takes the traceback of an unexpected error."""
    from platformdirs import user_log_path

    return user_log_path("trapsort", appauthor=False) / "trapsort.log"


def pictures_path() -> Path:
    """Return the folder of kept pictures in the user's cache directory."""
    from platformdirs import user_cache_path

    return user_cache_path("trapsort", appauthor=False) / "thumbnails"


def default_database() -> str:
    """Return the URL of the database in the user's data directory."""
    from platformdirs import user_data_path

    return sqlite_url(user_data_path("trapsort", appauthor=False) / "trapsort.sqlite3")


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file; what SQLAlchemy (from 2.1 on) would unquote is quoted."""
    return f"sqlite:///{path.as_posix().replace('%', '%25').replace('?', '%3F')}"


def sqlite_file(url: str) -> Path | None:
    """Return the file that a database URL names, as SQLAlchemy reads it; None where it names none.

    None for a server and for a database in memory.
    """
    scheme, _, place = url.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return None
    name = unquote(place.removeprefix("/").partition("?")[0]).removeprefix("file:")
    return None if name in ("", ":memory:") else Path(name)


def cores() -> int:
    """Return how many cores this process may use, 1 or more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a command works with, once every source has been merged."""

    db: str = field(default_factory=default_database)
    """SQLAlchemy URL of the sightings database"""
    bundle: str | None = None
    """name or folder of a model bundle; the one that ships with trapsort when unset"""
    profile: Path | None = None
    """site profile: thresholds and temperature for the bundle, from `trapsort evaluate`"""
    taxon: str | None = None
    """RANK=NAME: species outside this taxon are taken for impossible"""
    graph_precision: str = "auto"
    """which graph of the bundle: single, int8, or auto, the fastest on this computer"""
    red_list: str = "iucn"
    """which mapping of labels to Red List categories"""
    verbosity: int = 0
    """-1 errors only, 0 warnings, 1 progress, 2 everything"""
    log_file: Path | None = None
    """file that also takes the log lines"""
    workers: int = field(default_factory=cores)
    """threads that decode and classify"""
    report_at: time | None = None
    """local time of day at which `watch` writes the nightly reports"""
    report_dir: Path | None = None
    """folder of the nightly reports"""
    station: str | None = None
    """station that newly taken-in cards belong to"""
    previews: bool = False
    """keep a picture of each photo while it is taken in, for the page when the card is gone"""
    cache_mb: int = 1024
    """megabytes that kept pictures may take; those not looked at for longest go first"""
    cluster: str | None = None
    """where `ingest` has photos decoded and classified: local:N, slurm or tcp://HOST:PORT"""
    slurm: SlurmJobs = field(default_factory=SlurmJobs)
    """table `[slurm]`: what each job of `--cluster slurm` is to be; configuration file only"""
    alerts: tuple[AlertRule, ...] = ()
    """`[[alerts]]` tables: what to alert for and where to, in the configuration file only"""


def _text(value: object, _base: Path) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise ValueError("some text")


def _path(value: object, base: Path) -> Path:
    if isinstance(value, str | Path) and str(value).strip():
        return base / Path(value).expanduser()
    raise ValueError("a path")


def _database(value: object, base: Path) -> str:
    if isinstance(value, str) and "://" in value:
        return value
    return sqlite_url(_path(value, base).absolute())


def _bundle(value: object, base: Path) -> str:
    """Take a name as it is, and anything that looks like a path from the base folder."""
    text = _text(value, base)
    separators = {"/", os.sep}
    return str(_path(text, base)) if any(mark in text for mark in separators) else text


def _taxon(value: object, base: Path) -> str:
    text = str(value)
    if all(part.strip() for part in text.partition("=")) and text.count("=") == 1:
        return _text(value, base)
    raise ValueError("RANK=NAME, like phylum=Chordata")


def _precision(value: object, _base: Path) -> str:
    if value not in ("auto", "single", "int8"):
        raise ValueError("auto, single or int8")
    return str(value)


def _whole(low: int, high: int) -> Callable[[object, Path], int]:
    def parse(value: object, _base: Path) -> int:
        expected = f"a whole number from {low} to {high}"
        try:
            number = int(value) if isinstance(value, int | str) else None
        except ValueError:
            number = None
        if number is None or isinstance(value, bool) or not low <= number <= high:
            raise ValueError(expected)
        return number

    return parse


def _yes_or_no(value: object, _base: Path) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    known = words.get(str(value).lower())
    if known is None:
        raise ValueError("true or false")
    return known


def _time(value: object, _base: Path) -> time:
    try:
        moment = value if isinstance(value, time) else time.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or moment != moment.replace(microsecond=0):
        raise ValueError("a time of day like 06:30")
    return moment


_PARSERS: dict[str, Callable[[object, Path], object]] = {
    "db": _database,
    "bundle": _bundle,
    "profile": _path,
    "taxon": _taxon,
    "graph_precision": _precision,
    "red_list": _text,
    "verbosity": _whole(-1, 2),
    "log_file": _path,
    "workers": _whole(1, MAX_WORKERS),
    "report_at": _time,
    "report_dir": _path,
    "station": _text,
    "previews": _yes_or_no,
    "cache_mb": _whole(1, 1_000_000),
    "cluster": parsed_cluster,
    "slurm": parsed_slurm,
    "alerts": parsed_rules,
}


def _parsed(values: Mapping[str, object], source: str, base: Path) -> dict[str, Any]:
    """Return the values of one source, checked; relative paths start at `base`.

    Raises:
        SettingsError: a key is unknown or a value cannot be used.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _PARSERS:
            near = difflib.get_close_matches(key, _PARSERS, n=1)
            guess = f"did you mean '{near[0]}'? " if near else ""
            raise SettingsError(
                f"unknown setting '{key}' in {source}",
                f"{guess}known settings: {', '.join(_PARSERS)}",
            )
        try:
            result[key] = _PARSERS[key](value, base)
        except ValueError as error:
            given = "" if key == "alerts" else f", not {value!r}"  # an address may hold a secret
            raise SettingsError(f"{key} in {source} must be {error}{given}") from None
    return result


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    return _parsed(values, str(path), path.absolute().parent)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    named = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and value
    }
    return _parsed(named, f"the environment ({PREFIX}...)", Path())


def merged(
    options: Mapping[str, object],
    *,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Settings:
    """Return the settings; `options` are those that the command line really gave.

    `config`, or else TRAPSORT_CONFIG, names a file that must exist; without either the user's own
    file is read where there is one. Nothing else is read, and nothing is written.

    Raises:
        SettingsError: a file is missing or damaged, a key unknown, a value of the wrong kind.
    """
    environment = os.environ if environment is None else environment
    named = config or environment.get(f"{PREFIX}CONFIG")
    path = Path(named) if named else config_path()
    values = _read_file(path) if named or path.is_file() else {}
    values |= _from_environment(environment)
    values |= _parsed(options, "the options", Path())
    return Settings(**values)
