"""What a network is worth on test photos: figures by scikit-learn, drawn by seaborn."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import seaborn as sns
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn import metrics

from training.fit import Floats
from training.prepared import PhotoSet
from trapsort.redlist import CATEGORIES, COLOURS, RedList

AVERAGES = ("micro", "macro", "weighted")
_CURVES = 12  # classes of which each gets a ROC curve of its own


def score(label: NDArray[np.int64], said: Floats, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, log loss, precision, recall and F1 three ways, ROC-AUC, report and confusion.

    label (n,); said: probabilities (n, labels). ROC-AUC is None where a class has no photo; of more
    than two classes it is each against the rest, macro-averaged.
    """
    every, best = list(range(len(labels))), said.argmax(axis=1)
    with warnings.catch_warnings():  # a class that nothing is taken for has no precision: 0
        warnings.simplefilter("ignore")
        averages = {
            average: metrics.precision_recall_fscore_support(
                label, best, labels=every, average=average, zero_division=0
            )[:3]
            for average in AVERAGES
        }
        report = metrics.classification_report(
            label, best, labels=every, target_names=list(labels), output_dict=True, zero_division=0
        )
    names = ("precision", "recall", "f1")
    return {
        "photos": len(label),
        "accuracy": float(metrics.accuracy_score(label, best)),
        "loss": float(metrics.log_loss(label, _exact(said), labels=every)),
        **{
            name: {average: float(averages[average][place]) for average in AVERAGES}
            for place, name in enumerate(names)
        },
        "roc_auc": roc_auc(label, said),
        "report": report,
        "confusion": metrics.confusion_matrix(label, best, labels=every).tolist(),
    }


def write_report(label: NDArray[np.int64], said: Floats, labels: Sequence[str], path: Path) -> None:
    """scikit-learn's classification report as text: each class, and the averages."""
    text = metrics.classification_report(
        label,
        said.argmax(axis=1),
        labels=list(range(len(labels))),
        target_names=list(labels),
        digits=4,
        zero_division=0,
    )
    path.write_text(text, encoding="utf-8")


def roc_auc(label: NDArray[np.int64], said: NDArray[Any]) -> float | None:
    """Area under the ROC curve, or None where a class has no photo."""
    if len(np.unique(label)) < said.shape[1]:
        return None
    if said.shape[1] == 2:
        return float(metrics.roc_auc_score(label, said[:, 1]))
    return float(metrics.roc_auc_score(label, _exact(said), multi_class="ovr", average="macro"))


def _exact(said: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities in double precision, whose rows sum to 1 as scikit-learn wants them."""
    shares: NDArray[np.float64] = said.astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def masked(said: Floats, photos: PhotoSet, index: NDArray[np.int64], rank: str) -> Floats:
    """Probabilities (n, labels) once the taxon of each photo at `rank` is known.

    Those of other taxa become 0 and the rest is divided by its sum, which equals masking the
    logits before the softmax.
    """
    taxon = np.array([photos.taxa.get(label, {}).get(rank, "") for label in photos.labels])
    possible = taxon[None, :] == taxon[photos.label[index]][:, None]
    left = np.where(possible, said, 0.0)
    shares: Floats = (left / np.maximum(left.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return shares


def draw_confusion(confusion: Sequence[Sequence[int]], labels: Sequence[str], path: Path) -> None:
    """Confusion matrix: numbers of photos, coloured by the share of their class."""
    counts = np.array(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side, few = max(4.0, 0.45 * len(labels) + 2), len(labels) <= 30
    figure = Figure(figsize=(min(side, 24), min(side, 24)), layout="constrained")
    axes = figure.subplots()
    ticks: Any = list(labels) if few else "auto"
    sns.heatmap(
        share,
        ax=axes,
        annot=counts if few else None,
        fmt="d",
        cmap="Blues",
        vmin=0,
        vmax=1,
        xticklabels=ticks,
        yticklabels=ticks,
        cbar_kws={"label": "share of the class", "shrink": 0.7},
        square=True,
    )
    axes.set(xlabel="predicted", ylabel="is")
    axes.tick_params(axis="x", rotation=90)
    axes.tick_params(axis="y", rotation=0)
    figure.savefig(path, dpi=100)


def draw_roc(label: NDArray[np.int64], said: Floats, labels: Sequence[str], path: Path) -> None:
    """ROC curves: one of two classes, one each of a few, the micro-average of many."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    if len(labels) == 2:
        curves = [(labels[1], label == 1, said[:, 1])]
    elif len(labels) <= _CURVES:
        curves = [(name, label == k, said[:, k]) for k, name in enumerate(labels)]
    else:
        every = np.eye(len(labels), dtype=bool)[label]
        curves = [("micro-average", every.ravel(), said.ravel())]
    for name, truth, shares in curves:
        if truth.any() and not truth.all():
            metrics.RocCurveDisplay.from_predictions(truth, shares, name=name, ax=axes)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=100)


