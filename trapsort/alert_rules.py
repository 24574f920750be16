"""What `[[alerts]]` in the configuration file may say: what to alert for, and where to."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

IUCN_LEVELS = ("LC", "NT", "VU", "EN", "CR", "EW", "EX")  # least to most threatened
MINUTES = 30
PER_DAY = 20
TLS_PORT, SUBMISSION_PORT = 465, 587


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """A mail server, and the letter's sender and readers.

    Port 465 speaks TLS from its first byte; elsewhere `starttls` asks for it. The password is in
    the environment variable `password_env` when a letter is sent, never in a file.
    """

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = SUBMISSION_PORT
    starttls: bool = True
    user: str = ""
    password_env: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One `[[alerts]]` table; exactly one of command, webhook and smtp is set.

    `species` are labels or scientific names, `iucn_at_least` one of `IUCN_LEVELS`, which the most
    threatened end of a label's range must reach; where both are given both must hold. `people`
    asks for photos of people as well. `minutes` is the gap after which a sighting is an event of
    its own, `per_day` how many alerts go out a day before the rest goes into a digest, `precision`
    degrees (0: exact; None: by category).
    """

    name: str
    species: tuple[str, ...] = ()
    iucn_at_least: str | None = None
    people: bool = False
    min_probability: float = 0.0
    station: tuple[str, ...] = ()
    minutes: float = MINUTES
    per_day: int = PER_DAY
    precision: float | None = None
    attach: bool = False
    command: tuple[str, ...] = ()
    webhook: str = ""
    smtp: Smtp | None = None

    @property
    def where_to(self) -> str:
        """'command notify', 'webhook https://host' or 'smtp host:587': no secret of an address."""
        if self.smtp is not None:
            return f"smtp {self.smtp.host}:{self.smtp.port}"
        if self.webhook:
            parts = urlsplit(self.webhook)
            return f"webhook {parts.scheme}://{parts.hostname}"
        return f"command {Path(self.command[0]).name}"


def parsed_rules(value: object, base: Path) -> tuple[AlertRule, ...]:
    """Read the `[[alerts]]` tables; a program named by a path is looked for from `base`.

    Raises:
        ValueError: a key is unknown or missing, or a value cannot be used; says what must be, and
            nothing of what was given, which may hold a secret.
    """
    if isinstance(value, tuple) and all(isinstance(each, AlertRule) for each in value):
        return value
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("[[alerts]] tables in the configuration file")
    rules = tuple(_rule(table, number, base) for number, table in enumerate(value, 1))
    names = [rule.name for rule in rules]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"tables with a name each (there are two of {twice[0]!r})")
    return rules


def _rule(table: Mapping[str, object], number: int, base: Path) -> AlertRule:
    name = table.get("name")
    try:
        values = _checked(table, _RULE)
        if "name" not in values:
            raise ValueError("with a name")
        if not (values.get("species") or values.get("iucn_at_least") or values.get("people")):
            raise ValueError("that say what for: species, iucn_at_least or people")
        if len({"command", "webhook", "smtp"} & values.keys()) != 1:
            raise ValueError("with one of command, webhook and smtp")
    except ValueError as error:
        where = repr(name) if isinstance(name, str) else f"table {number}"
        raise ValueError(f"tables {error} (see {where})") from None
    command = values.get("command", ())
    if command and os.path.basename(command[0]) != command[0]:  # noqa: PTH119  # as it stands there
        values["command"] = (str(base / Path(command[0]).expanduser()), *command[1:])
    return AlertRule(**values)


def _checked(
    table: Mapping[str, object], parsers: Mapping[str, Callable[[object], object]]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in parsers:
            near = difflib.get_close_matches(key, parsers, n=1)
            guess = f"'{near[0]}'" if near else f"one of {', '.join(parsers)}"
            raise ValueError(f"without '{key}'; did you mean {guess}?")
        try:
            values[key] = parsers[key](value)
        except ValueError as error:
            raise ValueError(f"whose {key} is {error}") from None
    return values


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise ValueError("some text without line breaks")


def _texts(value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if isinstance(values, list) and values:
        return tuple(map(_text, values))
    raise ValueError("some text or a list of it")


def _argv(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, list) else []
    is_text = all(isinstance(word, str) and "\0" not in word for word in words)
    if words and is_text and words[0].strip():
        return tuple(words)
    raise ValueError('a list of the program and its arguments, like ["notify", "--urgent"]')


def _level(value: object) -> str:
    if isinstance(value, str) and value.upper() in IUCN_LEVELS:
        return value.upper()
    raise ValueError(f"one of {', '.join(IUCN_LEVELS)}")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _number(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise ValueError(f"a number from {low:g} to {high:g}")

    return parse


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def _precision(value: object) -> float:
    if value == "none":
        return 0.0
    try:
        degrees = _number(0, 90)(value)
    except ValueError:
        degrees = 0.0
    if not degrees:
        raise ValueError('degrees above 0, at most 90, or "none"')
    return degrees


def _url(value: object) -> str:
    text = _text(value)
    parts = urlsplit(text)
    if parts.scheme in ("http", "https") and parts.hostname and " " not in text and text.isascii():
        return text
    raise ValueError("an address like https://example.org/alerts")


def _address(value: object) -> str:
    text = _text(value)
    name, _, host = text.rpartition("@")
    if name and host and not set(text) & set(' ,;<>"'):
        return text
    raise ValueError("an address like ranger@example.org")


def _addresses(value: object) -> tuple[str, ...]:
    return tuple(map(_address, _texts(value)))


def _smtp(value: object) -> Smtp:
    if not isinstance(value, dict):
        raise ValueError("a table like {host = ..., from = ..., to = ...}")
    try:
        values = _checked(value, _SMTP)
    except ValueError as error:
        raise ValueError(f"a table {error}") from None
    if missing := [key for key in ("host", "from", "to") if key not in values]:
        raise ValueError(f"a table with {missing[0]}")
    if ("user" in values) != ("password_env" in values):
        raise ValueError("a table with both user and password_env, or neither")
    return Smtp(sender=values.pop("from"), **values)


_SMTP: dict[str, Callable[[object], object]] = {
    "host": _text,
    "port": _whole(1, 65535),
    "starttls": _flag,
    "user": _text,
    "password_env": _text,
    "from": _address,
    "to": _addresses,
}
_RULE: dict[str, Callable[[object], object]] = {
    "name": _text,
    "species": _texts,
    "iucn_at_least": _level,
    "people": _flag,
    "min_probability": _number(0, 1),
    "station": _texts,
    "minutes": _number(0, 60 * 24 * 7),
    "per_day": _whole(0, 10_000),
    "precision": _precision,
    "attach": _flag,
    "command": _argv,
    "webhook": _url,
    "smtp": _smtp,
}
