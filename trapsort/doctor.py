"""What runs here, what is wrong with it and what to do: one `Check` for each thing looked at.

Nothing is created, migrated or changed, and whatever is broken is a check, never an exception.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import trapsort
from trapsort.errors import SettingsError, TrapsortError
from trapsort.mounts import mount_of, mount_table
from trapsort.settings import Settings, cores, sqlite_file

OK, WARNING, PROBLEM = "OK", "WARNING", "PROBLEM"

LEAST_FREE, LOW_FREE = 100e6, 1e9  # bytes: below, a problem and a warning
CHECK_SECONDS = 0.5  # for each look that grows with the database or the folder
INOTIFY = Path("/proc/sys/fs/inotify")
RUNTIMES = ("onnxruntime-gpu", "onnxruntime")
NVIDIA = Path("/dev/nvidiactl")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` says what to do where `state` is not `OK`."""

    check: str
    state: str
    detail: str
    advice: str = ""


def examine(
    settings: Settings | SettingsError, *, config: Path | None, path: Path | None, full: bool
) -> Iterator[Check]:
    """Look at everything, in the order in which a photo meets it.

    `settings`: or why there are none; `config`: the file that they were read from; `path`: a folder
    that is to be taken in; `full`: check the database however long it takes.
    """
    known = settings if isinstance(settings, Settings) else Settings()
    looks: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("trapsort", _program),
        ("settings", partial(_settings, settings, config)),
        ("ONNX Runtime", _runtime),
        ("bundle", partial(_bundle, known)),
        ("threads", partial(_threads, known)),
        ("database", partial(_database, known.db, full)),
        ("disk", partial(_disk, known.db)),
    ]
    if path is not None:
        looks.append(("folder", partial(_folder, path)))
    for name, look in looks:
        try:
            yield from look()
        except TrapsortError as error:
            yield Check(name, PROBLEM, error.message, error.hint)
        except OSError as error:
            yield Check(name, PROBLEM, str(error), "Check that it is there and your permissions.")
        except Exception as error:  # a doctor that falls ill helps nobody
            said = f"cannot be looked at: {type(error).__name__}: {error}"
            yield Check(name, PROBLEM, said, "Report this to the makers of trapsort.")


def _program() -> Iterator[Check]:
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Check("trapsort", OK, f"{trapsort.__version__}, {python}")


def _settings(settings: Settings | SettingsError, config: Path | None) -> Iterator[Check]:
    if isinstance(settings, SettingsError):
        hint = settings.hint or "Mend it; until then everything below is looked at by the defaults."
        yield Check("settings", PROBLEM, settings.message, hint)
        return
    named = sorted(name for name in os.environ if name.startswith("TRAPSORT_"))
    sources = [str(config or "no configuration file"), *named]
    yield Check("settings", OK, ", ".join(sources))


def _runtime() -> Iterator[Check]:
    """Exactly one ONNX Runtime may be installed: two overwrite each other's files."""
    found = {}
    for name in RUNTIMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    said = " and ".join(f"{name} {version}" for name, version in found.items())
    if len(found) == 1:
        yield Check("ONNX Runtime", OK, said)
        return
    again = f"pip uninstall {' '.join(found)}; then install trapsort again"
    advice = again if found else "Install trapsort again: pip install --force-reinstall trapsort"
    yield Check("ONNX Runtime", PROBLEM, said or "is not installed", advice)


def _bundle(settings: Settings) -> Iterator[Check]:
    """Verify every file of the bundle and run its graph once."""
    from trapsort.bundle import load_bundle
    from trapsort.profile import apply_profile, read_profile, with_taxon
    from trapsort.session import open_session

    bundle = load_bundle(settings.bundle)
    said = f"{bundle.model_name} at {bundle.path}, sha256 {bundle.digest[:12]} and files verified"
    yield Check("bundle", OK, said)
    if settings.profile is not None:
        bundle = apply_profile(read_profile(settings.profile), bundle)
        yield Check("site profile", OK, str(settings.profile))
    if settings.taxon is not None:
        bundle = with_taxon(bundle, settings.taxon)
    session = open_session(replace(bundle, precision=settings.graph_precision))
    provider = session.provider
    if provider == "CPUExecutionProvider" and NVIDIA.exists():
        advice = "Photos are classified all the same. For the GPU, install CUDA and cuDNN."
        yield Check("provider", WARNING, f"{provider}, although there is an NVIDIA GPU", advice)
    else:
        yield Check("provider", OK, provider)
    close = ", but close calls in single" if session.precision in bundle.margins else ""
    said = f"{session.precision}{close}, of {' and '.join(bundle.graphs)}"
    yield Check("precision", OK, said)


def _threads(settings: Settings) -> Iterator[Check]:
    count = cores()
    said = f"{settings.workers} on {count} core{'' if count == 1 else 's'}"
    if settings.workers > 2 * count:
        yield Check("threads", WARNING, said, f"Set workers to {count}: more are not faster.")
    else:
        yield Check("threads", OK, said)


# The database ----------------------------------------------------------------------------------


