"""`trapsort clock`: put a camera's clock right after the fact; what it wrote stays."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options
from trapsort.cli.deployments import say_matched
from trapsort.cli.listing import format_option, write_listing
from trapsort.cli.options import open_existing, shared_options
from trapsort.cli.work import say
from trapsort.errors import InputError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.store import Correction, DeploymentRow

COLUMNS = ("deployment", "offset_seconds", "drift_seconds_per_day", "since", "created", "note")
TABLE = ("deployment", "offset", "drift", "since", "note")
SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
SECONDS_A_DAY = 86_400
MINUS = "\N{MINUS SIGN}"


class _Signed(click.Command):
    """A command whose arguments may be like -1h30m, which click would take for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [re.sub(r"^-(?=\d)", MINUS, each) for each in args])


@click.group()
@shared_options
def clock() -> None:
    """Correct a camera's clock, or list what was corrected.

    Corrections are added to those before them and never changed; what the camera wrote stays.
    """


@clock.command(cls=_Signed)
@click.argument("deployment")
@click.argument("offset", required=False)
@click.option(
    "--from-time", multiple=True, metavar="TIME", help="What the camera showed at some moment."
)
@click.option("--to-time", multiple=True, metavar="TIME", help="What was true at that moment.")
@click.option("--drift", metavar="SECONDS", help="What the clock loses in a day; -3 if it gains.")
@click.option("--since", metavar="TIME", help="Camera time when it was right; else the start.")
@click.option("--note", default="", metavar="TEXT", help="Why.")
@common_options
def shift(
    settings: Settings,
    /,
    *,
    deployment: str,
    offset: str | None,
    from_time: tuple[str, ...],
    to_time: tuple[str, ...],
    drift: str | None,
    since: str | None,
    note: str,
) -> None:
    """Correct the clock of a deployment by an OFFSET such as +1h30m or -3600s.

    Instead of it, --from-time and --to-time say what the camera showed and what was true, all
    corrections so far included; given twice, for two moments, the drift between them as well.
    """
    offset_seconds = None if offset is None else parse_offset(offset)
    drift_seconds = 0.0 if drift is None else _number(drift)
    moments = [_moment(text) for text in from_time]
    truths = [_moment(text) for text in to_time]
    first = None if since is None else _moment(since)
    if len(moments) != len(truths) or len(moments) > 2:
        raise InputError(
            "--from-time and --to-time belong together", "give both once, or both twice for a drift"
        )
    if moments and (offset is not None or (len(moments) == 2 and (drift or since))):
        raise InputError(
            "the offset is given twice", "give either OFFSET and --drift, or --from-time, --to-time"
        )
    if not moments and offset_seconds is None and not drift_seconds:
        raise InputError(
            "nothing says how wrong the clock was",
            "give an offset such as +1h30m, or --from-time and --to-time",
        )
    with open_existing(settings.db) as store:
        row = next((each for each in store.deployments() if each.name == deployment), None)
        if moments and row is not None:
            wrong = [_left(row, shown, true) for shown, true in zip(moments, truths, strict=True)]
            offset_seconds = wrong[0]
            if len(moments) == 2:
                drift_seconds, first = _drift(moments, wrong), moments[0]
        store.correct_clock(
            deployment,
            offset_seconds=offset_seconds or 0.0,
            drift_seconds_per_day=drift_seconds,
            since=None if first is None else first.isoformat(),
            note=note,
        )
        rate = f", {drift_seconds:+g} s a day" if drift_seconds else ""
        say(f"{deployment}: {offset_seconds or 0:+,.6g} s{rate}")
        say_matched(store)


@clock.command("list")
@click.argument("deployment", required=False)
@format_option("table", "csv", "json", "jsonl")
@common_options
def list_corrections(settings: Settings, /, *, deployment: str | None, form: str) -> None:
    """List the corrections, of one DEPLOYMENT or of all, in the order in which they were made."""
    with open_existing(settings.db) as store:
        found = [c for c in store.corrections() if deployment in (None, c.deployment)]
    if form == "table":
        rows = ([c.deployment, *_in_words(c), c.since, c.note] for c in found)
        write_listing(TABLE, rows, form)
        return
    write_listing(COLUMNS, ([getattr(row, each) for each in COLUMNS] for row in found), form)


def _in_words(correction: Correction) -> tuple[str, str]:
    drift = correction.drift_seconds_per_day
    return f"{correction.offset_seconds:+g} s", f"{drift:+g} s a day" if drift else ""


def parse_offset(text: str) -> float:
    """Return the seconds of an offset like +1h30m, -3600s or 2d.

    Raises:
        InputError: it is none.
    """
    found = re.fullmatch(rf"([+{MINUS}-]?)((?:\d+(?:\.\d+)?[dhms])+)", text.strip().lower())
    if found is None:
        raise InputError(
            f"{text.replace(MINUS, '-')!r} is no offset", "write it as +1h30m, -3600s or +2d"
        )
    parts = re.findall(r"([\d.]+)([dhms])", found[2])
    seconds = sum(float(number) * SECONDS[unit] for number, unit in parts)
    return seconds if found[1] in ("", "+") else -seconds


def _number(text: str) -> float:
    try:
        return float(text.replace(MINUS, "-"))
    except ValueError:
        raise InputError(
            f"{text!r} is no number of seconds", "write the drift as --drift 2.5"
        ) from None


def _moment(text: str) -> datetime:
    from trapsort.moments import parse_moment

    moment = parse_moment(text)
    if moment is None or not moment.clock:
        raise InputError(f"{text!r} is no time", "write it as '2026-03-01 05:06:07'")
    return datetime.fromisoformat(moment.text)


def _left(row: DeploymentRow, shown: datetime, true: datetime) -> float:
    """Return by how many seconds the clock is still behind after all corrections so far."""
    from trapsort.store.attributions import correction_seconds

    return (true - shown).total_seconds() - correction_seconds(row.corrections, shown)


def _drift(moments: list[datetime], wrong: list[float]) -> float:
    days = (moments[1] - moments[0]).total_seconds() / SECONDS_A_DAY
    if not days:
        raise InputError("both --from-time are the same", "give two moments that lie apart")
    return (wrong[1] - wrong[0]) / days
