"""A user's own labelled photos: every figure, and the command that prints them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.toy import LABELS, SPECIES, graph, write_bundle
from trapsort.bundle import Bundle, load_bundle
from trapsort.cli.figures import as_tables
from trapsort.cli.main import main
from trapsort.ensemble import Classifier, decide
from trapsort.errors import InputError
from trapsort.evaluate import Answers, answer, evaluate
from trapsort.labelled import Labelled, read_labelled
from trapsort.measures import Share
from trapsort.profile import read_profile
from trapsort.scores import Scores
from trapsort.session import open_session

RED, GREEN, BLUE, BLACK = (220, 10, 10), (10, 220, 10), (10, 10, 220), (0, 0, 0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))


def picture(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (48, 32), colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two lions, a panda that looks like a lion, a rhino, a blank, a red dog and a note."""
    root = tmp_path / "mine"
    picture(root / "Lion/a.png", RED)
    picture(root / "Lion/b.png", (250, 0, 0))
    picture(root / "Panda/c.png", (210, 0, 20))
    picture(root / "Rhino/d.png", BLUE)
    picture(root / "blank/e.png", BLACK)
    picture(root / "unknown/f.png", (200, 20, 0))
    (root / "Rhino/note.txt").write_text("seen at dusk")
    return root


def random_answers(bundle: Bundle, photos: int = 400) -> Answers:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (photos, 6))
    rows = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    truth = [LABELS[k] for k in (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)]
    truth[-5:] = ["none"] * 5
    given = tuple(Labelled(Path(f"/{k}"), str(k), label) for k, label in enumerate(truth))
    features = rng.normal(0, 1.2, (photos, 3)).astype(np.float32)
    return Answers(given, Scores(rows, np.stack([rows] * 3, axis=1), features), ())


def test_figures_equal_those_of_scikit_learn(bundle: Bundle) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    answers = random_answers(bundle)
    found = evaluate(answers, bundle)
    truth = np.array([photo.label for photo in answers.photos])
    best = np.array(LABELS)[answers.scores.probabilities.argmax(axis=1)]
    animal = np.isin(truth, SPECIES)
    assert (found.photos, found.negatives) == (int(animal.sum()), int((~animal).sum()))
    assert found.top1.value == pytest.approx(metrics.accuracy_score(truth[animal], best[animal]))
    expected = metrics.precision_recall_fscore_support(truth, best, labels=LABELS)
    for place, figures in enumerate(found.labels):
        assert figures.label == LABELS[place]
        values = (figures.precision, figures.recall, figures.f1, figures.photos)
        assert values == pytest.approx([column[place] for column in expected])
    names = [*LABELS, "none"]
    matrix = metrics.confusion_matrix(truth, best, labels=names)
    assert (found.rows, found.columns) == (tuple(names), LABELS)
    np.testing.assert_array_equal(found.confusion, matrix[:, :6])


def test_what_was_named_is_counted_as_it_was_decided(bundle: Bundle) -> None:
    answers = random_answers(bundle)
    found = evaluate(answers, bundle)
    said = [each.label for each in decide(answers.scores, bundle)]
    truth = [photo.label for photo in answers.photos]
    pairs = list(zip(said, truth, strict=True))
    animals = [(label, true) for label, true in pairs if true in SPECIES]
    named = [(label, true) for label, true in animals if label]
    others = [label for label, true in pairs if true not in SPECIES]
    assert found.coverage == Share(len(named), len(animals))
    assert found.accepted == Share(sum(a == b for a, b in named), len(named))
    assert found.false_species == Share(sum(label is not None for label in others), len(others))
    assert found.named_right == Share(found.accepted.count, len(named) + found.false_species.count)
    assert sum(found.reasons.values()) == len(animals) - len(named)
    assert {"novel", "low_confidence", "blank"} <= set(found.reasons)
    assert sum(each.named for each in found.labels) == found.accepted.count


def test_only_negatives_are_no_evaluation(bundle: Bundle) -> None:
    answers = random_answers(bundle)
    only = answers.part(np.arange(395, 400))
    with pytest.raises(InputError) as caught:
        evaluate(only, bundle)
    assert caught.value.message == "No photo that could be read shows a species of the bundle."
    assert caught.value.hint == "Label some as one of: Lion, Panda, Rhino."


