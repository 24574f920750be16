"""Photos divided once into parts and folds: whole groups, stratified by label."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from training.config import PublishedRecipe
from training.sources import Photo
from trapsort.errors import InputError

PARTS = ("train", "validation", "test")
LEAST = 3
"""Separate photos that each label needs: one to learn from, one to stop by, one to be tested on."""


def check_enough(photos: Sequence[Photo], folds: int) -> None:
    """Refuse labels with too few separate photos; raises `InputError`."""
    count = Counter(photo.label for photo in photos)
    groups = Counter(label for label, _ in {(p.label, p.group) for p in photos})
    needed = max(LEAST, folds + 1)
    if len(count) < 2:
        raise InputError(f"There is only the class {next(iter(count))}.", "Give two or more.")
    for label, photos_of_label in sorted(count.items()):
        if photos_of_label < needed:
            raise InputError(
                f"Class {label} has only {photos_of_label} photos.",
                f"Give at least {needed}, or leave the class out.",
            )
        if groups[label] < needed:
            raise InputError(
                f"The {photos_of_label} photos of class {label} are only {groups[label]} separate "
                "groups or sites.",
                f"Give at least {needed}, or leave the class out.",
            )


def split(
    photos: Sequence[Photo], recipe: PublishedRecipe
) -> tuple[list[Photo], NDArray[np.int64]]:
    """Photos with their part, and the fold of each (-1 for test photos, or without folds).

    Whole groups, stratified by label; a source's own `split` is kept. Raises `InputError` where a
    group is on two sides of it.
    """
    given = [photo.part for photo in photos]
    if any(given):
        divided = [replace(photo, part=photo.part or "train") for photo in photos]
        check_groups(divided)
    else:
        divided = list(photos)
        _take(divided, "test", recipe.source.test, recipe.seed)
    if not any(photo.part == "validation" for photo in divided):
        left = 1 - (0 if any(given) else recipe.source.test)
        _take(divided, "validation", recipe.source.validation / left, recipe.seed + 1)
    divided = [replace(photo, part=photo.part or "train") for photo in divided]
    check_groups(divided)
    _check_parts(divided)
    fold = np.full(len(divided), -1, np.int64)
    learned = [i for i, photo in enumerate(divided) if photo.part != "test"]
    if recipe.source.folds:
        fold[learned] = _deal([divided[i] for i in learned], recipe.source.folds, recipe.seed + 2)
    return divided, fold


def _take(photos: list[Photo], part: str, share: float, seed: int) -> None:
    """Give `part` to about `share` of the photos that have none yet, in place."""
    free = [i for i, photo in enumerate(photos) if photo.part in ("", "train")]
    if not share:
        return
    chosen = [photos[i] for i in free]
    groups = Counter(label for label, _ in {(p.label, p.group) for p in chosen})
    most = max(2, min(20, len({photo.group for photo in chosen}), *groups.values()))
    # as many parts as make the share come out best: an eighth is 2 of 16, not 2 of 20
    parts = min(range(most, 1, -1), key=lambda n: abs(max(1, round(share * n)) / n - share))
    dealt = _deal(chosen, parts, seed)
    taken = max(1, round(share * parts))
    for place, index in enumerate(free):
        if dealt[place] < taken:
            photos[index] = replace(photos[index], part=part)


def _deal(photos: Sequence[Photo], parts: int, seed: int) -> NDArray[np.int64]:
    label, group = [photo.label for photo in photos], [photo.group for photo in photos]
    dealt = np.empty(len(photos), np.int64)
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a label with fewer groups than parts is in some of them
        warnings.simplefilter("ignore", UserWarning)
        for part, (_, members) in enumerate(splitter.split(label, label, group)):
            dealt[members] = part
    return dealt


def check_groups(photos: Sequence[Photo]) -> None:
    """Refuse a split that tears a group or site apart; raises `InputError`."""
    part_of: dict[str, str] = {}
    for photo in photos:
        if part_of.setdefault(photo.group, photo.part) != photo.part:
            raise InputError(
                f"The group or site {photo.group!r} is on two sides of the split: "
                f"{part_of[photo.group]} and {photo.part}.",
                "Put all photos of a group or site on one side.",
            )


def _check_parts(photos: Sequence[Photo]) -> None:
    labels = {photo.label for photo in photos}
    for part in PARTS:
        without = labels - {photo.label for photo in photos if photo.part == part}
        if without and part != "validation":  # stopping by the others does
            raise InputError(
                f"Class {min(without)} has no photo in the part {part}.",
                "Give more separate photos of it, or leave the class out.",
            )


def joined_groups(photos: Sequence[Photo], left_out: dict[int, int | None]) -> list[Photo]:
    """Photos with those groups joined that hold the same picture.

    Without that, the frames of a copied burst could stand on both sides of the split.
    """
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while parent.setdefault(group, group) != group:
            group = parent[group]
        return group

    for index, twin in left_out.items():
        if twin is not None:
            parent[root(photos[index].group)] = root(photos[twin].group)
    return [replace(photo, group=root(photo.group)) for photo in photos]
