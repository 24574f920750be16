"""A way in a process of its own, which works when it is told to.

Ways that share a process share its memory: what one has given back, the next one need not ask the
system for, so that the same work is quicker or slower by who worked before. So each way starts in
a fresh process, as users start it, and waits there while the others have their turns.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import Way

if TYPE_CHECKING:
    from bench.ways import Setting

CLOSE_SECONDS = 10  # for a process to end by itself
PREPARE, RUN = "prepare", "run"


def apart(name: str, setting: Setting) -> Way:
    """Return a way of `WAYS` that works in a process of its own, ended by the setting's stack."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    asked = (there, name, setting.folder, list(setting.paths), setting.bundle.path)
    process = context.Process(target=_serve, args=(*asked, setting.scratch), daemon=True)
    process.start()
    there.close()  # so that the end of the process is the end of what can be heard

    def heard() -> Any:
        try:
            return here.recv()
        except EOFError as error:
            process.join(CLOSE_SECONDS)
            raise RuntimeError(f"{name} ended with {process.exitcode}") from error

    def close() -> None:
        here.close()
        process.join(CLOSE_SECONDS)
        process.kill()

    setting.stack.callback(close)
    cpu = 0.0

    def tell(order: str) -> None:
        nonlocal cpu
        here.send(order)
        cpu = heard()

    said, what, images, missing = heard()
    run = None if missing else lambda: tell(RUN)
    return Way(said, what, images, run, missing, lambda: tell(PREPARE), lambda: cpu)


def _serve(
    there: Connection, name: str, folder: Path, paths: list[Path], bundle: Path, scratch: Path
) -> None:
    """Make a way, say what it is, and do as told until nobody is there; answers: CPU seconds."""
    from bench.ways import WAYS, Setting
    from trapsort.bundle import load_bundle

    with ExitStack() as stack:
        way = WAYS[name](Setting(folder, paths, load_bundle(bundle), scratch, stack))
        there.send((way.name, way.what, way.images, way.missing))
        while way.run is not None:
            try:
                order = there.recv()
            except EOFError:
                return
            (way.run if order == RUN else way.prepare)()
            there.send(time.process_time())