def test_what_cannot_be_read_is_left_out_with_its_reason(bundle: Bundle, tmp_path: Path) -> None:
    picture(tmp_path / "a.png", RED)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "folder").mkdir()
    rows = "".join(f"{name},Lion\n" for name in ("b.png", "a.png", "gone.png", "folder"))
    (tmp_path / "labels.csv").write_text(f"path,label\n{rows}", encoding="utf-8")
    photos = read_labelled(tmp_path / "labels.csv", LABELS)
    seen: list[int] = []
    classifier = Classifier(bundle, open_session(bundle))
    answers = answer(photos, classifier, workers=2, on_progress=seen.append)
    assert [photo.name for photo in answers.photos] == ["a.png"]
    assert answers.scores.probabilities.shape == (1, 6)
    assert [(each.photo.name, each.reason) for each in answers.left_out] == [
        ("b.png", "truncated"),
        ("gone.png", "unreadable"),
        ("folder", "not_an_image"),
    ]
    assert answers.left_out[1].detail == "does not exist"
    assert seen == [4]
    with pytest.raises(InputError, match="None of the 1 files could be read as a photo; the first"):
        answer(photos[:1], classifier, workers=1)


def test_answers_keep_the_order_of_the_photos(bundle: Bundle, tmp_path: Path) -> None:
    colours = {"Lion": RED, "Panda": GREEN, "Rhino": BLUE}
    photos = []
    for k in range(50):
        label = SPECIES[k % 7 % 3]
        picture(tmp_path / f"{k}.png", colours[label])
        photos.append(Labelled(tmp_path / f"{k}.png", str(k), label))
    answers = answer(photos, Classifier(bundle, open_session(bundle)), workers=4)
    assert answers.photos == tuple(photos)
    assert evaluate(answers, bundle).top1 == Share(50, 50)


def test_no_finite_answer_is_left_out(bundle: Bundle, tmp_path: Path) -> None:
    class Broken:
        provider, precision = "none", "single"

        def run(self, batch: np.ndarray) -> Scores:
            rows = np.full((len(batch), 6), 1 / 6, np.float32)
            rows[batch[:, 0, 0, 0] > 100] = np.nan
            return Scores(rows, np.stack([rows] * 3, axis=1), np.zeros((len(batch), 3), np.float32))

        def maps(self, batch: np.ndarray) -> np.ndarray:
            raise NotImplementedError

    photos = []
    for name, colour in (("a", RED), ("b", BLUE)):
        picture(tmp_path / f"{name}.png", colour)
        photos.append(Labelled(tmp_path / f"{name}.png", name, "Lion"))
    answers = answer(photos, Classifier(bundle, Broken()), workers=1)
    assert [photo.name for photo in answers.photos] == ["b"]
    assert [(each.photo.name, each.reason) for each in answers.left_out] == [("a", "unclassified")]


# The command ------------------------------------------------------------------------------------

TABLE = """\
toy-1.0.0: 4 photos of species and 2 negatives
                                          share    photos      95 % interval
most probable label right (top-1)         75.0%    3 of 4     30.1% to 95.4%
species named (coverage)                 100.0%    4 of 4    51.0% to 100.0%
right among the named                     75.0%    3 of 4     30.1% to 95.4%
right among all named, with negatives     60.0%    3 of 5     23.1% to 88.2%
negatives named a species                 50.0%    1 of 2      9.5% to 90.5%
"""