def draw_bars(values: Mapping[str, Mapping[str, float]], ylabel: str, path: Path) -> None:
    """Grouped bars: group -> series -> value, 0 to 1, each with its number."""
    figure = Figure(figsize=(1.5 + 1.6 * len(values), 4), layout="constrained")
    axes = figure.subplots()
    table = {"group": [], "series": [], "value": []}  # type: dict[str, list[Any]]
    for group, series in values.items():
        for name, value in series.items():
            for key, entry in zip(table, (group, name, value), strict=True):
                table[key].append(entry)
    sns.barplot(table, x="group", y="value", hue="series", ax=axes)
    for bars in axes.containers:
        axes.bar_label(cast(BarContainer, bars), fmt="%.2f", fontsize=7)
    axes.set(ylim=(0, 1.08), xlabel="", ylabel=ylabel)
    axes.legend(title="", fontsize=8, loc="lower right")
    figure.savefig(path, dpi=100)


def draw_folds(scores: Mapping[str, Sequence[float]], path: Path) -> None:
    """Accuracy of each network on each fold, with their spread."""
    figure = Figure(figsize=(1.5 + 1.6 * len(scores), 4), layout="constrained")
    axes = figure.subplots()
    table = {
        "network": [name for name, values in scores.items() for _ in values],
        "accuracy": [value for values in scores.values() for value in values],
    }
    sns.boxplot(table, x="network", y="accuracy", ax=axes, color="lightsteelblue", width=0.5)
    sns.stripplot(table, x="network", y="accuracy", ax=axes, color="black", size=5, jitter=False)
    axes.set(xlabel="", ylabel="accuracy on the fold", title="Cross-validation")
    figure.savefig(path, dpi=100)


def draw_misclassified(
    photos: PhotoSet, index: NDArray[np.int64], said: Floats, path: Path, *, most: int = 20
) -> int:
    """A gallery of the surest wrong answers; how many wrong answers there are."""
    best = said.argmax(axis=1)
    wrong = np.flatnonzero(best != photos.label[index])
    shown = wrong[np.argsort(-said[wrong].max(axis=1), kind="stable")][:most]
    rows = max(1, -(-len(shown) // 5))
    figure = Figure(figsize=(11, 2.6 * rows + 0.5), layout="constrained")
    for axes, place in zip(figure.subplots(rows, 5).flat, [*shown, *[-1] * 5 * rows], strict=False):
        axes.set_axis_off()
        if place >= 0:
            own = photos.labels[photos.label[index[place]]]
            axes.imshow(photos.pixels[index[place]])
            axes.set_title(
                f"{own}\nas {photos.labels[best[place]]} {said[place].max():.2f}", fontsize=8
            )
    figure.suptitle(f"{len(wrong)} of {len(index)} wrong; the surest {len(shown)}", fontsize=10)
    figure.savefig(path, dpi=100)
    return len(wrong)


def iucn_counts(label: NDArray[np.int64], labels: Sequence[str], known: RedList) -> dict[str, int]:
    """How many photos of each IUCN category, ranges after the categories; unknown ones as `NE`."""
    counts = Counter(known.category(labels[k]) or "NE" for k in label)
    order = {category: place for place, category in enumerate(CATEGORIES)}
    return dict(sorted(counts.items(), key=lambda item: (order.get(item[0], 99), item[0])))


def draw_iucn(truth: Mapping[str, int], said: Mapping[str, int], mapping: str, path: Path) -> None:
    """Photos of each IUCN category, by their labels and by what was said of them."""
    categories = list(dict.fromkeys([*truth, *said]))
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(categories))
    colours = [COLOURS.get(category.rpartition("-")[2], "#888888") for category in categories]
    for shift, counts, hatch, name in ((-0.2, truth, "", "labels"), (0.2, said, "//", "predicted")):
        bars = axes.bar(
            places + shift,
            [counts.get(category, 0) for category in categories],
            0.38,
            color=colours,
            edgecolor="black",
            hatch=hatch,
            label=name,
        )
        axes.bar_label(bars, fontsize=7)
    axes.set_xticks(places, categories)
    axes.set(ylabel="test photos", title=f"IUCN categories of the predictions ({mapping})")
    axes.legend()
    figure.savefig(path, dpi=100)
