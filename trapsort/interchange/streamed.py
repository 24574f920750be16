"""Photos of a long record, read by a second process: one core asks, the other one writes.

What is read and in which order is that of `Store.captures`.
"""

from __future__ import annotations

import contextlib
import marshal
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from trapsort.errors import DatabaseError, TrapsortError

if TYPE_CHECKING:
    from trapsort.store import SightingQuery, Store
    from trapsort.store.captures import Capture

LONG = 50_000
"""From so many photos on a process, which takes half a second to start, is worth it."""

AT_ONCE = 100  # some 60 kB: more would not fit an ordinary pipe
PIPE_BYTES = 1 << 20
"""The most that Linux grants every user unless it is told otherwise (pipe(7))."""

_END, _FAILED = b"", b"!"


def captures(store: Store, query: SightingQuery, *, order: str) -> Iterator[Capture]:
    """Stream photos as `Store.captures` does.

    Raises:
        DatabaseError: the record cannot be read.
    """
    if store.last_photo_id() < LONG or (os.cpu_count() or 1) < 2:
        yield from store.captures(query, order=order)
        return
    spawn = multiprocessing.get_context("spawn")  # a connection to a database outlives no fork
    receiver, sender = spawn.Pipe(duplex=False)
    _widen(sender)
    child = spawn.Process(target=_send, args=(sender, store.url, query, order), daemon=True)
    child.start()
    sender.close()
    try:
        yield from _received(receiver)
    finally:
        receiver.close()
        child.terminate()  # it may be in the middle of a question that nobody asks any more
        child.join()


def _widen(sender: Connection) -> None:
    """Let a pipe hold several batches, so that neither side waits for a slow one of the other."""
    with contextlib.suppress(ImportError, AttributeError, OSError):  # only Linux has it
        import fcntl

        fcntl.fcntl(sender.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _received(receiver: Connection) -> Iterator[Capture]:
    from trapsort.store.captures import Answer, Capture, Joint

    while True:
        try:
            data = receiver.recv_bytes()
        except EOFError as error:
            raise DatabaseError(
                "the process that reads the record ended too early", "run the export again"
            ) from error
        if data == _END:
            return
        if data.startswith(_FAILED):
            raise DatabaseError(*marshal.loads(data[1:]))  # noqa: S302 - from our own process
        for *fields, answers, joint in marshal.loads(data):  # noqa: S302
            told = tuple(map(Answer._make, answers))
            together = None if joint is None else Joint._make(joint)
            yield Capture._make((*fields, told, together))


def _send(sender: Connection, url: str, query: SightingQuery, order: str) -> None:
    """Send batches of photos as plain tuples, then `_END`; runs in the other process."""
    from trapsort.store import Store

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever reads hears Ctrl-C, and ends this one
    with contextlib.suppress(BrokenPipeError), sender:
        try:
            with Store.open(url) as store:
                batch = []
                for *fields, answers, joint in store.captures(query, order=order):
                    batch.append((*fields, tuple(map(tuple, answers)), joint and tuple(joint)))
                    if len(batch) == AT_ONCE:
                        sender.send_bytes(marshal.dumps(batch))
                        batch = []
                sender.send_bytes(marshal.dumps(batch))
        except TrapsortError as error:
            sender.send_bytes(_FAILED + marshal.dumps((error.message, error.hint)))
        else:
            sender.send_bytes(_END)
