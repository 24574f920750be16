"""A recipe from photos to a bundle that classifies: small, but whole."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.small import draw_data, write_recipe
from trapsort.bundle import load_bundle
from trapsort.ensemble import Classifier
from trapsort.pipeline import classify_folder
from trapsort.session import open_session

pytest.importorskip("tensorflow", reason="the training packages are not installed")

PROJECT = Path(__file__).parents[2]


def draw_weights(path: Path) -> None:
    """Random weights in the place of ImageNet's, for the teacher and the witness."""
    import keras

    path.parent.mkdir()
    network = keras.applications.MobileNetV2(weights=None)
    arrays = {
        f"{layer.name}/{index}": array.astype(np.float16)
        for layer in network.layers
        for index, array in enumerate(layer.get_weights())
    }
    np.savez(path, **arrays)


def check_manifests(out: Path) -> None:
    """Each step says what it was made from; together they name every file but the arrays."""
    manifests = {
        step: json.loads((out / f"manifest-{step}.json").read_text("utf-8"))
        for step in ("prepare", "fit", "stack", "export")
    }
    named = [name for manifest in manifests.values() for name in manifest["outputs"]]
    kept = {
        str(path.relative_to(out))
        for path in out.rglob("*")
        if path.is_file() and path.suffix != ".npy" and not path.name.startswith("manifest-")
    }
    assert sorted(named) == sorted(kept)
    assert {"dataset.json", "test-digests.txt"} <= set(manifests["prepare"]["outputs"])
    assert {"front-0.npz", "front-final.npz"} <= set(manifests["fit"]["outputs"])
    assert set(manifests["stack"]["outputs"]) == {"stack.npz", "stack.json"}
    for step, before in (("fit", "prepare"), ("stack", "fit"), ("export", "stack")):
        digest = hashlib.sha256((out / f"manifest-{before}.json").read_bytes()).hexdigest()
        assert manifests[step]["inputs"][before] == digest
    assert "weights/mobilenetv2_imagenet.npz" in manifests["fit"]["inputs"]
    for manifest in manifests.values():
        assert manifest["seed"] == 5
        assert {"keras", "pillow", "scikit-learn", "trapsort"} <= set(manifest["versions"])


@pytest.mark.filterwarnings("ignore")  # Keras's and TensorFlow's own
def test_all_steps_make_a_bundle(tmp_path: Path) -> None:
    data = draw_data(tmp_path / "data", 12)
    draw_weights(tmp_path / "weights" / "mobilenetv2_imagenet.npz")
    recipe = write_recipe(tmp_path, {"front": "ResNet50V2"})
    command = [
        sys.executable, "-m", "training", "all", "--recipe", str(recipe), "--data", str(data),
        "--weights", str(tmp_path / "weights"), "--out", str(tmp_path / "out"),
        "--exports", str(tmp_path / "exports"),
    ]  # fmt: skip
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    folder = tmp_path / "exports" / "small-0.1.0"
    assert run.stdout.endswith(f"written to {folder}\n")
    bundle = load_bundle(folder)
    assert bundle.members == ("front",)
    assert bundle.labels == ("Lion", "Panda", "Rhino", "blank", "other_animal")
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert max(metrics["parity"].values()) <= 1e-4
    assert set(metrics["parity"]) == {"probabilities", "members", "features", "other"}
    assert bundle.decision.max_other is not None
    assert len(metrics["ablation"]) == 1
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    assert f"{metrics['test']['photos']} photos" in card
    answers = list(classify_folder(data / "species", Classifier(bundle, open_session(bundle))))
    assert sum(answer.prediction is not None for answer in answers) == 36
    once_more = [*command[:3], "fit", *command[4:]]
    again = subprocess.run(
        once_more, cwd=PROJECT, capture_output=True, text=True, env=environment, check=False
    )
    assert again.returncode == 0, again.stderr[-3000:]
    assert "run 0" not in again.stdout  # what is fitted is not fitted again
    check_manifests(tmp_path / "out")
    field = draw_data(tmp_path / "field", 6)
    for photo in sorted((field / "species").rglob("*.png")):  # no photo of the training run
        Image.open(photo).transpose(Image.Transpose.ROTATE_180).save(photo)
    said = [
        f"{field}/species/{name}/{n:03d}.png,{name}" for name in ("Lion", "Rhino") for n in (1, 2)
    ]
    said.append(f"{data}/species/Panda/001.png,Panda")
    (tmp_path / "reviewed.csv").write_text("\n".join(["path,label", *said]) + "\n", "utf-8")
    refit = [*command[:3], "stack", *command[4:], "--refit", str(tmp_path / "reviewed.csv")]
    newer = subprocess.run(
        refit, cwd=PROJECT, capture_output=True, text=True, env=environment, check=False
    )
    assert newer.returncode == 0, newer.stderr[-3000:]
    left_out = "1 of 5 corrected photos are in the training run already and are left out\n"
    assert left_out in newer.stderr
    after = load_bundle(tmp_path / "exports" / "small-0.1.1")
    assert (after.version, after.members) == ("0.1.1", bundle.members)
    figures = json.loads((after.path / "metrics.json").read_text("utf-8"))["refit"]
    assert (figures["from"], figures["corrections"]) == ("0.1.0", 4)
    assert "## Version 0.1.1: refitted" in (after.path / "MODEL_CARD.md").read_text("utf-8")
    assert load_bundle(folder).digest == bundle.digest  # the version before stays as it was
    recipe.write_text(recipe.read_text("utf-8").replace("zoom = 0.2", "zoom = 0.3"), "utf-8")
    other = subprocess.run(
        once_more, cwd=PROJECT, capture_output=True, text=True, env=environment, check=False
    )
    assert other.returncode == 2
    assert "The recipe is not the one that the files in" in other.stderr
