"""Fitted thresholds: temperature, smallest probability, and which photos they stand on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.toy import LABELS, write_bundle
from trapsort.bundle import Bundle, load_bundle
from trapsort.ensemble import decide
from trapsort.errors import InputError
from trapsort.evaluate import Answers
from trapsort.labelled import Labelled
from trapsort.scores import Scores, among
from trapsort.thresholds import Fit, fit_thresholds, parts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))


def answers_of(rows: np.ndarray, labels: list[str]) -> Answers:
    """Photos of known label with given probabilities; members agree, nothing is novel."""
    rows = rows.astype(np.float32)
    photos = tuple(Labelled(Path(f"/{k}.jpg"), f"{k}.jpg", label) for k, label in enumerate(labels))
    features = np.tile(np.float32([1, 0, 0]), (len(rows), 1))
    return Answers(photos, Scores(rows, np.stack([rows] * 3, axis=1), features), ())


def lions(sure: list[float]) -> np.ndarray:
    """A row each: the given probability for Lion, the rest for Panda."""
    rows = np.zeros((len(sure), len(LABELS)))
    rows[:, 0] = sure
    rows[:, 1] = 1 - rows[:, 0]
    return rows


def named_by(fit: Fit, answers: Answers, bundle: Bundle) -> list[str | None]:
    rule = replace(bundle.decision, min_probability=fit.min_probability)
    changed = replace(bundle, temperature=fit.temperature, decision=rule)
    return [each.label for each in decide(answers.scores, changed)]


def test_the_temperature_is_that_of_least_cross_entropy(bundle: Bundle) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(11)
    logits = rng.normal(0, 2, (300, 6))
    truth = [LABELS[k] for k in (logits / 1.9 + rng.gumbel(size=logits.shape)).argmax(axis=1)]
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    place = [LABELS.index(label) for label in truth]

    def loss(value: float) -> float:
        shares = among(rows.astype(np.float32), np.ones(6, bool), value)
        return float(-np.log(shares[np.arange(300), place]).mean())

    least = optimize.minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x
    fit = fit_thresholds(answers_of(rows, truth), bundle, 0.01)
    assert fit.temperature == pytest.approx(least, abs=2e-3)
    assert 1.5 < fit.temperature < 2.4


def test_the_largest_coverage_that_keeps_the_precision(bundle: Bundle) -> None:
    """100 photos from the surest down; 3 wrong ones: the 60th, the 80th and the 81st."""
    sure = list(np.linspace(0.99, 0.6, 100))
    truth = ["Rhino" if k in (59, 79, 80) else "Lion" for k in range(100)]
    answers = answers_of(lions(sure), truth)
    for precision, named in ((1.0, 59), (0.98, 79), (0.97, 100), (0.5, 100)):
        fit = fit_thresholds(answers, bundle, precision)
        assert sum(label is not None for label in named_by(fit, answers, bundle)) == named
        assert (fit.coverage.count, fit.coverage.of) == (named, 100)
        assert fit.named_right.count / fit.named_right.of >= precision
        assert round(fit.min_probability, 4) == fit.min_probability


def test_photos_of_the_same_probability_are_named_together(bundle: Bundle) -> None:
    sure = [0.9] * 50 + [0.8] * 50
    answers = answers_of(lions(sure), ["Lion"] * 99 + ["Panda"])
    fit = fit_thresholds(answers, bundle, 0.995)
    assert fit.named_right.of == 50
    assert fit_thresholds(answers, bundle, 0.99).named_right.of == 100


def test_negatives_that_are_named_cost_precision(bundle: Bundle) -> None:
    sure = [0.95] * 60 + [0.9] * 10 + [0.85] * 40
    truth = ["Lion"] * 60 + ["unknown"] * 10 + ["Lion"] * 40
    fit = fit_thresholds(answers_of(lions(sure), truth), bundle, 0.98)
    assert (fit.photos, fit.negatives) == (100, 10)
    assert (fit.coverage.count, fit.named_right.of) == (60, 60)


def test_photos_that_another_test_refuses_do_not_count_as_named(bundle: Bundle) -> None:
    answers = answers_of(lions([0.9] * 60), ["Lion"] * 50 + ["Rhino"] * 10)
    answers.scores.features[50:] = 99  # novel: never named, so never wrong
    fit = fit_thresholds(answers, bundle, 1.0)
    assert (fit.named_right.count, fit.named_right.of, fit.coverage.of) == (50, 50, 60)


def test_too_few_photos_are_refused(bundle: Bundle) -> None:
    answers = answers_of(lions([0.9] * 60), ["Lion"] * 49 + ["none"] * 11)
    with pytest.raises(InputError) as caught:
        fit_thresholds(answers, bundle, 0.98)
    assert caught.value.message == ("Thresholds cannot be fitted on 49 photos of species: too few.")
    assert caught.value.hint.startswith("Label at least 50 (some hundreds are better);")


def test_a_precision_out_of_reach_says_the_best(bundle: Bundle) -> None:
    answers = answers_of(lions([0.9] * 60), ["Lion"] * 57 + ["Panda"] * 3)
    with pytest.raises(InputError) as caught:
        fit_thresholds(answers, bundle, 0.98)
    assert caught.value.message == (
        "No min_probability gives a precision of 0.98 on these photos: the best is 0.950."
    )


def photos(column: str, values: list[str]) -> list[Labelled]:
    return [
        Labelled(Path(f"/{k}"), str(k), "Lion", **{column: value}) for k, value in enumerate(values)
    ]


def test_a_split_keeps_its_test_photos_for_the_report() -> None:
    fitted, reported, column = parts(photos("split", ["train", "Test", "val", "", "test"]))
    assert (fitted.tolist(), reported.tolist(), column) == ([0, 2, 3], [1, 4], "split")


@pytest.mark.parametrize(("values", "held"), [(["a", ""], "'', 'a'"), (["test"] * 2, "'test'")])
def test_a_split_without_two_parts_is_refused(values: list[str], held: str) -> None:
    with pytest.raises(InputError) as caught:
        parts(photos("split", values))
    assert caught.value.message == f"The column split holds {held}."


@pytest.mark.parametrize("column", ["site", "group"])
def test_no_site_or_group_is_on_both_sides(column: str) -> None:
    values = [f"place {k % 17}" for k in range(400)]
    given = photos(column, values)
    fitted, reported, said = parts(given)
    assert said == column
    assert sorted([*fitted, *reported]) == list(range(400))
    assert not {values[k] for k in fitted} & {values[k] for k in reported}
    assert 150 < len(fitted) < 250
    assert [part.tolist() for part in parts(given)[:2]] == [fitted.tolist(), reported.tolist()]


def test_a_photo_without_group_is_one_of_its_own() -> None:
    fitted, reported, _ = parts(photos("group", ["x"] + [""] * 99))
    assert 40 < len(fitted) < 60
    assert len(fitted) + len(reported) == 100


def test_two_groups_give_two_parts_however_large_one_is() -> None:
    for large in ("a", "b"):
        fitted, reported, _ = parts(photos("group", [large] * 99 + ["c"]))
        assert {len(fitted), len(reported)} == {99, 1}


def test_one_group_cannot_be_parted() -> None:
    fitted, reported, column = parts(photos("group", ["g"] * 4))
    assert (fitted.tolist(), reported.tolist(), column) == ([0, 1, 2, 3], [0, 1, 2, 3], "")
