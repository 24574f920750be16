"""trapsort broken on purpose, to show that the harness can fail.

`python -m tests.faults.broken VARIANT watch ...` runs trapsort with one of `VARIANTS`; `sound`
changes nothing but the waiting times and what a transaction holds. Nothing of this is in trapsort
itself.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.faults import program


def sound() -> None:
    """trapsort as it is."""


def taken_first() -> None:
    """A file is noted as taken, for good, when it is read and not when it is recorded."""
    from trapsort import daemon
    from trapsort.scan import Photo

    journal = Path(os.environ["HOME"]) / "taken"
    before = set(journal.read_text().split()) if journal.exists() else set()
    settled: Any = daemon.Settled
    take = settled.take

    def noting(self: Any, item: Any) -> bool:
        if not isinstance(item, Photo):
            return bool(take(self, item))
        key = f"{item.card}/{item.name}".encode().hex()
        if key in before or not take(self, item):
            return False
        with journal.open("a") as file:
            file.write(f"{key}\n")
        return True

    settled.take = noting


def torn() -> None:
    """Photos are committed before what was seen on them, which follows in another transaction."""
    write = _room("trapsort.store.write")
    add = write._add_predictions

    def later(connection: Any, *args: Any) -> None:
        connection.exec_driver_sql("COMMIT")
        time.sleep(0.5)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        add(connection, *args)

    write._add_predictions = later


def no_settle() -> None:
    """A file is taken as it is met, whether or not it is still being written."""
    _room("trapsort.watch").QUIET_SECONDS = 0.0
    _room("trapsort.daemon").Settled._ready = lambda self, item: True


def events_only() -> None:
    """The operating system's events are believed: no scan at the start, and none by the clock."""
    root = _room("trapsort.watch")._Root
    root.due = root._quiet


def another_card() -> None:
    """Each start takes a card for another one, so that all its places are recorded again."""
    write = _room("trapsort.store.write")
    add = write.add_card

    def adding(connection: Any, root: Path, volume: str, station: str | None) -> int:
        return int(add(connection, root, f"{volume}{os.getpid()}", station))

    write.add_card = adding


def replaced() -> None:
    """Each start replaces the photos that it meets: INSERT OR REPLACE, without foreign keys."""
    from sqlalchemy import insert

    from trapsort.store.tables import photos

    engine, query = _room("trapsort.store.engine"), _room("trapsort.store.query")
    write = _room("trapsort.store.write")
    merge, find_known, prepare = write.merge, query.find_known, engine._prepare
    met: set[bytes] = set()

    def replace(connection: Any, table: Any, keys: Any, rows: Any, changes: Any = ()) -> None:
        if table is not photos or not rows:
            merge(connection, table, keys, rows, changes)
            return
        met.update(row["sha256"] for row in rows)
        connection.execute(insert(table).prefix_with("OR REPLACE"), rows)

    def forget(cursor: Any, *asked: Any) -> dict[bytes, bool]:
        known = find_known(cursor, *asked)
        return {key: answered for key, answered in known.items() if key in met}

    def without_keys(connection: Any, entry: Any) -> None:
        prepare(connection, entry)
        connection.execute("PRAGMA foreign_keys = OFF")

    def ids(connection: Any, sha256s: Iterable[bytes]) -> dict[bytes, int]:
        return {key: value for key, value in photo_ids(connection, sha256s).items() if key in met}

    photo_ids = write.photo_ids
    write.merge, write.photo_ids = replace, ids
    _room("trapsort.store.places")._contested = lambda *_: set()  # it would miss the old photos
    query.find_known, engine._prepare = forget, without_keys


def in_place() -> None:
    """A report is written under its own name from the first line on."""

    def straight(path: Path, chunks: Iterable[bytes]) -> None:
        with path.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                file.flush()

    _room("trapsort.reports.csv_file")._replace = straight


VARIANTS: dict[str, Callable[[], None]] = {
    "sound": sound,
    "taken_first": taken_first,
    "torn": torn,
    "no_settle": no_settle,
    "events_only": events_only,
    "another_card": another_card,
    "replaced": replaced,
    "in_place": in_place,
}


def _room(name: str) -> Any:
    """A module of trapsort, to be changed: its private names, too."""
    module: ModuleType = importlib.import_module(name)
    return module


def main() -> int:
    """Run trapsort with a variant, the first argument, and other constants."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it is made to crash on purpose
    watch = _room("trapsort.watch")
    for name in ("QUIET_SECONDS", "RESCAN_SECONDS", "TICK_SECONDS"):
        assert hasattr(watch, name)
        # Before anything else imports them: `daemon` takes them as its defaults.
        setattr(watch, name, getattr(program, name))
    workers = _room("trapsort.workers")
    # By their number, so that the same calls are made however slow the machine is.
    workers.TOGETHER, workers.TOGETHER_SECONDS = program.TOGETHER, math.inf
    VARIANTS[sys.argv.pop(1)]()
    from trapsort.__main__ import main as trapsort

    return trapsort()


if __name__ == "__main__":
    sys.exit(main())
