"""The model card and its figure, from the measured figures alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training.recipe import Recipe

ORIGINS = {
    "MobileNetV2": "Keras MobileNetV2, ImageNet, recovered from a public quantised model; "
    "Apache-2.0",
    "EfficientNetLite0": "EfficientNet-Lite0, ImageNet, recovered from a public quantised model "
    "with its batch norms folded; Apache-2.0",
    "EfficientNetB0": "EfficientNetB0 started from EfficientNet-Lite0's convolutions; Apache-2.0",
    "ResNet50V2": "Keras ResNet50V2, ImageNet, conv1 to conv4 recovered from a public quantised "
    "model that states no licence; conv5 started at random and learned EfficientNet-Lite0's "
    "feature maps of the training photos before it was fitted",
    "VGG16": "Keras VGG16, ImageNet",
}


SECTION = "In 8 bits"


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent."""
    return f"{share * 100:.{digits}f} %"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_card(recipe: Recipe, labels: Sequence[str], metrics: dict[str, Any], path: Path) -> None:
    """Write `MODEL_CARD.md`; every number in it comes from `metrics`."""
    sections = [
        _head(recipe, metrics),
        _results(recipe, metrics),
        _per_class(metrics),
        _confusion(labels, metrics),
        _negatives(metrics),
        _ablation(recipe, metrics),
        *_exits(recipe, metrics),
        *_precisions(recipe, metrics),
        _data(recipe, metrics),
        _limits(),
    ]
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _head(recipe: Recipe, metrics: dict[str, Any]) -> str:
    rule = metrics["rule"]
    return f"""# {recipe.name} {recipe.version}

{recipe.title}.
A stacked ensemble: {", ".join(m.backbone for m in recipe.members)}, joined by a multinomial
logistic regression on out-of-fold member probabilities, calibrated by temperature
({metrics["temperature"]:.2f}).
It names a species only where its calibrated probability is at least {rule["min_probability"]:.2f},
at least {rule["min_agreement"]} of the members asked put that species first, and the
photo lies within {rule["max_distance"]:.1f} whitened units of a species' centroid; else it abstains
and says why.{_witness(recipe)}

Every figure below was measured by
`python -m training all --recipe training/recipes/{recipe.name}.toml`, which also writes them to
`metrics.json`."""


def _witness(recipe: Recipe) -> str:
    if recipe.witness is None:
        return ""
    most = percent(1 - recipe.witness.quantile, 0)
    return f"""
A witness, MobileNetV2 with its ImageNet head, names nothing, but the bundle abstains
(`other_animal`) where it is surer of an animal of another kind than on all but {most} of the
species' own out-of-fold photos."""


def _results(recipe: Recipe, metrics: dict[str, Any]) -> str:
    share = percent(recipe.split.test_fraction, 0)
    test, folds = metrics["test"], metrics["out_of_fold"]
    low, high = test["top1_interval"]
    rows = [
        ["top-1 (all labels)", percent(test["top1"], 2), percent(folds["top1"], 2)],
        ["top-1 among the species", percent(test["top1_among_species"], 2), ""],
        [
            "coverage at the shipped thresholds",
            percent(test["coverage"]),
            percent(folds["coverage"]),
        ],
        [
            "accuracy of the accepted",
            percent(test["accuracy_of_accepted"], 2),
            percent(folds["accuracy_of_accepted"], 2),
        ],
        ["expected calibration error (15 bins)", f"{test['ece']:.3f}", f"{folds['ece']:.3f}"],
    ]
    reasons = ", ".join(f"{reason} {count}" for reason, count in test["reasons"].items())
    return f"""## Results

The test split ({test["photos"]} photos, {share} of the near-duplicate groups) took no part in
training, stacking, calibration or thresholds; members are chosen by out-of-fold figures. The 95 %
interval of its top-1 is {percent(low)} to {percent(high)}. Labels are scored as they came; some are
wrong, so no model can reach 100 %. Of {test["accepted"]} accepted test photos
{test["wrong_accepted"]} were named otherwise than their label.

{table(["", f"test ({test['photos']})", f"out of fold ({folds['photos']})"], rows)}

Abstained on the test photos: {reasons}.

![Reliability diagram of the test photos](reliability.png)"""


def _per_class(metrics: dict[str, Any]) -> str:
    rows = [
        [
            row["label"],
            str(row["photos"]),
            percent(row["precision"]),
            percent(row["recall"]),
            percent(row["f1"]),
            percent(row["coverage"]),
            percent(row["accuracy_of_accepted"]),
        ]
        for row in metrics["test"]["per_class"]
    ]
    head = ["label", "photos", "precision", "recall", "F1", "coverage", "accuracy of accepted"]
    return f"## Each species, test photos\n\n{table(head, rows)}"


