"""A throw-away PostgreSQL server on the loopback interface, for tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from trapsort.store import Store
from trapsort.store.tables import METADATA, red_list

START_SECONDS = 30
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
}
# Ends the server with the end of its input: also when the tests are killed.
UNTIL_END_OF_INPUT = '"$@" & server=$!; read _; kill -QUIT $server; wait $server'


class Server:
    """A running server; each method returns the URL of a database."""

    def __init__(self, port: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._numbers = count(1)
        self._record: str | None = None

    def database(self) -> str:
        """Create an empty database."""
        name = f"record_{next(self._numbers)}"
        self._run(self._url("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
        return self._url(name)

    def record(self) -> str:
        """Empty the one record that tests take turns with: far cheaper than a database for each."""
        if self._record is None:
            self._record = self.database()
            Store.open(self._record).close()
        tables = [table for table in reversed(METADATA.sorted_tables) if table is not red_list]
        self._run(
            self._record,
            # Sessions that a test left open would hold locks.
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            "SET session_replication_role = replica",  # no look at foreign keys
            *(f"DELETE FROM {table.name}" for table in tables),  # noqa: S608
            *(f"SELECT setval('{t.name}_id_seq', 1, false)" for t in tables if "id" in t.columns),
        )
        return self._record

    def end_sessions(self) -> None:
        """End every session, as a restart of the server does."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        self._run(
            self._url("postgres"),
            f"{others} WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@{self._address}/{name}"

    def _run(self, url: str, *statements: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("; ".join(statements).encode())


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`: that of PATH, else the newest of Debian's."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)
    return next((each for each in folders if (each / "postgres").exists()), None)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Make a cluster in a temporary folder, run it, and end it whatever happens."""
    # PostgreSQL refuses to run as root, and nobody else may look into root's temporary folders.
    user = _other_user() if os.geteuid() == 0 else None
    top = Path(tempfile.mkdtemp(prefix="trapsort-postgresql-"))
    try:
        if user:
            shutil.chown(top, user)
        data = top / "data"
        make = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [folder / "initdb", f"--pgdata={data}", *make],
            user=user,
            cwd=top,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with _started(folder, data, user) as port:
            yield Server(port)
    finally:
        shutil.rmtree(top, ignore_errors=True)


@contextmanager
def _started(folder: Path, data: Path, user: str | None) -> Iterator[int]:
    port = _free_port()
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    command = [str(folder / "postgres"), "-D", str(data), f"--port={port}", *options]
    log = data.with_name("log")
    with log.open("wb") as messages:
        server = subprocess.Popen(
            ["/bin/sh", "-c", UNTIL_END_OF_INPUT, "sh", *command],
            user=user,
            cwd=data,
            stdin=subprocess.PIPE,
            stdout=messages,
            stderr=messages,
            start_new_session=True,  # Ctrl-C ends the tests, and they end the server
        )
    try:
        _wait(port, log)
        yield port
    finally:
        server.communicate()


def _wait(port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres").close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise RuntimeError(log.read_text(errors="replace")) from error
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _other_user() -> str:
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
