"""A recipe from photos to a bundle that classifies: small, but whole; and resumed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.training.small import draw_data, write_recipe
from trapsort.bundle import Bundle, load_bundle
from trapsort.classify import classify_folder
from trapsort.ensemble import Classifier
from trapsort.session import open_session

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

from training.__main__ import main

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Keras's and TensorFlow's own
]

PROJECT = Path(__file__).parents[2]
STEPS = ("prepare", "explore", "fit", "stack", "export", "explain")


def draw_weights(path: Path) -> None:
    """Random weights in the place of ImageNet's, for the teacher and the witness."""
    import keras

    path.parent.mkdir()
    keras.utils.set_random_seed(5)
    network = keras.applications.MobileNetV2(weights=None)
    arrays = {
        f"{layer.name}/{index}": array.astype(np.float16)
        for layer in network.layers
        for index, array in enumerate(layer.get_weights())
    }
    np.savez(path, **arrays)


@dataclass(frozen=True)
class Whole:
    """A run of all steps: its folder, and what it said."""

    folder: Path
    said: str

    @property
    def recipe(self) -> Path:
        return self.folder / "small.toml"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def bundle(self, version: str = "0.1.0") -> Bundle:
        return load_bundle(self.folder / "exports" / f"small-{version}")

    def again(self, step: str, *options: str) -> Result:
        return train(self.folder, step, *options)


def train(folder: Path, step: str, *options: str) -> Result:
    arguments = [
        step, "--recipe", str(folder / "small.toml"), "--data", str(folder / "data"),
        "--weights", str(folder / "weights"), "--out", str(folder / "out"),
        "--exports", str(folder / "exports"), *options,
    ]  # fmt: skip
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("small")
    draw_data(folder / "data", 8)
    draw_weights(folder / "weights" / "mobilenetv2_imagenet.npz")
    write_recipe(folder, {"front": "ResNet50V2"})
    done = train(folder, "all")
    assert done.exit_code == 0, done.output[-3000:]
    return Whole(folder, done.stdout)


def test_all_steps_make_a_bundle_that_classifies(run: Whole) -> None:
    bundle = run.bundle()
    assert run.said.endswith(f"written to {bundle.path}\n")
    assert bundle.members == ("front",)
    assert bundle.labels == ("Lion", "Panda", "Rhino", "blank", "other_animal")
    metrics = json.loads((bundle.path / "metrics.json").read_text("utf-8"))
    assert max(metrics["parity"].values()) <= 1e-4
    assert set(metrics["parity"]) == {"probabilities", "members", "features", "other"}
    assert bundle.decision.max_other is not None
    assert len(metrics["ablation"]) == 1
    card = (bundle.path / "MODEL_CARD.md").read_text("utf-8")
    assert f"{metrics['test']['photos']} photos" in card
    left_out = f"its graph alone costs {metrics['mobilenetv2_cpu_ms']:.1f} CPU ms a photo"
    assert left_out in card
    photos = run.folder / "data" / "species"
    answers = list(classify_folder(photos, Classifier(bundle, open_session(bundle))))
    assert sum(answer.prediction is not None for answer in answers) == 24


def test_every_step_says_what_it_was_made_from(run: Whole) -> None:
    """Together the manifests name every file but the arrays, and each step those before it."""
    manifests = {
        step: json.loads((run.out / f"manifest-{step}.json").read_text("utf-8")) for step in STEPS
    }
    named = [name for manifest in manifests.values() for name in manifest["outputs"]]
    kept = {
        str(path.relative_to(run.out))
        for path in run.out.rglob("*")
        if path.is_file() and path.suffix != ".npy" and not path.name.startswith("manifest-")
    }
    assert sorted(named) == sorted(kept)
    assert {"dataset.json", "test-digests.txt"} <= set(manifests["prepare"]["outputs"])
    assert {"front-0.npz", "front-final.npz"} <= set(manifests["fit"]["outputs"])
    assert set(manifests["stack"]["outputs"]) == {"stack.npz", "stack.json"}
    for step, before in (
        ("explore", "prepare"),
        ("fit", "prepare"),
        ("stack", "fit"),
        ("export", "stack"),
        ("explain", "export"),
    ):
        digest = hashlib.sha256((run.out / f"manifest-{before}.json").read_bytes()).hexdigest()
        assert manifests[step]["inputs"][before] == digest
    assert "weights/mobilenetv2_imagenet.npz" in manifests["fit"]["inputs"]
    for manifest in manifests.values():
        assert manifest["seed"] == 5
        assert {"keras", "pillow", "scikit-learn", "trapsort"} <= set(manifest["versions"])