def _confusion(labels: Sequence[str], metrics: dict[str, Any]) -> str:
    counts = metrics["test"]["confusion"]
    rows = [
        [labels[k], *(str(count) if count else "." for count in row)]
        for k, row in enumerate(counts)
    ]
    return (
        "## Confusion matrix, test photos\n\nRows: as labelled. Columns: most probable label.\n\n"
        + table(["", *labels], rows)
    )


def _negatives(metrics: dict[str, Any]) -> str:
    found = metrics["negatives"]
    rows = [
        [
            name + (" (species never seen)" if name in found["unseen_species"] else ""),
            str(row["photos"]),
            percent(row["false_species"]),
        ]
        for name, row in found["by_folder"].items()
    ]
    each = ", ".join(percent(rate) for rate in found["by_fold_ensemble"])
    every, seen, unseen = (
        percent(found[f"false_species{part}"]) for part in ("", "_seen", "_unseen")
    )
    folds = percent(metrics["out_of_fold"]["false_species"])
    return f"""## Photos of anything else

{found["photos"]} negatives were held out of the {len(found["by_fold_ensemble"])} fold ensembles,
whole species among them. At the shipped thresholds these report {every} of them as one of the
species ({each}): {seen} of things whose kind they had learned, {unseen} of species that they had
never seen. The shipped members were afterwards fitted with these photos as well, so that the bundle
knows them; the rates for photos that it has not seen are the ones given here. Of the negatives that
the fold ensembles did learn from, each scored by the ensemble that had seen neither it nor its
species, {folds} are reported as one of the species.
The held-out negatives were fitted to by nothing, but the witness and its limit were designed with
their rates in view: take the rates as optimistic.

{table(["folder", "photos", "reported as a species"], rows)}"""


def _ablation(recipe: Recipe, metrics: dict[str, Any]) -> str:
    rows = [
        [
            " + ".join(row["members"]),
            percent(row["out_of_fold_top1"], 2),
            percent(row["test_top1"], 2),
            f"{row['test_ece']:.3f}",
            f"{row['cpu_ms']:.1f}",
        ]
        for row in metrics["ablation"]
    ]
    head = ["members", "top-1 out of fold", "top-1 test", "ECE test", "CPU ms a photo"]
    note = ""
    if recipe.left_out_cost in metrics:
        note = (
            f"\n\n{recipe.left_out}, a member of the published ensemble, is not shipped: without "
            "its ImageNet weights no accuracy could be measured, and its graph alone costs "
            f"{metrics[recipe.left_out_cost]:.1f} CPU ms a photo."
        )
    return f"""## Which members, and what they cost

Each subset has a stack of its own. CPU time is of one core, batches of eight, members' graphs
alone; it differs from machine to machine, its ratios less.

{table(head, rows)}{note}"""


def _exits(recipe: Recipe, metrics: dict[str, Any]) -> list[str]:
    if recipe.cascade is None or not metrics["exits"]:
        return []
    rows = [
        [
            row["exit"],
            *(percent(row[f"{part}_share"]) for part in ("out_of_fold", "test")),
            *(percent(row[f"{part}_top1"], 2) for part in ("out_of_fold", "test")),
            *(f"{row[f'{part}_ece']:.3f}" for part in ("out_of_fold", "test")),
            f"{row['cpu_ms']:.1f}",
        ]
        for row in metrics["exits"]
    ]
    head = ["", "share out of fold", "share test", "top-1 out of fold", "top-1 test"]
    head += ["ECE out of fold", "ECE test", "CPU ms a photo"]
    first = " and ".join(member.backbone for member in recipe.always_asked)
    later = " and ".join(m.backbone for m in recipe.members[recipe.cascade.first :])
    return [
        f"""## The cascade

{first} are asked first. Where they put the same label first and their own
stack gives some label a calibrated probability of {metrics["cascade"]:.2f} or more, or gives that
to all labels together that are none of the species, that is the answer; else {later} is
asked too and the stack of all decides. The limit is the lowest, of 0.90 and more, at which the
out-of-fold Brier score is at most {percent(recipe.cascade.brier_margin, 0)} worse than that of
asking all members; each exit has a stack and a temperature of its own. Top-1 is of species photos,
all else of all photos.

{table(head, rows)}"""
    ]