def run(
    arguments: list[str], bundle: Bundle, capfd: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    code = main(["evaluate", *arguments, "--bundle", str(bundle.path)])
    printed = capfd.readouterr()
    return code, printed.out, printed.err


def test_tables(folder: Path, bundle: Bundle, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run([str(folder)], bundle, capfd)
    assert code == 1  # the note
    assert out.startswith(TABLE)
    assert err == (
        f"{folder}/Rhino/note.txt: not_an_image: the content is not that of an image file\n"
        "1 file is left out: no photo that could be read\n"
        "few photos, so that their own figures say little: Lion (2), Panda (1), Rhino (1)\n"
    )
    lines = out.splitlines()
    matrix = lines[lines.index("Confusion: true label below, most probable one across") + 1 :]
    assert [line.split() for line in matrix] == [
        ["1", "2", "3", "4"],
        ["1", "Lion", "2", ".", ".", "."],
        ["2", "Panda", "1", ".", ".", "."],
        ["3", "Rhino", ".", ".", "1", "."],
        ["4", "blank", ".", ".", ".", "1"],
        ["unknown", "1", ".", ".", "."],
    ]
    assert ["Lion", "2", "0.500", "1.000", "0.667", "2"] in [line.split() for line in lines]
    assert ["Panda", "1", "0.000", "0.000", "0"] in [line.split() for line in lines]


def test_json(folder: Path, bundle: Bundle, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run([str(folder), "--format", "json"], bundle, capfd)
    found = json.loads(out)
    assert (code, found["model"], found["profile"]) == (1, "toy-1.0.0", "")
    assert found["accuracy_of_accepted"] == {
        "share": 0.75,
        "photos": 3,
        "of": 4,
        "interval": [0.300642, 0.954413],
    }
    assert found["left_out"] == [
        {
            "path": f"{folder}/Rhino/note.txt",
            "reason": "not_an_image",
            "detail": "the content is not that of an image file",
        }
    ]
    assert found["confusion"]["true"] == ["Lion", "Panda", "Rhino", "blank", "unknown"]
    assert found["confusion"]["photos"][1] == [1, 0, 0, 0, 0, 0]
    assert found["risk_coverage"][-1]["coverage"] == 1
    assert found["risk_coverage"][-1]["risk"] == 0.25
    keys = {"top1", "coverage", "accuracy_of_all_named", "negatives_named_a_species", "ece", "aurc"}
    assert keys <= set(found)


def test_csv_has_a_line_a_photo(
    folder: Path, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "photos.csv"
    arguments = [str(folder), "--format", "csv", "--out", str(out)]
    code, printed, err = run(arguments, bundle, capfd)
    assert (code, printed) == (1, "")
    assert err.endswith(f"written to {out}\n")
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(r["path"]).name, r["label"], r["named"], r["right"]) for r in rows] == [
        ("a.png", "Lion", "Lion", "true"),
        ("b.png", "Lion", "Lion", "true"),
        ("c.png", "Panda", "Lion", "false"),
        ("d.png", "Rhino", "Rhino", "true"),
        ("e.png", "blank", "", "true"),
        ("f.png", "unknown", "Lion", "false"),
        ("note.txt", "Rhino", "", ""),
    ]
    assert [row["reason"] for row in rows[4:]] == ["blank", "", "not_an_image"]
    assert float(rows[0]["probability"]) > 0.9


def test_many_labels_show_the_mistakes_alone(tmp_path: Path) -> None:
    labels = tuple(f"s{k:02}" for k in range(30))
    rows = np.full((4, 30), 0.001, np.float32)
    rows[[0, 1, 2, 3], [0, 1, 1, 1]] = 0.971
    photos = tuple(Labelled(Path(), "", label) for label in ("s00", "s01", "s02", "s02"))
    answers = Answers(photos, Scores(rows, rows[:, None], np.zeros((4, 0), np.float32)), ())
    bundle = load_bundle(write_bundle(tmp_path / "toy"))
    rule = replace(bundle.decision, centroids=None, max_distance=None, min_agreement=1)
    bundle = replace(bundle, labels=labels, species=labels, members=("m",), decision=rule)
    text = as_tables("many", evaluate(answers, bundle), terminal=False)
    assert text.endswith(
        "The most frequent mistakes\n"
        "true label    most probable    photos\n"
        "s02           s01                   2\n"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fit-thresholds"], "--fit-thresholds needs a file."),
        (["--precision", "0.9"], "--precision and --name go with --fit-thresholds."),
        (["--out", "nowhere/x.csv"], "There is no folder nowhere."),
        (["--fit-thresholds", "--out", "a=b.toml"], "'a=b' cannot name a profile."),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path, bundle: Bundle, capfd: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    code, out, err = run([str(folder), *more], bundle, capfd)
    assert (code, out, err.splitlines()[0]) == (2, "", f"trapsort: {message}")


def test_the_list_itself_is_never_written_over(
    bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label\na.png,Lion\n", encoding="utf-8")
    code, _, err = run([str(table), "--out", str(table)], bundle, capfd)
    assert (code, err.splitlines()[0]) == (2, f"trapsort: --out {table} is the list of photos.")
    assert table.read_text(encoding="utf-8") == "path,label\na.png,Lion\n"


def test_a_missing_column_is_said_before_the_graph_is_loaded(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trapsort.session.open_session", lambda bundle: pytest.fail("was loaded"))
    table = tmp_path / "labels.csv"
    table.write_text("file,label\na.png,Lion\n", encoding="utf-8")
    folder = write_bundle(tmp_path / "toy", graph())
    assert main(["evaluate", str(table), "--bundle", str(folder)]) == 2
    assert capfd.readouterr().err == (
        f"trapsort: {table} has no column 'path'; its first line is 'file,label'.\n"
        "It needs path and label, and may have group, site, split.\n"
    )


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """120 photos of 12 sites: the redder a lion, the surer; the palest fifth are pandas."""
    rows = ["path,label,site"]
    for k in range(120):
        red = 250 - k
        picture(tmp_path / f"photos/{k:03}.png", (red, 120, 10))
        rows.append(f"photos/{k:03}.png,{'Lion' if k < 96 else 'Panda'},site{k % 12}")
    path = tmp_path / "survey.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_profile_is_fitted_on_some_sites_reported_on_others_and_applied(
    survey: Path, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.toml"
    fit = ["--fit-thresholds", "--precision", "0.97", "--out", str(site), "--name", "ridge"]
    code, out, err = run([str(survey), *fit, "--format", "json"], bundle, capfd)
    found: dict[str, Any] = json.loads(out)
    profile = read_profile(site)
    assert code == 0
    assert (profile.name, profile.bundle, profile.digest) == ("ridge", "toy-1.0.0", bundle.digest)
    assert found["fit"]["reported_on"] == "site"
    assert found["fit"]["photos"] + found["photos"] == 120
    assert found["fit"]["accuracy_of_all_named"]["share"] >= 0.97
    assert found["profile"] == "ridge"
    assert "The figures are of the other photos, parted by the column site." in err
    assert f"{site}: profile 'ridge', temperature " in err
    assert found["without_profile"]["coverage"]["of"] == found["coverage"]["of"] == found["photos"]
    # with --profile all photos are named as those of both parts were
    code, out, _ = run([str(survey), "--profile", str(site), "--format", "json"], bundle, capfd)
    whole = json.loads(out)
    assert whole["profile"] == "ridge"
    fitted, reported = found["fit"]["coverage"], found["coverage"]
    assert whole["coverage"]["photos"] == fitted["photos"] + reported["photos"]
    assert whole["accuracy_of_accepted"]["share"] > 0.9


def test_a_profile_of_the_same_photos_says_that_it_flatters(
    survey: Path, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = survey.read_text(encoding="utf-8").replace(",site\n", ",place\n", 1)
    survey.write_text(text, encoding="utf-8")
    site = tmp_path / "north.toml"
    code, out, err = run([str(survey), "--fit-thresholds", "--out", str(site)], bundle, capfd)
    assert code == 0
    assert out.startswith("What the profile changes\n")
    assert "\ntoy-1.0.0 with north: 120 photos of species\n" in out
    assert "fitted on 120 photos of species and 0 negatives." in err
    assert "so they are too good." in err
    assert read_profile(site).name == "north"


def test_fitting_starts_from_the_bundle_not_from_a_profile(
    survey: Path, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    assert run([str(survey), "--fit-thresholds", "--out", str(first)], bundle, capfd)[0] == 0
    again = ["--fit-thresholds", "--out", str(second), "--name", "first", "--profile", str(first)]
    code, _, err = run([str(survey), *again], bundle, capfd)
    assert code == 0
    assert err.startswith(f"fitting starts from the bundle: {first} is not used\n")
    assert first.read_text() == second.read_text()


def test_few_photos_are_refused_and_nothing_is_written(
    folder: Path, bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.toml"
    code, out, err = run([str(folder), "--fit-thresholds", "--out", str(site)], bundle, capfd)
    assert (code, out) == (2, "")
    assert "Thresholds cannot be fitted on 4 photos of species: too few." in err
    assert not site.exists()


def test_real_photos(shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A handful of real photos by the default bundle, as a user would."""
    with (shared / "species11/manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in ("Lion", "Panda")][::150]
    lines = [f"{shared / 'species11' / row['file']},{row['label'].upper()}" for row in rows]
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["path,label", *lines]) + "\n", encoding="utf-8")
    assert main(["evaluate", str(table), "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["top1"]["of"] == len(rows)
    assert found["top1"]["share"] > 0.7
