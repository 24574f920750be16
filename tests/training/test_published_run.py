"""A published system from photos to a bundle that classifies: small, but whole; and resumed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

from tests.training.published import COLOURS, RECIPE, draw_classes, small_recipe, write_recipe
from training.__main__ import main
from training.config import StackRecipe
from training.folds import fit_stack, fitted_and_scored_on_test
from training.publish import stacked
from training.steps import run_published
from training.train import class_weights
from training.work import PublishedRun
from trapsort.bundle import load_bundle
from trapsort.errors import InputError, SettingsError

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's, Keras's and tf2onnx's own
]

STACKED = (
    RECIPE.replace('network = "one"', 'network = "stack"').replace("epochs = 2", "epochs = 1")
    + """
[[networks]]
name = "two"
backbone = "MobileNet"
pooling = "flatten"
batch_norm = true
dense = [8]
[stack]
strength = 1.0
distil = 0.5
[tune]
engine = "optuna"
networks = ["two"]
trials = 1
epochs = 1
dropout = [0.2, 0.5]
units = [8, 16]
"""
)


def settings(folder: Path, *, resume: bool = False) -> PublishedRun:
    return PublishedRun(
        recipe=folder / "small.toml",
        data=folder / "photos",
        weights="none",
        out=folder / "out",
        resume=resume,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of a stacked recipe on drawn photos."""
    folder = tmp_path_factory.mktemp("published")
    draw_classes(folder / "photos", 14)
    write_recipe(folder, STACKED)
    run_published("all", settings(folder))
    return folder


def test_the_bundle_classifies(run: Path) -> None:
    from trapsort.classify import classify_folder
    from trapsort.ensemble import Classifier
    from trapsort.session import open_session

    bundle = load_bundle(run / "out" / "export" / "small-0.1.0")
    assert bundle.size == (40, 32)
    assert bundle.labels == tuple(sorted(COLOURS))
    assert bundle.members == ("one", "two")
    assert bundle.taxa["Lion"] == ("Panthera leo",)
    classifier = Classifier(bundle, open_session(bundle))
    answers = list(classify_folder(run / "photos" / "Lion", classifier))
    assert len(answers) == 14
    said = [answer.prediction for answer in answers if answer.prediction is not None]
    assert len(said) == 14
    assert all(sum(p for _, p in each.top) == pytest.approx(1, abs=1e-5) for each in said)


