"""How far the names can be trusted: reviews against the model's answers, else the bundle's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trapsort.bundle import REASON_OF_REJECTION
from trapsort.measures import Share, wilson

if TYPE_CHECKING:
    import pandas as pd

    from trapsort.bundle import Bundle
    from trapsort.store import Judged

BINS = 10
ENOUGH = 100  # reviews below which the words warn


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of a reliability diagram and where they come from, in words.

    bins: sure (mean probability), right (share), photos, low, high (95 %, Wilson), no row where
    nothing is known.
    """

    bins: pd.DataFrame
    words: str
    alt: str


def from_reviews(judged: Sequence[Judged]) -> Reliability | None:
    """Compare what people said with the most probable label; None without such reviews.

    Answers whose most probable label is no species are left out: what a person calls another
    animal has many names.
    """
    import numpy as np
    import pandas as pd

    asked = [each for each in judged if each.best not in REASON_OF_REJECTION]
    if not asked:
        return None
    sure = np.array([each.probability for each in asked])
    right = np.array([each.said == each.best for each in asked])
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    grouped = pd.DataFrame({"place": place, "sure": sure, "right": right}).groupby("place")
    rows = [
        (float(part["sure"].mean()), int(part["right"].sum()), len(part)) for _, part in grouped
    ]
    named = [each for each in asked if each.label is not None]
    hits = Share(sum(each.said == each.label for each in named), len(named))
    words = f"From {len(asked):,} photos that people have looked at in this record."
    if hits.value is not None and hits.interval is not None:
        low, high = hits.interval
        words += (
            f" Where the model named a species, {hits.count:,} of {hits.of:,} names were right "
            f"({hits.value:.1%}; 95 % interval {low:.1%} to {high:.1%})."
        )
    words += " People choose what they look at, so this is no random sample"
    words += "; and it is a small one." if len(asked) < ENOUGH else "."
    return _reliability(rows, words)


def from_bundle(bundle: Bundle | None) -> Reliability:
    """Take the figures of the bundle's own test photos, where it brings them."""
    none = "Nobody has reviewed a photo that the model named, and"
    if bundle is None:
        return _reliability([], f"{none} the model's own figures are not at hand.")
    try:
        table = json.loads((bundle.path / "metrics.json").read_bytes())["test"]
        bins = [
            (bin_["confidence"], bin_["accuracy"], bin_["photos"]) for bin_ in table["reliability"]
        ]
        rows = [
            (float(sure), round(float(right) * int(photos)), int(photos))
            for sure, right, photos in bins
        ]
        photos, accepted = int(table["photos"]), float(table["accuracy_of_accepted"])
    except (OSError, ValueError, KeyError, TypeError):
        return _reliability([], f"{none} {bundle.model_name} brings no figures of its own.")
    words = (
        f"{none} so these are the figures of the model's card: {bundle.model_name} on its "
        f"{photos:,} test photos, {accepted:.1%} of whose accepted names were right. They were not "
        "taken at these stations; review some photos to see how it does here."
    )
    return _reliability(rows, words)


def _reliability(rows: Sequence[tuple[float, int, int]], words: str) -> Reliability:
    """Make bins of mean probability, right answers and photos."""
    import pandas as pd

    bins = pd.DataFrame(
        [(sure, right / of, of, *wilson(right, of)) for sure, right, of in rows],
        columns=["sure", "right", "photos", "low", "high"],
    )
    alt = (
        "Reliability diagram: how often the model was right against how sure it was. "
        + "; ".join(
            f"{sure:.0%} sure, {right / of:.0%} of {of:,} right" for sure, right, of in rows
        )
    )
    return Reliability(bins, words, alt)
