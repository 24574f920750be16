"""A bundle's folder gets a graph of another precision beside its own, or loses it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import onnx

from training.card import SECTION, write_card
from training.data import Dataset
from training.export import MOST_BYTES, ExportError, describe_files
from training.recipe import Recipe
from trapsort.bundle import INT8, SINGLE, load_bundle

FILE = "ensemble-int8.onnx"


def add_precision(
    dataset: Dataset,
    recipe: Recipe,
    folder: Path,
    graphs: tuple[onnx.ModelProto, onnx.ModelProto],
    figures: dict[str, Any],
) -> None:
    """Bring the bundle's folder up to date: whole or, where that fails, not at all.

    graphs: in single precision and in 8 bits; figures: what `metrics.json` and the card say of the
    second. Raises `ExportError` where the bundle would get too large.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        draft = Path(place) / folder.name
        shutil.copytree(folder, draft)
        table = json.loads((draft / "bundle.json").read_text("utf-8"))
        for name, model in zip((table["graph"], FILE), graphs, strict=True):
            (draft / name).write_bytes(model.SerializeToString())
        metrics = json.loads((draft / "metrics.json").read_text("utf-8"))
        metrics["precisions"] = {INT8: figures}
        text = json.dumps(metrics, indent=1)
        (draft / "metrics.json").write_text(text + "\n", encoding="utf-8")
        write_card(recipe, dataset.labels, metrics, draft / "MODEL_CARD.md")
        table.pop("files")
        table["graphs"] = {SINGLE: table["graph"], INT8: FILE}
        table["parity"] = {INT8: {each: figures[each] for each in ("development", "test")}}
        table["margins"] = {INT8: figures["margin"]["margin"]}
        table["files"] = describe_files(draft)
        size = sum(entry["bytes"] for entry in table["files"].values())
        if size > MOST_BYTES:
            raise ExportError(
                f"The bundle would take {size:,} bytes, more than {MOST_BYTES:,}.",
                "It is left in single precision.",
            )
        text = json.dumps(table, indent=1)
        (draft / "bundle.json").write_text(text + "\n", encoding="utf-8")
        load_bundle(draft)
        old = Path(place) / "before"
        folder.rename(old)
        draft.rename(folder)


def drop_precisions(folder: Path) -> None:
    """Leave a bundle's folder with single precision only: its other graphs say something else now.

    `bundle.json` is written without their keys; its digests are the caller's to renew.
    """
    path = folder / "bundle.json"
    table = json.loads(path.read_text("utf-8"))
    for precision, name in table.pop("graphs", {}).items():
        if precision != SINGLE:
            (folder / name).unlink()
            table["files"].pop(name, None)
    table.pop("parity", None)
    table.pop("margins", None)
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text("utf-8"))
    if metrics.pop("precisions", None) is not None:
        path.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        card = folder / "MODEL_CARD.md"
        before, _, after = card.read_text("utf-8").partition(f"\n## {SECTION}\n")
        _, _, rest = after.partition("\n## ")
        card.write_text(f"{before}\n## {rest}", encoding="utf-8")
