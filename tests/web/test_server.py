"""The real server on loopback: what raw sockets send, how it stops, and a `watch` beside it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.web.site import Site
from trapsort.cli.main import main
from trapsort.web import serve as serving

DEADLINE = 30.0


@contextmanager
def served(site: Site, **changes: Any) -> Iterator[int]:
    """Serve in a thread; yields the port, and stops as the Quit button does."""
    addresses: list[str] = []
    ready = threading.Event()

    def on_ready(address: str) -> None:
        addresses.append(address)
        ready.set()

    config = site.config(hosts=frozenset(), **changes)
    thread = threading.Thread(
        target=serving.serve,
        args=(config,),
        kwargs={"host": "127.0.0.1", "port": 0, "on_ready": on_ready},
    )
    thread.start()
    try:
        assert ready.wait(DEADLINE)
        port = int(addresses[0].rstrip("/").rpartition(":")[2])
        yield port
    finally:
        if thread.is_alive():
            client = Client(port)
            assert client.post("/api/v1/quit")[0] == 200
        thread.join(DEADLINE)
        assert not thread.is_alive()


class Client:
    """A program that writes."""

    def __init__(self, port: int) -> None:
        self.port = port
        status, headers, body = self.ask("GET", "/api/v1/session")
        assert status == 200
        cookie = headers["set-cookie"].partition(";")[0]
        self.headers = {"X-Trapsort-Token": json.loads(body)["token"], "Cookie": cookie}

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, getattr(self, "headers", {}) | headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        status, _, data = self.ask("POST", path, json.dumps(body).encode(), **headers)
        return status, json.loads(data)


def raw(port: int, *parts: bytes, pause: float = 0) -> bytes:
    """Send bytes as they are and return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:  # it has answered and closed
                break
            time.sleep(pause)
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


@pytest.fixture
def port(site: Site) -> Iterator[int]:
    with served(site, body_seconds=0.5) as port:
        yield port


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    return int(answer.split()[1])


def test_hosts_on_the_wire(port: int) -> None:
    def asked(*hosts: str) -> int:
        lines = "".join(f"Host: {host}\r\n" for host in hosts)
        return status(
            raw(port, f"GET /api/v1/session HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        )

    own = f"127.0.0.1:{port}"
    assert asked(own) == 200
    assert asked(f"LOCALHOST:{port}") == 200
    assert asked() == 400
    assert asked(own, "evil.example") == 400
    assert asked("evil.example") == 421
    assert asked(f"rebind.example:{port}") == 421
    full = f"GET http://evil.example/api/v1/session HTTP/1.1\r\nHost: {own}\r\n"
    assert status(raw(port, f"{full}Connection: close\r\n\r\n".encode())) in (200, 400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd",
        "/static/..%5c..%5capp.py", "/static/%00", "/../../etc/passwd", "/api/v1/../../etc/passwd",
        "/api/v1/photos/..%2f..%2fetc%2fpasswd/image", "/api/v1/photos/1/image?size=../../x",
        "/api/v1/reports/..%2fnightly", "/api/v1/photos/%31%2e%2e/image",
    ],
)  # fmt: skip
def test_no_path_leaves_the_package(port: int, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    answer = raw(port, request.encode())
    assert status(answer) in (404, 422)
    assert b"create_app" not in answer
    assert b"root:" not in answer


def _post(port: int, path: str, *lines: str) -> bytes:
    client = Client(port)
    known = [f"{name}: {value}" for name, value in client.headers.items()]
    head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *known, *lines]
    return "\r\n".join([*head, "", ""]).encode()


def test_a_body_that_says_that_it_is_too_long_is_not_read(port: int) -> None:
    head = _post(port, "/api/v1/reviews", "Content-Length: 1048577")
    answer = raw(port, head)  # nothing follows, and nothing is waited for
    assert (status(answer), b'"more than 1 MB"' in answer) == (413, True)
    head = _post(port, "/api/v1/classify", f"Content-Length: {(64 << 20) + 1}")
    assert b'"more than 64 MB"' in raw(port, head)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_hides_its_length_is_cut(port: int, kind: str) -> None:
    head = _post(port, "/api/v1/reviews", "Transfer-Encoding: chunked", f"Content-Type: {kind}")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    assert status(raw(port, head, *[chunk] * 18)) == 413


@pytest.mark.parametrize("path", ["/api/v1/reviews", "/api/v1/classify", "/login"])
def test_a_body_that_never_comes_is_given_up(port: int, path: str) -> None:
    kind = "multipart/form-data; boundary=x" if path.endswith("classify") else "application/json"
    kind = "application/x-www-form-urlencoded" if path == "/login" else kind
    head = _post(port, path, "Content-Length: 1000", f"Content-Type: {kind}")
    begin = time.monotonic()
    answer = raw(port, head, b"--x", b"\r\n", pause=0.01)
    assert (status(answer), b"took too long" in answer) == (408, True)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "line",
    ["Content-Length: -1", "Content-Length: 1e9", "Content-Length: 5\r\nContent-Length: 6",
     "Transfer-Encoding: chunked\r\nContent-Length: 5"],
)  # fmt: skip
def test_a_length_that_is_none_is_refused(port: int, line: str) -> None:
    answer = raw(port, _post(port, "/api/v1/reviews", line), b"0\r\n\r\n")
    assert 400 <= status(answer) < 500


