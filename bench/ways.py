"""The ways that are measured: as published, trapsort, and decoding alone."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.measure import Way
from trapsort.bundle import SINGLE, Bundle
from trapsort.ensemble import Classifier
from trapsort.jpeg import scaled
from trapsort.pipeline import ingest
from trapsort.session import CarefulSession, OnnxSession, Session, open_session
from trapsort.settings import cores
from trapsort.store import Store

SIDE = 224
KERAS_BATCH = 32
ONE_BY_ONE = 8  # photos a round of the slowest way: what it takes for one does not depend on it

TRAPSORT, EVERYONE = "trapsort", "trapsort, no cascade"
CLOSE = "trapsort, all calls close"
FLOOR = f"floor, {cores()} threads" if cores() > 1 else "floor"
FLOOR_ALONE = "floor, 1 thread"


class Member(Protocol):
    """What is used of a Keras model."""

    def predict(self, batch: npt.NDArray[np.uint8], *, verbose: int) -> object:
        """Return the probabilities of a batch, uint8 (N, 224, 224, 3) RGB."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all ways work on: the photos of a folder, the bundle, and room for databases.

    `stack` closes what a way opens.
    """

    folder: Path
    paths: Sequence[Path]
    bundle: Bundle
    scratch: Path
    stack: ExitStack


def published(setting: Setting, batch: int, *, decodes: int = 1) -> Way:
    """Return what the published program does with each photo, with the members of the bundle.

    The members are rebuilt in Keras without trained weights, which take as long as trained ones.
    In its favour: nothing is written anywhere, and unless `decodes` is 2, one decode serves the
    pixels and the hash.
    """
    twice = ", 2 decodes" if decodes == 2 else ""
    name = f"published, by {batch}{twice}"
    for_both = "one for the hash and one for the pixels" if twice else "one for hash and pixels"
    what = (
        f"MD5, full decode ({for_both}), pHash of the original, bicubic to {SIDE},"
        f" Keras predict by {batch}, photo after photo"
    )
    photos = setting.paths if batch > 1 else setting.paths[:ONE_BY_ONE]
    if batch > 1:
        photos = photos[:batch]
    try:
        members = _members(setting)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "training":
            raise
        missing = f"{error.name} is not installed (pip install '.[train]')"
        return Way(name, what, len(photos), None, missing)

    def run() -> None:
        for start in range(0, len(photos), batch):
            part = photos[start : start + batch]
            pixels = np.stack([_prepared(path, decodes) for path in part])
            for member in members:
                member.predict(pixels, verbose=0)

    return Way(name, what, len(photos), run)


def _members(setting: Setting) -> list[Member]:
    """The bundle's members in Keras; raises ModuleNotFoundError without Keras."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it tells of each graph that it traces
    from training.backbones import BACKBONES
    from training.export import keras_members

    backbones = [backbone_of(name, BACKBONES) for name in setting.bundle.members]
    return keras_members(backbones, len(setting.bundle.labels))


def backbone_of(member: str, backbones: Iterable[str]) -> str:
    """Return the backbone that a member is named after: 'resnet50_v2' means 'ResNet50V2'."""

    def plain(name: str) -> str:
        return name.replace("_", "").lower()

    for backbone in backbones:
        if plain(backbone) == plain(member):
            return backbone
    raise ValueError(f"member {member!r} is named after no known backbone")


def _prepared(path: Path, decodes: int) -> npt.NDArray[np.uint8]:
    import imagehash

    data = path.read_bytes()
    hashlib.md5(data, usedforsecurity=False).hexdigest()
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.convert("RGB")
    imagehash.phash(pixels)
    if decodes == 2:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.convert("RGB")
    return np.asarray(pixels.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def trapsort_way(setting: Setting, workers: int | None = None) -> Way:
    """Return the ingest of the folder, each time into a new database; a worker a core if not said.

    Making the database is done once in a user's life, so it is not timed.
    """
    name = TRAPSORT if workers is None else f"{TRAPSORT}, workers: {workers}"
    session = open_session(setting.bundle)
    what = (
        "the whole pipeline into a fresh SQLite database, "
        f"workers: {workers or cores()}, precision: {session.precision}"
    )
    return _ingest(setting, name, what, session, workers)


class AllClose(CarefulSession):
    """A session to which every call is close."""

    def close(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return that each is."""
        return np.ones(len(probabilities), bool)


def close_way(setting: Setting) -> Way:
    """Return the same as if every call were close, which loads both graphs: the most memory."""
    what = "the same as if every call were close: in 8 bits and again in single precision"
    quick = open_session(replace(setting.bundle, margins={}))
    if quick.precision == SINGLE or not isinstance(quick, OnnxSession):
        missing = f"no call is close in {quick.precision} precision"
        return Way(CLOSE, what, len(setting.paths), None, missing)
    return _ingest(setting, CLOSE, what, AllClose(quick, setting.bundle))


def everyone_way(setting: Setting) -> Way:
    """Return the same with all members asked of every photo: the most that a card can cost."""
    what = "the same, every member asked of every photo in single precision"
    try:
        from training.evaluate import open_everyone
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "training":
            raise
        missing = f"{error.name} is not installed (pip install '.[train]')"
        return Way(EVERYONE, what, len(setting.paths), None, missing)
    return _ingest(setting, EVERYONE, what, open_everyone(setting.bundle))


def _ingest(
    setting: Setting, name: str, what: str, session: Session, workers: int | None = None
) -> Way:
    classifier = Classifier(setting.bundle, session)
    stores: list[Store] = []

    def prepare() -> None:
        path = (setting.scratch / f"{name}-{len(stores)}.sqlite3").as_posix()
        stores.append(setting.stack.enter_context(Store.open(f"sqlite:///{path}")))

    def run() -> None:
        store = stores[-1]
        account = ingest(setting.folder, store=store, classifier=classifier, workers=workers)
        if account.recorded != len(setting.paths):
            raise RuntimeError(f"{len(setting.paths)} photos were to come: {account.sentence}")

    return Way(name, what, len(setting.paths), run, prepare=prepare)


def floor_way(setting: Setting, threads: int | None = None) -> Way:
    """Return the least that must be done: reading and the cheapest decode that JPEG allows.

    By as many threads as trapsort has workers where none are given.
    """
    count = threads or cores()
    name = FLOOR if threads is None else FLOOR_ALONE
    what = "nothing but reading and JPEG decode at 1/8 scale"

    def run() -> None:
        with ThreadPoolExecutor(count) as pool:
            for _ in pool.map(smallest, setting.paths):
                pass

    return Way(name, what, len(setting.paths), run)


def smallest(path: Path) -> None:
    """Read a JPEG file and decode it at 1/8 scale, as trapsort does or by Pillow."""
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (image.width // 8, image.height // 8))
        if scaled(data, image.size) is None:
            image.load()


WAYS: dict[str, Callable[[Setting], Way]] = {
    "published-32": lambda setting: published(setting, KERAS_BATCH),
    "published-32-twice": lambda setting: published(setting, KERAS_BATCH, decodes=2),
    "published-1": lambda setting: published(setting, 1),
    "trapsort": trapsort_way,
    "close": close_way,
    "everyone": everyone_way,
    "floor": floor_way,
    "floor-1": lambda setting: floor_way(setting, 1),
}
"""Every way, the published one first: it is what the others are compared with."""
