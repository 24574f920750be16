"""The three ways that are measured: as published, trapsort, and decoding alone."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.measure import Way
from trapsort.bundle import Bundle
from trapsort.ensemble import Classifier
from trapsort.pipeline import ingest
from trapsort.store import Store

PUBLISHED = (
    "published",
    "full decode, bicubic to 224, MD5, pHash of the original, Keras predict by 32, one by one",
)
TRAPSORT = "trapsort", "the whole pipeline into a fresh SQLite database"
EVERYONE = "no cascade", "the same, every member asked of every photo"
FLOOR = "floor", "nothing but reading and JPEG decode at 1/8 scale, one thread"
SIDE = 224
KERAS_BATCH = 32


class Member(Protocol):
    """What is used of a Keras model."""

    def predict(self, batch: npt.NDArray[np.uint8], *, verbose: int) -> object:
        """Return the probabilities of a batch, uint8 (N, 224, 224, 3) RGB."""


def published_way(paths: Sequence[Path], bundle: Bundle) -> Way:
    """Return what the published program does with each photo, with the members of the bundle.

    The members are rebuilt in Keras without trained weights, which take as long as trained ones.
    In its favour: one decode serves the pixels and the hash, and nothing is written anywhere.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from training.backbones import BACKBONES
        from training.export import keras_members
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "training":
            raise
        return Way(*PUBLISHED, None, f"{error.name} is not installed (pip install '.[train]')")
    backbones = [backbone_of(name, BACKBONES) for name in bundle.members]
    members: list[Member] = keras_members(backbones, len(bundle.labels))

    def run() -> None:
        for start in range(0, len(paths), KERAS_BATCH):
            batch = np.stack([_prepared(path) for path in paths[start : start + KERAS_BATCH]])
            for member in members:
                member.predict(batch, verbose=0)

    return Way(*PUBLISHED, run)


def backbone_of(member: str, backbones: Iterable[str]) -> str:
    """Return the backbone that a member is named after: 'resnet50_v2' means 'ResNet50V2'."""

    def plain(name: str) -> str:
        return name.replace("_", "").lower()

    for backbone in backbones:
        if plain(backbone) == plain(member):
            return backbone
    raise ValueError(f"member {member!r} is named after no known backbone")


def _prepared(path: Path) -> npt.NDArray[np.uint8]:
    import imagehash

    data = path.read_bytes()
    hashlib.md5(data, usedforsecurity=False).hexdigest()
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.convert("RGB")
    imagehash.phash(pixels)
    return np.asarray(pixels.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def trapsort_way(
    folder: Path,
    count: int,
    classifier: Classifier,
    scratch: Path,
    stack: ExitStack,
    named: tuple[str, str] = TRAPSORT,
) -> Way:
    """Return the ingest of `folder`, each time into a new database below `scratch`.

    Making the database is done once in a user's life, so it is not timed; `stack` closes it.
    """
    stores: list[Store] = []

    def prepare() -> None:
        path = (scratch / f"{named[0]}-{len(stores)}.sqlite3").as_posix()
        stores.append(stack.enter_context(Store.open(f"sqlite:///{path}")))

    def run() -> None:
        account = ingest(folder, store=stores[-1], classifier=classifier)
        if account.recorded != count:
            raise RuntimeError(f"{count} photos should have been recorded: {account.sentence}")

    return Way(*named, run, prepare=prepare)


def everyone_way(folder: Path, count: int, bundle: Bundle, scratch: Path, stack: ExitStack) -> Way:
    """Return the same with all members asked of every photo: the most that a card can cost."""
    try:
        from training.evaluate import open_everyone
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "training":
            raise
        return Way(*EVERYONE, None, f"{error.name} is not installed (pip install '.[train]')")
    classifier = Classifier(bundle, open_everyone(bundle))
    return trapsort_way(folder, count, classifier, scratch, stack, EVERYONE)


def floor_way(paths: Sequence[Path]) -> Way:
    """Return the least that must be done: reading and the cheapest decode that JPEG allows."""

    def run() -> None:
        for path in paths:
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                image.draft("RGB", (image.width // 8, image.height // 8))
                image.load()

    return Way(*FLOOR, run)
