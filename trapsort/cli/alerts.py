"""`trapsort alerts`: send what is due, list what was and is to be sent, try a rule's way out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from trapsort.cli import common_options
from trapsort.cli.listing import Row, format_option, write_listing
from trapsort.cli.options import day_option, open_existing, shared_options
from trapsort.cli.work import say
from trapsort.errors import InputError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.alert_rules import AlertRule
    from trapsort.store.outbox import Message

F = TypeVar("F", bound=Callable[..., object])
COLUMNS = ("created", "rule", "kind", "state", "detail", "sent", "attempts", "next_try", "error")
SHORT = ("created", "rule", "state", "detail", "error")  # of a table, which is for people


@click.group()
@shared_options
def alerts() -> None:
    """Send, list or try the alerts.

    `trapsort watch` sends them by itself; the rules are `[[alerts]]` tables in the configuration
    file (docs/howto/alerts.md).
    """


def _precision_option(function: F) -> F:
    return click.option(
        "--precision",
        metavar="DEGREES|none",
        help="Round coordinates to this; by Red List category if not given.",
    )(function)


@alerts.command()
@day_option("--since", help="Look again at what was recorded or reviewed from this day on.")
@_precision_option
@common_options
def send(settings: Settings, /, *, since: date | None, precision: str | None) -> int:
    """Find what is new, and send everything that waits, now.

    No event is sent twice because of --since. The exit code is 1 if something could not be sent; it
    stays in the outbox.
    """
    from trapsort.alerts import Alerts
    from trapsort.blur import parsed_precision

    rules = _rules(settings)
    degrees = None if precision is None else parsed_precision(precision)
    with open_existing(settings.db) as store:
        sender = Alerts(store=store, rules=rules, precision=degrees, at_once=True)
        if since is not None:
            sender.look_back(datetime(since.year, since.month, since.day).astimezone())
        outcome = sender.step()
        orphans = {message.payload["rule"] for message in store.outbox.unsent()}
    for error in outcome.errors:
        say(error, err=True)
    for name in sorted(orphans - {rule.name for rule in rules}):
        say(f"messages of {name!r} stay: there is no such rule any more", err=True)
    say(f"{outcome.noticed:,} new, {outcome.sent:,} sent, {outcome.waiting:,} waiting")
    return 1 if outcome.failed else 0


@alerts.command("list")
@click.option("--waiting", is_flag=True, help="Only what has not been sent.")
@format_option("table", "csv", "json", "jsonl")
@common_options
def list_alerts(settings: Settings, /, *, waiting: bool, form: str) -> None:
    """List what was sent and what waits, newest first; times are UTC.

    \b
    sent       it has left
    waiting    it is to be sent, again after an error
    in digest  one message stands for it and others, because the day's number was reached
    """
    with open_existing(settings.db) as store:
        messages = store.outbox.unsent()[::-1] if waiting else store.outbox.messages()
    columns = SHORT if form == "table" else COLUMNS
    rows = (dict(zip(COLUMNS, _row(message), strict=True)) for message in messages)
    write_listing(columns, ([row[column] for column in columns] for row in rows), form)


@alerts.command()
@click.argument("name", required=False)
@_precision_option
@common_options
def test(settings: Settings, /, *, name: str | None, precision: str | None) -> int:
    """Send a made-up event by the rule NAME, or by every rule, without the outbox.

    The exit code is 1 if one could not be sent.
    """
    from datetime import UTC

    from trapsort.alerts.delivery import DeliveryError, send
    from trapsort.alerts.message import example
    from trapsort.blur import parsed_precision

    chosen = [rule for rule in _rules(settings) if name in (None, rule.name)]
    if not chosen:
        names = ", ".join(rule.name for rule in settings.alerts)
        raise InputError(f"there is no alert rule {name!r}", f"the rules are {names}")
    degrees = None if precision is None else parsed_precision(precision)
    failed = 0
    for rule in chosen:
        now = datetime.now(UTC)
        try:
            note = send(rule, example(rule, now, precision=degrees), None, now)
        except DeliveryError as error:
            failed += 1
            say(f"{rule.name}: {error} ({rule.where_to})", err=True)
        else:
            say(f"{rule.name}: sent, {rule.where_to}{f'; {note}' if note else ''}")
    return 1 if failed else 0


def _rules(settings: Settings) -> tuple[AlertRule, ...]:
    if not settings.alerts:
        from trapsort.cli.options import current_config
        from trapsort.settings import config_path

        where = current_config() or config_path()
        raise InputError(
            "there are no alert rules",
            f"write [[alerts]] tables into {where}: docs/howto/alerts.md",
        )
    return settings.alerts


def _row(message: Message) -> Row:
    from trapsort.alerts.message import title

    kind = "digest" if message.kind == "digest" else "alert"
    state = "sent" if message.sent else "waiting"
    return (
        message.created,
        message.payload["rule"],
        kind,
        "in digest" if message.kind == "digested" else state,
        title(message.payload["event"]),
        message.sent,
        message.attempts,
        message.next_try,
        message.last_error,
    )