def test_every_step_says_what_it_was_made_from(run: Path) -> None:
    steps = {
        "prepare",
        "explore",
        "tune",
        "crossval",
        "fit",
        "stack",
        "evaluate",
        "explain",
        "export",
    }
    assert {path.name for path in (run / "out").iterdir()} == steps
    for step in steps:
        manifest = json.loads((run / "out" / step / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["seed"] == 5
        assert {"keras", "scikit-learn", "tf2onnx"} <= set(manifest["versions"])
        assert {"tensorflow", "tensorflow-cpu"} & set(manifest["versions"])
        assert len(manifest["inputs"]["recipe"]) == 64
        files = {
            str(path.relative_to(run / "out" / step))
            for path in (run / "out" / step).rglob("*")
            if path.is_file() and path.name != "manifest.json"
        }
        assert set(manifest["outputs"]) == files
    stack = json.loads((run / "out" / "stack" / "manifest.json").read_text(encoding="utf-8"))
    assert {"prepare", "crossval"} < set(stack["inputs"])


def test_the_metrics_are_those_of_the_test_photos(run: Path) -> None:
    from training.prepared import load_photos

    figures = json.loads((run / "out" / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    photos = load_photos(run / "out" / "prepare")
    assert set(figures["test"]) == {"one", "two", "stack"}
    for entry in figures["test"].values():
        assert entry["photos"] == len(photos.of("test"))
        confusion = np.array(entry["confusion"])
        assert entry["accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum())
        assert entry["f1"]["micro"] == pytest.approx(entry["accuracy"])
    assert len(figures["folds"]["one"]) == 2
    assert figures["weights"] == {"one": "none", "two": "none"}
    assert figures["iucn"]["iucn"]["labels"].keys() <= {"LC", "VU", "NT-CR"}
    assert 0 < figures["stack"]["out_of_fold_accuracy"] <= 1
    assert 0 < figures["stack"]["fitted_and_scored_on_test"] <= 1
    report = (run / "out" / "evaluate" / "stack-report.txt").read_text(encoding="utf-8")
    assert report.split()[:4] == ["precision", "recall", "f1-score", "support"]
    assert all(label in report for label in COLOURS)


FIGURES = {
    "explore": ["classes", "classes-pie", "sizes", "resolution", "samples"],
    "tune": ["two-history"],
    "fit": ["one/curves", "two/curves"],
    "evaluate": [
        *(f"{n}-{f}" for n in ("one", "two", "stack") for f in ("confusion", "misclassified")),
        *("train-test", "folds", "iucn-iucn", "iucn-published"),
        *("one-roc", "two-roc", "stack-roc"),
    ],
    "explain": ["one", "two"],
}


@pytest.mark.parametrize("step", FIGURES)
def test_every_figure_is_drawn(run: Path, step: str) -> None:
    from PIL import Image

    folder = run / "out" / step
    drawn = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.png")}
    assert drawn == set(FIGURES[step])
    for name in drawn:
        with Image.open(folder / f"{name}.png") as image:
            assert len(set(image.convert("RGB").resize((64, 64)).getdata())) > 10, name


def test_what_the_photos_are_like_is_said_in_numbers(run: Path) -> None:
    from training.prepared import load_photos

    photos = load_photos(run / "out" / "prepare")
    said = json.loads((run / "out" / "explore" / "explore.json").read_text(encoding="utf-8"))
    assert said["photos"] == len(photos.development)
    assert sum(said["classes"].values()) == said["photos"]
    assert said["classes"].keys() == COLOURS.keys()
    assert said["modes"] == {"RGB": said["photos"]}
    assert said["width"] == {"least": 60, "median": 60.0, "most": 60}
    assert said["height"] == {"least": 40, "median": 40.0, "most": 40}


def test_what_the_search_found_is_fitted(run: Path) -> None:
    found = json.loads((run / "out" / "tune" / "settings.json").read_text(encoding="utf-8"))
    assert found.keys() == {"two"}
    assert 0.2 <= found["two"]["dropout"] <= 0.5
    (units,) = found["two"]["dense"]
    assert 8 <= units <= 16
    from training.train import load_network

    fitted = load_network(run / "out" / "fit" / "two.keras")
    assert fitted.get_layer("dense1").units == units
    assert fitted.get_layer("dropout").rate == pytest.approx(found["two"]["dropout"])


def test_what_no_step_before_evaluate_has_used(run: Path) -> None:
    """Folds and out-of-fold answers are of development photos alone."""
    from training.prepared import load_photos

    photos = load_photos(run / "out" / "prepare")
    with np.load(run / "out" / "crossval" / "one.npz") as arrays:
        index = arrays["index"]
    assert sorted(index) == sorted(photos.development)
    assert {photos.pictures[i].shown for i in index}.isdisjoint(photos.test_digests)


def test_resume_does_only_what_is_not_whole(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "out" / "explain" / "two.png").write_bytes(b"")
    elsewhere = run / "elsewhere"
    run_published("all", replace(settings(run, resume=True), exports=elsewhere))
    said = capsys.readouterr().err
    assert said.endswith(f"export: whole, nothing to do\nwritten to {elsewhere}/small-0.1.0\n")
    made = run / "out" / "export" / "small-0.1.0"
    assert load_bundle(elsewhere / "small-0.1.0").digest == load_bundle(made).digest
    assert said.count(": whole, nothing to do") == 8
    assert "\nexplain:\n" in said
    assert "one starts from random weights: its figures say nothing about the published" in said
    assert (run / "out" / "explain" / "two.png").stat().st_size > 5000


def test_a_step_without_what_it_reads_is_refused(tmp_path: Path) -> None:
    draw_classes(tmp_path / "photos", 6)
    write_recipe(tmp_path)
    command = [
        "--recipe", str(tmp_path / "small.toml"), "--data", str(tmp_path / "photos"),
        "--weights", "none", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    done = CliRunner().invoke(main, ["fit", *command])
    assert done.exit_code == 2
    assert done.stderr.endswith(
        "training: The step fit reads what prepare makes, which is not there.\n"
        "Run the step prepare first, or the step all.\n"
    )
    done = CliRunner().invoke(main, ["stack", *command])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-2:] == [
        "training: small has no step stack: it has no part [stack].",
        "It has: prepare, explore, crossval, fit, evaluate, explain, export.",
    ]


OUTLIERS = """
[outliers]
modes = ["CMYK"]
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "stack --refit FILE",
            "--refit has no meaning for RECIPE, a published system.\n"
            "Refit a bundle such as that of training/recipes/iucn11.toml.",
        ),
        (
            "fit --member one",
            "--member has no meaning for RECIPE, a published system.\nLeave the option out.",
        ),
        ("stack --member one", "--member belongs to the step fit.\nName the step fit."),
        ("fit --clip FILE", "--clip belongs to the step prepare.\nName the step prepare."),
        (
            "prepare --clip FILE",
            "--clip has no meaning for small, which has no animal in its part [outliers].\n"
            "Leave the option out, or see docs/howto/recipes.md.",
        ),
        ("fit --persons FILE", "--persons belongs to the step prepare.\nName the step prepare."),
        (
            "tune",
            "small has no step tune: it has no part [tune].\n"
            "It has: prepare, explore, crossval, fit, evaluate, explain, export.",
        ),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    tmp_path: Path, command: str, said: str
) -> None:
    recipe, file = write_recipe(tmp_path, RECIPE + OUTLIERS), tmp_path / "file"
    file.write_bytes(b"")
    step, *options = [str(file) if word == "FILE" else word for word in command.split()]
    arguments = ["--recipe", str(recipe), "--out", str(tmp_path / "out"), "--weights", "none"]
    done = CliRunner().invoke(main, [step, *arguments, *options])
    assert done.exit_code == 2
    assert done.stderr == f"training: {said}\n".replace("RECIPE", str(recipe))
    assert not (tmp_path / "out").exists()


def test_a_person_detector_needs_a_part_outliers(tmp_path: Path) -> None:
    run = replace(settings(tmp_path), persons=write_recipe(tmp_path))
    with pytest.raises(SettingsError, match=r"--persons has no meaning for small, which has no"):
        run_published("all", run)


def test_class_weights_are_balanced() -> None:
    label = np.repeat([0, 1, 2], [1, 2, 5])
    assert class_weights(label, 4).tolist() == pytest.approx([8 / 3, 8 / 6, 8 / 15, 1.0])


def test_the_class_weights_of_the_eleven_species(shared: Path) -> None:
    """Balanced over the 5,250 photos: n / (classes x photos of the class)."""
    from training.config import SourceRecipe
    from training.sources import read_source

    photos = read_source(shared / "species11", SourceRecipe(test=0.15, validation=0.1))
    names = sorted({photo.label for photo in photos})
    label = np.array([names.index(photo.label) for photo in photos])
    found = dict(zip(names, class_weights(label, len(names)).tolist(), strict=True))
    files = {name: len(list((shared / "species11" / name).iterdir())) for name in names}
    assert (files["Panda"], files["Arctic_Fox"]) == (704, 314)
    assert found == pytest.approx({name: 5250 / 11 / of for name, of in files.items()})


def test_a_meta_learner_scored_on_its_own_photos_looks_too_good() -> None:
    """What the published figure is, and what the honest one is, where members know nothing."""
    rng = np.random.default_rng(0)
    members = rng.dirichlet(np.ones(4), (120, 3)).astype(np.float32)
    label = rng.integers(0, 4, 120)
    published = fitted_and_scored_on_test(members, label, strength=100.0)
    honest = fit_stack(StackRecipe(100.0), members, label, np.arange(120) % 5)
    assert published > 0.30
    assert honest["accuracy"] < published - 0.05


def test_the_last_fit_learns_labels_and_what_the_stack_says(run: Path) -> None:
    from training.folds import distilled
    from training.manifests import sha256_of
    from training.prepared import load_photos
    from training.train import batches

    photos = load_photos(run / "out" / "prepare")
    with np.load(run / "out" / "stack" / "stack.npz") as arrays:
        index, said = arrays["index"], arrays["said"]
    assert sorted(index) == sorted(photos.development)
    targets = distilled(photos, index, said, 0.25)
    labels = np.eye(3)[photos.label]
    np.testing.assert_allclose(targets[index], 0.75 * labels[index] + 0.25 * said, atol=1e-6)
    tests = photos.of("test")
    np.testing.assert_array_equal(targets[tests], labels[tests])  # of these it was not asked
    recipe = small_recipe(run, STACKED)
    learned = batches(photos, index, recipe, weighted=False, targets=targets)
    np.testing.assert_array_equal(learned[0][1], targets[np.sort(learned.order[:8])])
    manifest = json.loads((run / "out" / "fit" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["stack"] == sha256_of(run / "out" / "stack" / "manifest.json")


def test_the_stack_of_two_classes_answers_what_scikit_learn_does() -> None:
    from training.folds import meta_learner

    rng = np.random.default_rng(1)
    members = rng.dirichlet(np.ones(2), (90, 2)).astype(np.float32)
    label = (members[:, :, 1].mean(axis=1) + rng.normal(0, 0.1, 90) > 0.5).astype(int)
    fitted = fit_stack(StackRecipe(1.0), members, label, np.arange(90) % 3)
    scale = float(fitted["temperature"])
    found = stacked(members, (fitted["kernel"] * scale, fitted["bias"] * scale))
    flat = members.reshape(90, -1)
    expected = meta_learner(1.0).fit(flat, label).predict_proba(flat)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_masking_by_a_known_phylum() -> None:
    from training.assess import masked
    from training.prepared import PhotoSet

    photos = PhotoSet(
        labels=("Acroporidae", "Canidae", "Felidae"),
        paths=("a", "b"),
        group=("a", "b"),
        label=np.array([2, 0]),
        part=np.array(["test", "test"]),
        fold=np.array([-1, -1]),
        pictures=(),
        pixels=np.zeros((2, 1, 1, 3), np.uint8),
        taxa={
            "Acroporidae": {"phylum": "Cnidaria"},
            "Canidae": {"phylum": "Chordata"},
            "Felidae": {"phylum": "Chordata"},
        },
        test_digests=frozenset(),
    )
    said = np.array([[0.5, 0.1, 0.4], [0.2, 0.7, 0.1]], np.float32)
    found = masked(said, photos, np.array([0, 1]), "phylum")
    np.testing.assert_allclose(found, [[0, 0.2, 0.8], [1, 0, 0]], atol=1e-6)


def test_eight_bits_on_what_was_fitted(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import eight_bits
    from training.prepared import load_photos

    with pytest.raises(InputError) as caught:
        run_published("quantise", settings(run))
    assert str(caught.value) == (
        "No network of small gains by 8 bits.\nThese do: ResNet50V2, VGG16."
    )
    monkeypatch.setattr(eight_bits, "GAIN", ("MobileNet",))
    run_published("quantise", settings(run))
    folder = run / "out" / "quantise"
    found = json.loads((folder / "quantise.json").read_text(encoding="utf-8"))
    metrics = json.loads((run / "out" / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    assert found.keys() == {"one"}  # the head of the other takes each cell of the map for itself
    said = capsys.readouterr().out
    for name, entry in found.items():
        assert entry["photos"] == len(load_photos(run / "out" / "prepare").of("test"))
        assert entry["accuracy"] == metrics["test"][name]["accuracy"]
        assert 0 <= entry["mean_drift"] <= entry["most_drift"] <= 1
        single, eighth = entry["bytes"]
        assert eighth < 0.35 * single
        assert eighth == (folder / f"{name}-int8.onnx").stat().st_size
        assert f"{name}: {entry['accuracy']:.1%} of the test photos right" in said
        assert f"{name} in 8 bits: the same label for {entry['agreement']:.1%} of" in said
