"""How messages leave: real servers and programs, and every way in which they fail."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.servers import free_port, mail_server, server
from trapsort.alert_rules import AlertRule, Smtp
from trapsort.alerts import delivery
from trapsort.alerts.delivery import DeliveryError, send
from trapsort.alerts.message import example

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MAIL = Smtp(host="127.0.0.1", sender="trap@example.org", to=("ranger@example.org",), starttls=False)


def rule(**values: Any) -> AlertRule:
    return AlertRule(name="cats", species=("Lion",), **values)


def post(port: int, **seconds: float) -> str:
    a_rule = rule(webhook=f"http://127.0.0.1:{port}/hook?token=SECRET")
    return send(a_rule, example(a_rule, NOON), None, NOON, **seconds)


def test_a_webhook_gets_json_and_a_key() -> None:
    with server() as web:
        assert post(web.port) == ""
    (request,) = web.requests
    event = json.loads(request.body)
    assert (event["kind"], event["attachment"], event["coordinatePrecision"]) == ("test", None, 0.1)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == event["id"]


@pytest.mark.parametrize(
    ("code", "message", "is_place"),
    [
        (500, "the server answered 500 Internal Server Error", True),
        (429, "the server answered 429 Too Many Requests", True),
        (404, "the server answered 404 Not Found", False),
        (
            302,
            "the server answered 302 Found; name the address that it redirects to",
            True,
        ),
    ],
)
def test_an_answer_that_is_no_success(code: int, message: str, is_place: bool) -> None:
    with server(code) as web, pytest.raises(DeliveryError) as caught:
        post(web.port)
    assert (str(caught.value), caught.value.is_place) == (message, is_place)
    assert len(web.requests) == 1, "a redirect is not followed"


def test_a_refused_connection() -> None:
    with pytest.raises(DeliveryError) as caught:
        post(free_port())
    assert (str(caught.value), caught.value.is_place) == ("Connection refused", True)


def test_a_server_that_is_silent_or_drips_is_left() -> None:
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        while not over.wait(0.05):
            handler.wfile.write(b"H")

    with server(lambda _: over.wait(10) and None) as web, pytest.raises(DeliveryError) as silent:
        try:
            post(web.port, answer_seconds=0.1)
        finally:
            over.set()
    over.clear()
    with server(drip) as web, pytest.raises(DeliveryError) as dripping:
        try:
            post(web.port, answer_seconds=5, delivery_seconds=0.3)
        finally:
            over.set()
    assert str(silent.value) == "the server did not answer in time"
    assert str(dripping.value) == "not delivered within 0.3 seconds"


def letter(smtp: Smtp, jpeg: str | None = None, **seconds: float) -> str:
    a_rule = rule(smtp=smtp)
    return send(a_rule, example(a_rule, NOON), jpeg, NOON, **seconds)


def test_a_mail_is_plain_text_with_a_key_and_perhaps_a_photo() -> None:
    with mail_server() as taken:
        letter(replace(MAIL, port=taken.port, to=("a@example.org", "b@example.org")))
        letter(replace(MAIL, port=taken.port), base64.b64encode(b"\xff\xd8pixels").decode())
    words, pictured = taken.letters
    assert taken.envelopes[0] == ("trap@example.org", ["a@example.org", "b@example.org"])
    identity = words["Message-ID"].strip("<>").split("@")
    assert len(identity[0]) == 32 and identity[1] == "trapsort.invalid"
    assert words["Date"] == "Fri, 20 Nov 2026 12:00:00 +0000"
    assert words["Auto-Submitted"] == "auto-generated"
    assert words.get_content().splitlines() == [
        f"TEST of trapsort, no animal at TEST, {NOON.astimezone():%Y-%m-%d %H:%M:%S}",
        "1 photo, probability 1.00",
        "-1.3, 36.8 (rounded to 0.1 degrees)",
        "DCIM/TEST.JPG",
        "",
        f"rule cats, message {identity[0]}",
    ]
    (attached,) = pictured.iter_attachments()
    assert (attached.get_content_type(), attached.get_content()) == (
        "image/jpeg",
        b"\xff\xd8pixels",
    )


@pytest.mark.parametrize(
    ("refused", "message", "is_place"),
    [
        (
            {"ranger@example.org": "550 no such user"},
            "refused ranger@example.org: 550 no such user",
            False,
        ),
        ({"DATA": "451 try later"}, "the server answered 451 try later", True),
        ({"DATA": "554 spam"}, "the server answered 554 spam", False),
    ],
)
def test_a_mail_that_is_refused(refused: dict[str, str], message: str, is_place: bool) -> None:
    with mail_server(refused) as taken, pytest.raises(DeliveryError) as caught:
        letter(replace(MAIL, port=taken.port))
    assert (str(caught.value), caught.value.is_place) == (message, is_place)


def test_a_mail_that_some_get_has_left_and_says_who_did_not() -> None:
    with mail_server({"b@example.org": "550 gone"}) as taken:
        note = letter(replace(MAIL, port=taken.port, to=("a@example.org", "b@example.org")))
    assert note == "refused b@example.org"


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_password_is_never_sent_in_the_clear_unless_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from aiosmtpd.smtp import AuthResult

    def check(_server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (b"trap", b"mango")
        return AuthResult(success=good, handled=good)

    options = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    login = replace(MAIL, user="trap", password_env="MAIL_PASSWORD")  # noqa: S106  # a name
    with mail_server(**options) as taken:
        login = replace(login, port=taken.port)
        with pytest.raises(DeliveryError) as unset:
            letter(login)
        monkeypatch.setenv("MAIL_PASSWORD", "wrong")
        with pytest.raises(DeliveryError) as wrong:
            letter(login)
        monkeypatch.setenv("MAIL_PASSWORD", "mango")
        with pytest.raises(DeliveryError) as clear:
            letter(replace(login, starttls=True))
        assert taken.letters == []
        letter(login)
        assert len(taken.letters) == 1
    assert str(unset.value) == "the environment variable MAIL_PASSWORD with the password is empty"
    assert str(wrong.value).startswith("the server answered 535 ")
    assert str(clear.value) == "STARTTLS extension not supported by server."
    assert all(error.value.is_place for error in (unset, wrong, clear))


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[trustme.CA]:
    """One whose certificate lies in `tmp_path`, for a test that lets the system trust it."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    yield made


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize("way", ["starttls", "tls from the first byte"])
def test_a_mail_leaves_encrypted_to_a_server_that_is_who_it_says(
    way: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def options(name: str) -> dict[str, Any]:
        context = server_context(authority, name)
        if way == "starttls":
            return {"tls_context": context, "require_starttls": True}
        return {"ssl_context": context}

    def sent(name: str, host: str = "127.0.0.1") -> str:
        with mail_server(**options(name)) as taken:
            if way != "starttls":
                monkeypatch.setattr(delivery, "TLS_PORT", taken.port)
            encrypted = replace(MAIL, host=host, port=taken.port, starttls=way == "starttls")
            try:
                letter(encrypted)
            finally:
                subjects.append([each["Subject"] for each in taken.letters])
        return "sent"

    subjects: list[list[str]] = []
    with pytest.raises(DeliveryError) as unknown:
        sent("127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with pytest.raises(DeliveryError) as other:
        sent("mail.example.org")
    assert sent("127.0.0.1") == "sent"
    assert [len(each) for each in subjects] == [0, 0, 1], "nothing leaves before the certificate"
    assert "certificate verify failed" in str(unknown.value)
    assert "IP address mismatch" in str(other.value)
    assert unknown.value.is_place and other.value.is_place


def test_a_mail_server_that_is_silent_or_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeliveryError) as caught:
        letter(replace(MAIL, port=silent.getsockname()[1]), answer_seconds=0.1)
    assert str(caught.value) == "Connection unexpectedly closed: timed out"
    with pytest.raises(DeliveryError) as caught:
        letter(replace(MAIL, port=free_port()))
    assert str(caught.value) == "Connection refused"


def script(folder: Path, text: str) -> str:
    path = folder / "notify now.py"
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def call(argv: tuple[str, ...], **seconds: float) -> str:
    a_rule = rule(command=argv)
    return send(a_rule, example(a_rule, NOON), "AAAA", NOON, **seconds)


def test_a_command_gets_the_event_on_its_input_and_its_arguments_as_they_are(
    tmp_path: Path,
) -> None:
    got = str(tmp_path / "got")
    code = "import json, sys\n"
    code += f"json.dump([sys.argv[1:], sys.stdin.read()], open({got!r}, 'w'))"
    assert call((script(tmp_path, code), "$(touch x); `y`", "a b")) == ""
    arguments, given = json.loads((tmp_path / "got").read_text())
    assert arguments == ["$(touch x); `y`", "a b"]
    assert json.loads(given)["attachment"] == {"type": "image/jpeg", "base64": "AAAA"}


def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    program = script(tmp_path, "import sys; sys.exit('first\\nno \\x1b credit')")
    with pytest.raises(DeliveryError) as caught:
        call((program,))
    assert (
        str(caught.value)
        == f"{program} ended with exit code 1: no \N{REPLACEMENT CHARACTER} credit"
    )
    assert not caught.value.is_place
    with pytest.raises(DeliveryError) as caught:
        call((str(tmp_path / "missing"),))
    assert str(caught.value) == f"cannot run {tmp_path / 'missing'}: No such file or directory"


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    started = tmp_path / "child"
    program = tmp_path / "slow.sh"
    program.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {started}\nwait\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(DeliveryError) as caught:
        call((str(program),), delivery_seconds=0.5)
    assert str(caught.value) == f"{program} did not end within 0.5 seconds"
    child = int(started.read_text())
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc").is_dir()
    return state != "Z"
