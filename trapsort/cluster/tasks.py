"""What a worker of a cluster does: load the model once, read files, and work on them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import trapsort
from trapsort.bundle import AUTO, Bundle, homes, load_bundle
from trapsort.cluster.apart import deaths
from trapsort.ensemble import Classifier
from trapsort.errors import BundleError, InputError, PhotoError
from trapsort.examine import RETRIED, Batch, Failure, Item, failure_of, read, work
from trapsort.fingerprint import Content
from trapsort.in_hand import DIED, MOST_DEATHS, InHand
from trapsort.profile import Profile, apply_profile, with_taxon
from trapsort.scan import Photo
from trapsort.session import open_session
from trapsort.urls import Url

Root = Path | Url


@dataclass(frozen=True, slots=True)
class Model:
    """Which model workers are to load, and how they know that it is the right one.

    bundle: a name with its version, or an absolute folder that they see, too; digest: that of
    bundle, profile and taxon together; version: trapsort's; precision: which graph is wanted, by
    each worker's own CPU where that is automatic.
    """

    bundle: str
    profile: Profile | None
    taxon: str | None
    digest: str
    version: str
    precision: str = AUTO

    @classmethod
    def of(cls, bundle: Bundle, profile: Profile | None, taxon: str | None) -> Model:
        """The model that a coordinator uses; `bundle` with profile and taxon in force."""
        ships = bundle.path.parent in homes()
        named = bundle.model_name if ships else os.fspath(bundle.path.absolute())
        version = trapsort.__version__
        return cls(named, profile, taxon, bundle.digest, version, bundle.precision)


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """A handful of files in a worker's memory; those that cannot be read are `failures`.

    A file whose reading failed for want of memory is in neither and read anew.
    """

    items: tuple[Item, ...]
    contents: dict[bytes, Content]
    failures: dict[bytes, Failure]


_loaded: dict[str, Classifier] = {}
_loading = threading.Lock()


def classifier_of(model: Model) -> Classifier:
    """The model's classifier, loaded once a process.

    Raises `BundleError` where this worker has no such bundle, another one under its name, or
    another trapsort.
    """
    with _loading:
        name = f"{model.digest} {model.precision}"
        if name not in _loaded:
            _loaded.clear()  # another run's
            _loaded[name] = _load(model)
        return _loaded[name]


def _load(model: Model) -> Classifier:
    here = socket.gethostname()
    if model.version != trapsort.__version__:
        raise BundleError(
            f"The worker on {here} has trapsort {trapsort.__version__}, not {model.version}.",
            "Install the same version on all machines.",
        )
    try:
        bundle = replace(load_bundle(model.bundle), precision=model.precision)
        bundle = bundle if model.profile is None else apply_profile(model.profile, bundle)
        bundle = bundle if model.taxon is None else with_taxon(bundle, model.taxon)
    except (BundleError, InputError) as error:
        raise BundleError(
            f"The worker on {here} cannot load the bundle: {error.message}",
            f"Put the same bundle at {model.bundle} there, or give --bundle a folder that all see.",
        ) from error
    if bundle.digest != model.digest:
        raise BundleError(
            f"The worker on {here} has another bundle {model.bundle} than this machine.",
            "Copy the same bundle to all machines.",
        )
    return Classifier(bundle, open_session(bundle))


def ready(model: Model, root: Root) -> str:
    """Load the model and look for the card; return the worker's host name.

    Raises `BundleError` as `classifier_of`, and `InputError` where the card cannot be seen.
    """
    classifier_of(model)
    _check_sees(root)
    return socket.gethostname()


def _check_sees(root: Root) -> None:
    if not root.is_dir():
        raise InputError(
            f"The worker on {socket.gethostname()} does not see {root}.",
            "Mount it there under the same path, or let it log in to the same store.",
        )


def read_files(items: Sequence[Item], root: Root) -> ReadFiles:
    """Read a handful of files, and keep them in this worker's memory.

    Raises `InputError` where this worker does not see the card: else its files would seem gone.
    """
    _check_sees(root)
    contents, failures = {}, {}
    for item in items:
        if isinstance(item, Photo):
            try:
                contents[item.relative] = read(item)
            except PhotoError as error:
                if error.reason not in RETRIED:
                    failures[item.relative] = failure_of(item, error, root.is_dir)
            except MemoryError:
                continue  # tried once more, alone, by `work_on`
    return ReadFiles(tuple(items), contents, failures)


def digests(files: ReadFiles) -> list[bytes]:
    """The sha256 of each file that could be read."""
    return [content.sha256 for content in files.contents.values()]


def work_on(
    files: ReadFiles, known: frozenset[bytes], model: Model, root: Root, *, apart: bool
) -> Batch:
    """Decode and classify what is not known; with `apart` only what a process survived."""
    items = [item for item in files.items if item.relative not in files.failures]
    fatal: list[Failure] = []
    if apart:
        for photo in [item for item in items if isinstance(item, Photo)]:
            content = files.contents.get(photo.relative)
            died = 0 if content is not None and content.sha256 in known else deaths(photo)
            if died >= MOST_DEATHS:
                fatal.append(Failure(photo, "fatal", DIED.format(died)))
                items.remove(photo)
    batch = work(
        items,
        is_known=known.__contains__,
        classifier=classifier_of(model),
        in_hand=InHand(),
        is_there=root.is_dir,
        contents=files.contents,
    )
    batch.failures.extend([*files.failures.values(), *fatal])
    return batch
