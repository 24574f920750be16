"""What `cluster` and the table `[slurm]` in the configuration file may say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMS = "local:N, slurm, or tcp://HOST:PORT of a Dask scheduler"
MAX_LOCAL = 1024
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^\s/]+:\d+/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJobs:
    """Jobs that `--cluster slurm` asks SLURM for; each runs Dask workers.

    jobs: how many are kept in the queue or running; cores, memory ("16GB"), walltime
    ("04:00:00"), queue (partition), account: of each job, '' leaves the site's default; interface:
    the network card that coordinator and workers share ("ib0"); directives: further #SBATCH lines;
    prologue: shell lines before the worker starts; python: the interpreter there, '' for that of
    the coordinator; folder: where the jobs' logs go, '' for no logs.
    """

    jobs: int = 1
    cores: int = 8
    memory: str = "8GB"
    walltime: str = "04:00:00"
    queue: str = ""
    account: str = ""
    interface: str = ""
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    python: str = ""
    folder: str = ""


def parsed_cluster(value: object, _base: Path) -> str:
    """Check where a cluster is; raises `ValueError` saying what must be."""
    text = value.strip() if isinstance(value, str) else ""
    local = text.removeprefix("local:")
    is_local = text != local and local.isascii() and local.isdigit()
    if text == "slurm" or _ADDRESS.fullmatch(text):
        return text.rstrip("/")
    if is_local and 1 <= int(local) <= MAX_LOCAL:
        return text
    raise ValueError(FORMS)


def parsed_slurm(value: object, _base: Path) -> SlurmJobs:
    """Read the table `[slurm]`; raises `ValueError` saying what must be."""
    if isinstance(value, SlurmJobs):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("a table [slurm] in the configuration file")
    fields: dict[str, Any] = {}
    for key, each in value.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            guess = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"a table of {', '.join(_KEYS)}, without {key!r}{guess}")
        try:
            fields[key] = _KEYS[key](each)
        except ValueError as error:
            raise ValueError(f"a table in which {key} is {error}") from None
    return SlurmJobs(**fields)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000:
        raise ValueError("a whole number from 1")
    return value


def _line(value: object) -> str:
    if not isinstance(value, str) or "\n" in value:
        raise ValueError("one line of text")
    return value.strip()


def _memory(value: object) -> str:
    text = _line(value)
    if not re.fullmatch(r"\d+ ?([KMGT]i?B|B)?", text):
        raise ValueError('an amount of memory like "16GB"')
    return text


def _walltime(value: object) -> str:
    text = _line(value)
    if not re.fullmatch(r"(\d+-)?\d{1,2}(:\d{2}){0,2}|\d+", text):
        raise ValueError('a time like "04:00:00"')
    return text


def _lines(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of lines")
    return tuple(_line(each) for each in value)


_KEYS: dict[str, Callable[[object], object]] = {
    "jobs": _count,
    "cores": _count,
    "memory": _memory,
    "walltime": _walltime,
    "queue": _line,
    "account": _line,
    "interface": _line,
    "directives": _lines,
    "prologue": _lines,
    "python": _line,
    "folder": _line,
}
