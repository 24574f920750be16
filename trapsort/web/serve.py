"""Bind, say where the page is, and serve it until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address

import uvicorn

from trapsort.errors import InputError
from trapsort.web.app import WebConfig, create_app

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ENDS = (signal.SIGINT, signal.SIGTERM)
STOP_SECONDS = 5
"""What a request may still take when the server is told to stop."""


def serve(
    config: WebConfig, *, host: str, port: int, on_ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve the page until SIGINT, SIGTERM or its Quit button; port 0 takes a free one.

    `on_ready` is told the page's address once somebody can ask for it; the hosts of `config` are
    names that it goes by beside those of `host`.

    Raises:
        InputError: the address cannot be had.
        DatabaseError: the database cannot be opened.
    """
    listening = _bound(host, port)
    try:
        port = listening.getsockname()[1]
        names = {*config.hosts, *names_of(host)}
        server: uvicorn.Server
        config = replace(
            config,
            hosts=frozenset(_with_port(names, port)),
            stop=lambda: setattr(server, "should_exit", True),
        )
        options = uvicorn.Config(
            create_app(config),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        logging.getLogger("uvicorn").setLevel("WARNING")
        shown = next(iter(names_of(host)))
        server = _Server(options, lambda: on_ready(f"http://{shown}:{port}/"))
        with _signals_end_it():
            server.run([listening])
    finally:
        listening.close()


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Make SIGINT and SIGTERM the usual ends: uvicorn stops at them, then raises them once more."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python gives signals to the main thread only
        return
    before = {each: signal.signal(each, lambda *_: None) for each in ENDS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address that is bound."""
    with suppress(ValueError):
        return ip_address(host.strip("[]")).is_loopback
    return host == "localhost"


def names_of(host: str) -> list[str]:
    """Return the names by which a server on this address may be asked for, the first to be shown.

    All addresses ('0.0.0.0', '::') go by the machine's own name and addresses.
    """
    if is_loopback(host):
        return list(dict.fromkeys((_in_url(host), *LOOPBACK)))
    with suppress(ValueError):
        if ip_address(host.strip("[]")).is_unspecified:
            return list(dict.fromkeys((*_own_addresses(), *LOOPBACK)))
    return [_in_url(host)]


def _own_addresses() -> list[str]:
    name = socket.gethostname()
    found: list[str] = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses the way out
        found.append(probe.getsockname()[0])
    with suppress(OSError):
        found += [str(each[4][0]) for each in socket.getaddrinfo(name, None)]
    return [*map(_in_url, found), name.lower(), f"{name.lower()}.local"]


def _in_url(host: str) -> str:
    host = host.strip("[]").lower()
    return f"[{host}]" if ":" in host else host


def _with_port(names: Iterable[str], port: int) -> Iterable[str]:
    for name in names:
        yield f"{name.lower()}:{port}"
        if port == 80:
            yield name.lower()  # a browser leaves it out


def _bound(host: str, port: int) -> socket.socket:
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sends small answers at once (TCP_NODELAY) only where it knows that this
    # is TCP; else each waits 40 ms for the browser's acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise InputError(
            f"the page cannot be served at {_in_url(host)}:{port}: {error.strerror or error}",
            "name another --port, or 0 for any that is free; --host is an address of this machine",
        ) from error
    return listening
