"""Servers on this machine that keep what they are sent: a webhook and a mail server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    headers: Mapping[str, str]
    body: bytes


class Web(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None] | int) -> None:
        self.requests: list[Request] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805
                length = int(handler.headers["Content-Length"])
                self.requests.append(Request(dict(handler.headers), handler.rfile.read(length)))
                if isinstance(answer, int):
                    handler.send_response(answer)
                    handler.send_header("Location", "/elsewhere")
                    handler.end_headers()
                else:
                    answer(handler)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None] | int = 204) -> Iterator[Web]:
    web = Web(answer)
    thread = threading.Thread(target=web.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield web
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Post:
    """Keeps the letters that an SMTP server takes; refuses the people of `refused`."""

    def __init__(self, refused: Mapping[str, str]) -> None:
        self.refused = refused
        self.letters: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.port = 0

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.refused.get("DATA", "250 OK")


@contextmanager
def mail_server(refused: Mapping[str, str] | None = None, **options: Any) -> Iterator[Post]:
    from aiosmtpd.controller import Controller

    handler = Post(refused or {})
    handler.port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port, **options)
    controller.start()
    try:
        yield handler
    finally:
        controller.stop()
