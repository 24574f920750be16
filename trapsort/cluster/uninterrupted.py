"""Loaded by worker processes of this machine: Ctrl-C is for the coordinator alone to deal with."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Ignore SIGINT, which a terminal sends to all processes of a command; Dask calls this."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