def _database(url: str, full: bool) -> Iterator[Check]:
    from trapsort.store.health import examine as look
    from trapsort.store.migrate import REVISIONS

    file = sqlite_file(url)
    if file is not None and not os.path.lexists(file):
        advice = "Take in a card first (trapsort ingest DIR), or name another one with --db."
        yield Check("database", WARNING, f"there is none at {file} yet", advice)
        return
    health = look(url, full=full, seconds=CHECK_SECONDS)
    yield Check("database", OK, f"{health.name}, {health.server}")
    if health.is_empty:
        advice = "Take in a card: that makes the tables (trapsort ingest DIR)."
        yield Check("schema", WARNING, "it has no tables yet", advice)
        return
    if health.schema is None:
        advice = "Name another one with --db."
        yield Check("schema", PROBLEM, "it is not one of trapsort's", advice)
        return
    if health.is_newer:
        said = f"{health.schema}; this version knows up to {REVISIONS[-1]}"
        yield Check("schema", PROBLEM, said, "pip install --upgrade trapsort")
    elif health.is_older:
        said = f"{health.schema}, to become {REVISIONS[-1]}"
        advice = "Nothing: the next command that opens it migrates it, after a copy."
        yield Check("schema", WARNING, said, advice)
    else:
        yield Check("schema", OK, health.schema)
    if file is not None:
        yield from _integrity(health.faults, full)
        yield _journal(file, health.journal)
        yield from _rights(file)
    if health.derived:
        advice = "Nothing is lost; make them anew: trapsort doctor --rebuild"
        yield Check("index", PROBLEM, "; ".join(health.derived), advice)
    elif health.derived is not None:
        yield Check("index", OK, "says what the record says, as do the counts")
    if health.counts is not None:
        counts = (
            f"{number:,} {what.removesuffix('s') if number == 1 else what}"
            for what, number in health.counts.items()
        )
        yield Check("record", OK, ", ".join(counts))


def _integrity(faults: tuple[str, ...] | None, full: bool) -> Iterator[Check]:
    if faults is None:
        said = f"not checked to the end in {CHECK_SECONDS:g} s"
        yield Check("integrity", OK, f"{said}; doctor --full checks all of it")
    elif faults:
        advice = (
            "Keep a copy of the file, then restore a backup or save what is readable:"
            " sqlite3 DAMAGED .recover | sqlite3 NEW"
        )
        yield Check("integrity", PROBLEM, "; ".join(faults), advice)
    else:
        yield Check("integrity", OK, "whole, references included" if full else "whole")


def _journal(file: Path, mode: str | None) -> Check:
    mount = mount_of(os.path.realpath(file), mount_table())
    if mount is not None and mount.is_share:
        advice = "One program at a time is safe there; for several machines use PostgreSQL."
        return Check("journal", WARNING, f"{mode}, on a network drive ({mount.kind})", advice)
    if mode == "wal":
        return Check("journal", OK, "wal")
    advice = "Nothing is lost, but readers wait for writers: sqlite3 FILE 'PRAGMA journal_mode=WAL'"
    return Check("journal", WARNING, str(mode), advice)


def _rights(file: Path) -> Iterator[Check]:
    for place in (file, file.parent):
        if not os.access(place, os.W_OK):
            advice = "Allow writing there, or name another database with --db."
            yield Check("database", PROBLEM, f"{place} may not be written", advice)


def _disk(url: str) -> Iterator[Check]:
    """File system and free space where an SQLite file is or would be."""
    file = sqlite_file(url)
    if file is None:
        return
    place = next(each for each in file.absolute().parents if each.is_dir())
    free = shutil.disk_usage(place).free
    mount = mount_of(os.path.realpath(place), mount_table())
    kind = f" ({mount.kind})" if mount is not None else ""
    state = PROBLEM if free < LEAST_FREE else WARNING if free < LOW_FREE else OK
    advice = "" if state == OK else "Make room: a full disk stops ingest, though nothing is lost."
    yield Check("disk", state, f"{free / 1e9:,.1f} GB free at {place}{kind}", advice)


# A folder to be taken in -----------------------------------------------------------------------


def _folder(path: Path) -> Iterator[Check]:
    """Whether a folder can be read, and how `watch` would notice what arrives in it."""
    from trapsort.scan import card_of
    from trapsort.watch import POLL_SECONDS, way_of

    card = card_of(path)
    os.listdir(card.root)  # noqa: PTH208 - raises what a scan would meet
    mount = mount_of(os.path.realpath(card.root), mount_table())
    about = [mount.kind if mount else "", f"volume {card.volume}" if card.volume else ""]
    yield Check("folder", OK, ", ".join(filter(None, (str(card.root), *about))))
    way, limits = way_of(Path(card.root)), _inotify_limits()
    if way != "events":
        advice = f"Nothing: new photos are noticed, but up to {POLL_SECONDS:g} s later."
        yield Check("watching", WARNING, way, advice)
        return
    if limits is None:
        yield Check("watching", OK, way)
        return
    count, is_all = _count_folders(Path(card.root))
    watches, instances = limits
    needed = f"{count:,}{'' if is_all else ' or more'} watch{'' if count == 1 else 'es'}"
    said = f"{needed} needed, {watches:,} and {instances:,} instances allowed (inotify)"
    if count > watches:
        raise_it = f"sudo sysctl fs.inotify.max_user_watches={max(1 << 20, 2 * count)}"
        yield Check("watching", WARNING, f"polling: {said}", raise_it)
    else:
        yield Check("watching", OK, f"events: {said}")


def _inotify_limits() -> tuple[int, int] | None:
    """How many folders and programs a user may watch on Linux, None elsewhere."""
    try:
        watches, instances = (
            int((INOTIFY / name).read_text(encoding="ascii"))
            for name in ("max_user_watches", "max_user_instances")
        )
    except (OSError, ValueError):
        return None
    return watches, instances


def _count_folders(root: Path) -> tuple[int, bool]:
    """Folders at and below `root`, each of which takes a watch, and whether these are all."""
    end = time.monotonic() + CHECK_SECONDS
    count = 0
    for _ in os.walk(root):
        count += 1
        if time.monotonic() > end:
            return count, False
    return count, True