def test_other_methods_and_broken_bodies_are_refused(port: int) -> None:
    client = Client(port)
    for method in ("PUT", "DELETE", "PATCH"):
        assert client.ask(method, "/api/v1/reviews")[0] == 405
    for body in (b"{", b"\xff", b"[" * 50_000, b"null", b'{"photos": 1e999}'):
        found = client.ask("POST", "/api/v1/reviews", body, **{"Content-Type": "application/json"})
        assert found[0] in (400, 422), body[:20]
        assert set(json.loads(found[2])) == {"error", "hint"}


def test_reviews_while_a_card_is_being_taken_in(site: Site, tmp_path: Path) -> None:
    """A `watch` writes to the same file; neither loses anything, and both go on."""
    card = tmp_path / "incoming"
    card.mkdir()
    for n in range(24):
        Image.new("RGB", (64, 48), (n * 9, 250 - n * 9, 10)).save(card / f"{n:02}.png")
    command = [sys.executable, "-m", "trapsort", "ingest", str(card), "--db", site.url]
    command += ["--bundle", str(site.bundle), "--workers", "1"]
    with served(site) as port:
        client = Client(port)
        ingest = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        decided = 0
        while ingest.poll() is None or decided < 20:
            seen = {"1": None} if decided == 0 else {"1": decided}
            said = {"photos": [1], "label": "Panda", "seen": seen}
            code, answer = client.post("/api/v1/reviews", said)
            assert code == 200, answer
            decided = answer["reviews"][0]["review_id"]
            assert client.ask("GET", "/api/v1/progress")[0] == 200
        _, errors = ingest.communicate(timeout=DEADLINE)
        assert ingest.returncode == 0, errors
        found = json.loads(client.ask("GET", "/api/v1/sightings")[2])
        history = json.loads(client.ask("GET", "/api/v1/photos/1")[2])["reviews"]
    assert found["total_hint"] == 5 + 24
    assert [each["id"] for each in history] == list(range(1, decided + 1))


# The command -------------------------------------------------------------------------------------


@contextmanager
def started(site: Site, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Run `trapsort web`; yields the process, its address and the lines that it printed."""
    command = [sys.executable, "-m", "trapsort", "web", "--db", site.url, "--no-open"]
    command += ["--bundle", str(site.bundle), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = [process.stderr.readline()]
    try:
        if "--host" in options:
            lines.append(process.stderr.readline())
        yield process, re.findall(r"http://\S+/", lines[0])[0], lines
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(site: Site, number: int) -> None:
    with started(site) as (process, address, lines):
        assert lines[0] == f"the page is at {address} - Ctrl+C ends it\n"
        client = Client(int(address.rstrip("/").rpartition(":")[2]))
        assert (
            client.post("/api/v1/reviews", {"photos": [1], "label": "Panda", "seen": {"1": None}})[
                0
            ]
            == 200
        )
        process.send_signal(number)
        assert process.wait(DEADLINE) == 0


def test_quit_ends_the_command(site: Site) -> None:
    with started(site) as (process, address, _):
        client = Client(int(address.rstrip("/").rpartition(":")[2]))
        assert client.post("/api/v1/quit") == (200, {"stopped": True})
        assert process.wait(DEADLINE) == 0


def test_elsewhere_than_on_loopback_a_token_is_printed_and_needed(site: Site) -> None:
    with started(site, "--host", "0.0.0.0") as (_, address, lines):  # noqa: S104
        token = re.fullmatch(
            r"log in with this token: ((?:[a-z2-9]{4}-){4}[a-z2-9]{4})\n", lines[1]
        )
        assert token is not None, lines
        port = int(address.rstrip("/").rpartition(":")[2])
        head = f"GET /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        assert status(raw(port, f"{head}\r\n".encode())) == 401
        bearer = f"{head}Authorization: Bearer {token[1]}\r\n\r\n".encode()
        assert status(raw(port, bearer)) == 200


def test_an_address_that_is_taken_is_said(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = ["--db", site.url, "--port", str(port), "--no-open"]
        assert main(["web", *options]) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"trapsort: the page cannot be served at 127.0.0.1:{port}: ")
    assert said.endswith(
        "name another --port, or 0 for any that is free; --host is an address of this machine\n"
    )


def test_a_database_that_is_not_there_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["web", "--db", str(tmp_path / "no.db"), "--no-open"]) == 4
    assert f"there is no database at {tmp_path / 'no.db'} yet" in capfd.readouterr().err


def test_without_the_extra_it_says_how_to_install_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in [each for each in sys.modules if each.startswith("trapsort.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["web", "--db", site.url, "--no-open"]) == 1
    said = capfd.readouterr().err
    assert said.startswith("trapsort: the page needs packages that are not here: ")
    assert said.endswith("install them: pip install 'trapsort[web]'\n")
