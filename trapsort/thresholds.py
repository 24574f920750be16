"""Thresholds that fit a site: the largest coverage at a wanted precision on its labelled photos."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trapsort.bundle import Bundle
from trapsort.ensemble import decide
from trapsort.errors import InputError
from trapsort.evaluate import Answers
from trapsort.labelled import Labelled
from trapsort.measures import Bools, Floats, Share, risk_coverage, share
from trapsort.profile import TEMPERATURES
from trapsort.scores import Scores

LEAST_PHOTOS = 50
"""Photos of species below which no threshold is fitted."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Temperature and smallest probability for a wanted precision, and what they stand on.

    photos, negatives: how many were fitted on; named_right: right ones among those of both that
    would be named; coverage: photos of species that would be.
    """

    temperature: float
    min_probability: float
    precision: float
    photos: int
    negatives: int
    named_right: Share
    coverage: Share


def parts(photos: Sequence[Labelled]) -> tuple[NDArray[np.intp], NDArray[np.intp], str]:
    """Places of the photos to fit on and of those to report on, and what parts them.

    The split `test` is reported on, where there are splits; else half of the sites, else of the
    groups, chosen by the digest of their names; else ('') both are all photos.
    """
    splits = np.array([photo.split.casefold() for photo in photos])
    if (splits != "").any():
        if "test" not in splits or (splits == "test").all():
            raise InputError(
                f"The column split holds {', '.join(sorted(repr(str(s)) for s in set(splits)))}.",
                "Thresholds are fitted on the other photos and reported on those of split 'test'.",
            )
        return np.flatnonzero(splits != "test"), np.flatnonzero(splits == "test"), "split"
    for column in ("site", "group"):
        names = [getattr(photo, column) for photo in photos]
        if len(set(names)) > 1:
            # A photo without a site or group is one of its own.
            keys = [name or f"/{photo.path}" for name, photo in zip(names, photos, strict=True)]
            fitted = _half(keys)
            chosen = np.array([key in fitted for key in keys])
            return np.flatnonzero(chosen), np.flatnonzero(~chosen), column
    return np.arange(len(photos)), np.arange(len(photos)), ""


def _half(keys: Sequence[str]) -> set[str]:
    """Some of the names, but not all, that hold about half of the places."""
    counts = Counter(keys)
    ordered = sorted(counts, key=lambda key: hashlib.sha256(os.fsencode(key)).digest())
    chosen: set[str] = set()
    held = 0
    for key in ordered[:-1]:
        if held < len(keys) / 2:
            chosen.add(key)
            held += counts[key]
    return chosen


def fit_thresholds(answers: Answers, bundle: Bundle, precision: float) -> Fit:
    """Fit a temperature, then the smallest probability for the largest coverage at a precision.

    precision: wanted share, 0..1, of right ones among all photos that are named, negatives
    included. The rest of the rule stays. Raises `InputError` for fewer than `LEAST_PHOTOS` photos
    of species, and where no threshold reaches the precision.
    """
    truth = [photo.label for photo in answers.photos]
    species = np.array([label in bundle.species for label in truth])
    if species.sum() < LEAST_PHOTOS:
        raise InputError(
            f"Thresholds cannot be fitted on {species.sum()} photos of species: too few.",
            f"Label at least {LEAST_PHOTOS} (some hundreds are better); "
            "without --fit-thresholds these are evaluated.",
        )
    temperature = round(_temperature(answers.scores, truth, bundle), 4)
    free = replace(
        bundle,
        temperature=temperature,
        decision=replace(bundle.decision, min_probability=0.0),
    )
    said = decide(answers.scores, free)
    named = np.array([each.label is not None for each in said])
    right: Bools = np.array([each.label == label for each, label in zip(said, truth, strict=True)])
    sure = np.array([each.probability or 0.0 for each in said])[named]
    threshold = _threshold(sure, right[named], precision)
    named[named] = sure >= threshold
    return Fit(
        temperature=temperature,
        min_probability=threshold,
        precision=precision,
        photos=int(species.sum()),
        negatives=int((~species).sum()),
        named_right=share(right[named]),
        coverage=share(named[species]),
    )


def _temperature(scores: Scores, truth: Sequence[str], bundle: Bundle) -> float:
    """Divisor of the logits with the least cross-entropy (Guo et al. 2017), in `TEMPERATURES`.

    Cross-entropy is convex in the inverse of the temperature: a golden-section search finds it.
    """
    possible = [label for label in bundle.labels if label not in bundle.masked]
    known = [place for place, label in enumerate(truth) if label in possible]
    columns = [bundle.labels.index(label) for label in possible]
    label = np.array([possible.index(truth[place]) for place in known])
    shares = scores.probabilities[known][:, columns].astype(np.float64)
    logits = np.log(np.maximum(shares, np.finfo(np.float32).tiny))

    def loss(inverse: float) -> float:
        scaled = logits * inverse
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(label)), label]).mean())

    ratio = (math.sqrt(5) - 1) / 2
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    for _ in range(48):  # leaves 1e-10 of the range
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return 2 / (low + high)


def _threshold(sure: Floats, right: Bools, precision: float) -> float:
    """Smallest probability above which at least `precision` are right; in 1/10,000 if it can be."""
    curve = risk_coverage(sure, right) if len(sure) else None
    reached = [] if curve is None else [*np.flatnonzero(1 - curve.risk >= precision - 1e-12)]
    if curve is None or not reached:
        best = "nothing is named" if curve is None else f"the best is {1 - curve.risk.min():.3f}"
        raise InputError(
            f"No min_probability gives a precision of {precision:g} on these photos: {best}.",
            "Ask for less with --precision, or look through the labels of the photos.",
        )
    place = int(reached[-1])
    exact = float(curve.probability[place])
    below = float(curve.probability[place + 1]) if place + 1 < len(curve.probability) else -1.0
    rounded = math.floor(exact * 10_000) / 10_000
    return rounded if float(np.float32(rounded)) > below else exact