def _precisions(recipe: Recipe, metrics: dict[str, Any]) -> list[str]:
    if "precisions" not in metrics:
        return []
    found = metrics["precisions"]["int8"]
    alone = found["alone"]
    parts = [each[name] for name in ("development", "test") for each in (alone, found)]
    pairs: dict[str, tuple[str, Callable[[float], str]]] = {
        "calibration error": ("ece", lambda share: f"{share:.3f}"),
        "coverage": ("coverage", percent),
        "accuracy of the accepted": ("accuracy_of_accepted", lambda share: percent(share, 2)),
        "top-1 (all labels)": ("top1", lambda share: percent(share, 2)),
    }
    rows = [
        ["same label", *(percent(part["agreement"], 2) for part in parts)],
        ["same answer", *(percent(part["same_answer"], 2) for part in parts)],
        ["drift of probability, mean", *(f"{part['mean_drift']:.4f}" for part in parts)],
        ["drift of probability, most", *(f"{part['most_drift']:.3f}" for part in parts)],
    ]
    rows += [
        [name, *(" to ".join(shown(each) for each in part[key]) for part in parts)]
        for name, (key, shown) in pairs.items()
    ]
    costs = [
        [row["name"], *(f"{each:.1f}" for each in row["cpu_ms"]), "yes" if row["int8"] else "no"]
        for row in found["networks"]
    ]
    for name, key in (("a photo as they come", "photo"), ("a photo that asks all", "everyone")):
        costs.append([name, *(f"{each:.1f}" for each in found["cpu_ms"][key]), ""])
    head = [f"{part} ({each['photos']})" for part, each in zip(_PARTS, parts, strict=True)]
    margin, views = f"{found['margin']['margin']:.2f}", f"{found['margin']['views']:,}"
    changed, left = found["margin"]["changed"], found["margin"]["left"]
    close = [percent(found["close"][name], 2) for name in ("development", "test")]
    return [
        f"""## {SECTION}

A second graph computes convolutions with 8-bit weights and activations, beginning with the bytes of
the photo as they are; heads, stack and calibration stay in single precision. It is used where the
CPU multiplies bytes fast. Ranges of activations and means of channels, which the biases restore,
come from development photos, as do linear corrections of the last dense layers and the whitening;
one augmented view of each of other development photos decided whether the graph may be
used. The members had learned from these photos, but not from the test photos, which decided
nothing. Pairs are single precision to 8 bits. An answer is a species or none.

A close call stays in single precision: where one of the two most probable labels is a species and
they are less than {margin} apart, that graph is asked instead. Of {views} views of the rest of the
development photos 8 bits put another species first, or one in place of none, in {changed}; in
{left} of these the labels were further apart. Calls are close for {close[0]} of the gate's views
and {close[1]} of the test photos.

{table(["", *head], rows)}

CPU milliseconds a photo, one thread, one photo at a time, both graphs in turn; they differ from
machine to machine, their ratios less.

{table(["", "single", "8 bits", "in 8 bits"], costs)}

Measured by `python -m training quantise --recipe training/recipes/{recipe.name}.toml`."""
    ]


_PARTS = (
    "development, views: 8 bits alone",
    "as used",
    "test: 8 bits alone",
    "as used",
)


def _data(recipe: Recipe, metrics: dict[str, Any]) -> str:
    rows = [[m.name, m.backbone, ORIGINS[m.backbone]] for m in recipe.members]
    if recipe.witness is not None:
        rows.append(["witness", "MobileNetV2", ORIGINS["MobileNetV2"] + "; not trained here"])
    return f"""## Data and starting weights

* Species: {metrics["species_photos"]} web photographs from a public repository,
  exact duplicates and conflicting labels removed; near-duplicates stay on one side of every split.
* Negatives: {metrics["negative_photos"]} photographs of blank frames and vehicles (camera traps of
  one site) and of other species (that site and the web).
* {metrics["mislabelled"]} training photos whose label a linear model on the other folds found very
  unlikely have weight 0 in training; nothing is scored without them.

{table(["member", "architecture", "starting weights"], rows)}"""


def _limits() -> str:
    return """## Limits

* Trained on web photographs: animals are large and in focus. A small or half-hidden animal in a
  camera-trap frame is outside of what was measured here; expect more abstentions.
* A whole-frame classifier: it sees the photo squeezed to 224 x 224 pixels, one answer a photo.
* Look-alike cats that it was not taught are its most frequent false species.
* Blank frames and vehicles come from one site; others may be called `novel` or `low_confidence`.
* `Panthers` are melanistic leopards and jaguars, `Rhino` is five species, `African_Elephant` two:
  their Red List category is a range.
* A probability is calibrated for photos like the test photos, most of which show one of the
  species."""


def draw_reliability(rows: Sequence[dict[str, float]], ece: float, path: Path) -> None:
    """Reliability diagram: accuracy against confidence, and how many photos each bin holds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    confidence = [row["confidence"] for row in rows]
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(5, 5.6), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    above.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfectly calibrated")
    above.plot(
        confidence, [row["accuracy"] for row in rows], "o-", color="#1f5f8b", label="measured"
    )
    above.set(ylabel="accuracy", ylim=(0, 1.02), title=f"Reliability, test photos (ECE {ece:.3f})")
    above.legend(frameon=False)
    below.bar(confidence, [row["photos"] for row in rows], width=0.05, color="#1f5f8b")
    below.set(xlabel="calibrated probability of the most probable label", ylabel="photos")
    below.set_yscale("log")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
