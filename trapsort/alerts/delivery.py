"""The three ways out: a command, a webhook, a mail server; each with a time-out."""

from __future__ import annotations

import os
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from typing import Any

import trapsort
from trapsort.alert_rules import TLS_PORT, AlertRule, Smtp
from trapsort.alerts.message import body, mail, plain

ANSWER_SECONDS = 10.0
"""How long a server may be silent."""

DELIVERY_SECONDS = 20.0
"""How long one delivery may take in all; a server may drip."""

TRY_AGAIN = (408, 425, 429)
"""HTTP's 4xx that say something of the server, not of the message."""

ERROR_CHARACTERS = 300


class DeliveryError(Exception):
    """A message did not leave; `is_place` where no other one would leave this way either."""

    def __init__(self, text: str, *, is_place: bool = True) -> None:
        super().__init__(plain(" ".join(text.split()))[:ERROR_CHARACTERS])
        self.is_place = is_place


def send(
    rule: AlertRule,
    leaving: Mapping[str, Any],
    jpeg: str | None,
    sent: datetime,
    *,
    answer_seconds: float = ANSWER_SECONDS,
    delivery_seconds: float = DELIVERY_SECONDS,
) -> str:
    """Send one message where its rule says; return what is worth noting of it, mostly nothing.

    Raises:
        DeliveryError: it did not leave, or nobody can say that it did.
    """
    if rule.smtp is not None:
        smtp, letter = rule.smtp, mail(leaving, jpeg, rule.smtp, sent)
        return _within(delivery_seconds, lambda: _mail(smtp, letter, answer_seconds))
    data = body(leaving, jpeg)
    if rule.webhook:
        key = str(leaving["id"])
        return _within(delivery_seconds, lambda: _post(rule.webhook, data, key, answer_seconds))
    return _run(rule.command, data, delivery_seconds)


def _within(seconds: float, deliver: Callable[[], str]) -> str:
    """Deliver in a thread of its own, which is left to itself when its time is over."""
    notes: list[str] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            notes.append(deliver())
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True, name="trapsort-alert")
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise DeliveryError(f"not delivered within {seconds:g} seconds")
    if errors:
        raise errors[0]
    return notes[0]


# A webhook --------------------------------------------------------------------------------------


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, or somewhere that nobody named."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, data: bytes, key: str, seconds: float) -> str:
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "User-Agent": f"trapsort/{trapsort.__version__}",
    }
    request = urllib.request.Request(url, data, headers)  # noqa: S310  # http(s): alert_rules
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        text = f"the server answered {error.code} {error.reason}"
        if 300 <= error.code < 400:
            raise DeliveryError(f"{text}; name the address that it redirects to") from None
        is_mine = 400 <= error.code < 500 and error.code not in TRY_AGAIN
        raise DeliveryError(text, is_place=not is_mine) from None
    except (OSError, HTTPException, ValueError) as error:
        raise DeliveryError(_reason(error)) from None


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "the server did not answer in time"
    if isinstance(inner, OSError) and inner.strerror:
        return str(inner.strerror)
    return str(inner) or type(inner).__name__


# Mail -------------------------------------------------------------------------------------------


def _mail(smtp: Smtp, letter: Any, seconds: float) -> str:
    password = os.environ.get(smtp.password_env, "")
    if smtp.password_env and not password:
        raise DeliveryError(
            f"the environment variable {smtp.password_env} with the password is empty"
        )
    try:
        with _server(smtp, seconds) as server:
            if smtp.starttls and smtp.port != TLS_PORT:
                server.starttls(context=ssl.create_default_context())
            if smtp.user:
                server.login(smtp.user, password)
            refused = server.send_message(letter, smtp.sender, smtp.to)
    except smtplib.SMTPRecipientsRefused as error:
        text = "; ".join(
            f"{who}: {_answer(code, said)}" for who, (code, said) in error.recipients.items()
        )
        raise DeliveryError(f"refused {text}", is_place=False) from None
    except smtplib.SMTPDataError as error:
        text = _answer(error.smtp_code, error.smtp_error)
        raise DeliveryError(f"the server answered {text}", is_place=error.smtp_code < 500) from None
    except smtplib.SMTPResponseException as error:
        text = _answer(error.smtp_code, error.smtp_error)
        raise DeliveryError(f"the server answered {text}") from None
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise DeliveryError(_reason(error)) from None
    return f"refused {', '.join(refused)}" if refused else ""


def _server(smtp: Smtp, seconds: float) -> smtplib.SMTP:
    if smtp.port == TLS_PORT:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=seconds, context=context)
    return smtplib.SMTP(smtp.host, smtp.port, timeout=seconds)


def _answer(code: int, said: bytes | str) -> str:
    return f"{code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"


# A command --------------------------------------------------------------------------------------


def _run(argv: tuple[str, ...], data: bytes, seconds: float) -> str:
    """Run a program with the message on its standard input; it and its children end in time."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(data)
        given.seek(0)
        try:
            # A session of its own: a Ctrl-C is for trapsort, and what is left can be ended whole.
            child = subprocess.Popen(  # noqa: S603  # a list of arguments, no shell
                argv, stdin=given, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise DeliveryError(f"cannot run {argv[0]}: {_reason(error)}") from None
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise DeliveryError(f"{argv[0]} did not end within {seconds:g} seconds") from None
        finally:
            if child.poll() is None:
                _end(child)
        if code == 0:
            return ""
        said.seek(0)
        lines = said.read(100_000).decode(errors="replace").strip().splitlines()
        text = f": {lines[-1]}" if lines else ""
        raise DeliveryError(f"{argv[0]} ended with exit code {code}{text}", is_place=False)


def _end(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        child.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