FIGURES = {
    "explore": {"classes", "classes-pie", "sizes", "resolution", "samples"},
    "explain": {"front", "ensemble"},
}


@pytest.mark.parametrize("step", FIGURES)
def test_every_figure_is_drawn(run: Whole, step: str) -> None:
    drawn = {path.stem: path for path in (run.out / step).glob("*.png")}
    assert drawn.keys() == FIGURES[step]
    for path in drawn.values():
        with Image.open(path) as image:
            assert len(set(image.convert("RGB").resize((64, 64)).getdata())) > 10, path


def test_the_figures_are_of_development_photos(run: Whole) -> None:
    table = json.loads((run.out / "dataset.json").read_text("utf-8"))["photos"]
    counts: dict[str, int] = {}
    for photo in table:
        if photo["fold"] >= 0:
            counts[photo["label"]] = counts.get(photo["label"], 0) + 1
    said = json.loads((run.out / "explore" / "explore.json").read_text("utf-8"))
    assert said["classes"] == counts
    assert said["photos"] == sum(counts.values())
    assert said["modes"] == {"RGB": said["photos"]}
    assert said["width"] == {"least": 80, "median": 80.0, "most": 80}
    assert said["height"] == {"least": 60, "median": 60.0, "most": 60}


def test_what_is_shown_of_a_member_are_the_maps_of_its_graph(
    run: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the label that the bundle answers; where there is one member the mean is that member's."""
    from training import gradcam
    from training.data import load_dataset

    seen = {}

    def keep(shown: object, truth: object, said: object, heat: object, name: str, _: Path) -> None:
        seen[name] = (shown, truth, said, heat)

    normalised = gradcam.normalised
    monkeypatch.setattr(gradcam, "_draw", keep)
    monkeypatch.setattr(gradcam, "normalised", lambda maps: maps)  # else nothing is below zero
    dataset, bundle = load_dataset(run.out), run.bundle()
    gradcam.draw_bundle(bundle, dataset, tmp_path)
    shown, truth, said, heat = seen["front"]
    index = gradcam.spread(dataset.test)
    np.testing.assert_array_equal(shown, dataset.pixels[index])
    assert truth == [dataset.labels[k] for k in dataset.label[index]]
    scores = open_session(bundle).run(dataset.pixels[index])
    best = scores.probabilities.argmax(axis=1)
    assert [name for name, _ in said] == [bundle.labels[k] for k in best]
    maps = gradcam.graph_maps(bundle.path / "ensemble.onnx", dataset.pixels[index], best)[:, 0]
    assert np.abs(maps).max() > 0
    np.testing.assert_allclose(heat, maps, atol=1e-6)
    np.testing.assert_allclose(seen["ensemble"][3], normalised(maps), atol=1e-6)


def test_resume_does_only_what_is_not_whole(run: Whole) -> None:
    (run.out / "explain" / "front.png").write_bytes(b"")
    before = (run.out / "stack.npz").stat().st_mtime_ns
    done = run.again("all", "--resume")
    assert done.exit_code == 0, done.output[-3000:]
    whole = [line for line in done.stderr.splitlines() if line.endswith("whole, nothing to do")]
    assert [line.split(":")[0] for line in whole] == list(STEPS[:-1])
    assert (run.out / "explain" / "front.png").stat().st_size > 5000
    assert (run.out / "stack.npz").stat().st_mtime_ns == before


def test_what_is_fitted_is_not_fitted_again(run: Whole) -> None:
    done = run.again("fit")
    assert done.exit_code == 0, done.output[-3000:]
    assert "run 0" not in done.stdout


def test_a_refit_makes_the_next_version(run: Whole, tmp_path: Path) -> None:
    field = draw_data(tmp_path / "field", 6)
    for photo in sorted((field / "species").rglob("*.png")):  # no photo of the training run
        Image.open(photo).transpose(Image.Transpose.ROTATE_180).save(photo)
    said = [
        f"{field}/species/{name}/{n:03d}.png,{name}" for name in ("Lion", "Rhino") for n in (1, 2)
    ]
    said.append(f"{run.folder}/data/species/Panda/001.png,Panda")
    (tmp_path / "reviewed.csv").write_text("\n".join(["path,label", *said]) + "\n", "utf-8")
    bundle = run.bundle()
    done = run.again("stack", "--refit", str(tmp_path / "reviewed.csv"))
    assert done.exit_code == 0, done.output[-3000:]
    left_out = "1 of 5 corrected photos are in the training run already and are left out\n"
    assert left_out in done.stderr
    after = run.bundle("0.1.1")
    assert (after.version, after.members) == ("0.1.1", bundle.members)
    figures = json.loads((after.path / "metrics.json").read_text("utf-8"))["refit"]
    assert (figures["from"], figures["corrections"]) == ("0.1.0", 4)
    assert "## Version 0.1.1: refitted" in (after.path / "MODEL_CARD.md").read_text("utf-8")
    assert run.bundle().digest == bundle.digest  # the version before stays as it was


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "tune",
            "small has no step tune: nothing is searched for, the recipe says all settings.\n"
            "It has: prepare, explore, fit, stack, export, explain.",
        ),
        ("fit --member back", "small has no member 'back'.\nIt has: front."),
        ("all --member front", "--member belongs to the step fit.\nName the step fit."),
        (
            "prepare --clip RECIPE",
            "--clip has no meaning for RECIPE, which has no filters of outliers.\n"
            "Leave the option out.",
        ),
        (
            "fit --weights imagenet",
            "--weights imagenet is no folder, and RECIPE names a file for each member.\n"
            "Give the folder that holds them.",
        ),
        (
            "explore --out OUT",
            "An older version prepared these photos, and noted no sizes of theirs.\n"
            "Name another folder with --out, and run the step prepare.",
        ),
        (
            "explain --out OUT",
            "The step explain reads what export makes, which is not there.\n"
            "Run the step export first, or the step all.",
        ),
    ],
)
def test_what_cannot_be_done_is_said(run: Whole, tmp_path: Path, command: str, said: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("pixels.npy", "test-digests.txt"):
        (out / name).symlink_to(run.out / name)
    table = json.loads((run.out / "dataset.json").read_text("utf-8"))
    for photo in table["photos"]:
        del photo["width"]
    (out / "dataset.json").write_text(json.dumps(table), "utf-8")
    known = {"RECIPE": str(run.recipe), "OUT": str(out)}
    step, *options = [known.get(word, word) for word in command.split()]
    done = run.again(step, *options)
    assert done.exit_code == 2
    assert done.stderr == f"training: {said}\n".replace("RECIPE", str(run.recipe))


def test_another_recipe_is_refused(run: Whole, tmp_path: Path) -> None:
    other = tmp_path / "small.toml"
    text = run.recipe.read_text("utf-8")
    other.write_text(text.replace("zoom = 0.2", "zoom = 0.3"), "utf-8")
    done = run.again("fit", "--recipe", str(other))
    assert done.exit_code == 2
    assert "The recipe is not the one that the files in" in done.stderr


def test_the_module_is_a_command() -> None:
    command = [sys.executable, "-m", "training", "--help"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Run one STEP of a recipe, or all of them." in done.stdout
