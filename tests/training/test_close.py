"""The margin of close calls, and what the field gets with it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toy import LABELS, SPECIES, write_bundle
from training.close import Margin, as_used, find_margin, names_another, share
from training.evaluate import Answers
from trapsort.bundle import Bundle, load_bundle
from trapsort.ensemble import decide
from trapsort.scores import Scores


def scores(*rows: dict[str, float]) -> Scores:
    """Scores whose labels have these probabilities; what is left is spread over the others."""
    said = np.empty((len(rows), len(LABELS)), np.float32)
    for place, shares in enumerate(rows):
        said[place] = (1 - sum(shares.values())) / (len(LABELS) - len(shares))
        for label, each in shares.items():
            said[place, LABELS.index(label)] = each
    members = np.repeat(said[:, None], 3, axis=1)
    return Scores(said, members, np.zeros((len(rows), 3), np.float32))


LION, PANDA = {"Lion": 0.52, "Panda": 0.44}, {"Panda": 0.52, "Lion": 0.44}
BLANK, VEHICLE = {"blank": 0.6, "vehicle": 0.38}, {"vehicle": 0.6, "blank": 0.38}


def test_of_two_rejections_it_matters_not_which_comes_first() -> None:
    before, after = scores(LION, LION, LION, BLANK), scores(LION, PANDA, BLANK, VEHICLE)
    assert names_another(before, after, len(SPECIES)).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("after", "margin"),
    [
        (LION, 0.0),  # nothing changed
        (PANDA, 0.1),  # 0.08 apart
        ({"Panda": 0.48, "Lion": 0.47}, 0.05),
        ({"Panda": 0.5, "Lion": 0.25}, 0.3),  # 0.25 apart: below 0.25 it would not be close
        ({"blank": 0.9}, 0.9),
    ],
)
def test_the_margin_is_above_what_was_between_labels_that_changed(
    after: dict[str, float], margin: float
) -> None:
    unchanged = (scores(LION, BLANK), scores(LION, VEHICLE))
    changed = (scores(LION), scores(after))
    found = find_margin([unchanged, changed], len(SPECIES))
    assert found == Margin(margin, 3, int(margin > 0), 0)


def test_one_view_of_many_does_not_make_all_calls_close() -> None:
    near, far = (scores(LION), scores(PANDA)), (scores(LION), scores({"Panda": 0.9}))
    assert find_margin([near] * 9 + [far], len(SPECIES)) == Margin(0.1, 10, 10, 1)
    assert find_margin([near] * 8 + [far] * 2, len(SPECIES)) == Margin(0.9, 10, 10, 0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))


def test_the_field_gets_the_answers_before_where_a_call_is_close(bundle: Bundle) -> None:
    said = scores(LION, {"Lion": 0.96}, BLANK), scores(PANDA, {"Lion": 0.9}, VEHICLE)
    label = np.array([0, 0, 3])
    before, after = (Answers(label, each, decide(each, bundle)) for each in said)
    used = as_used(before, after, bundle, 0.1)
    expected = [said[0].probabilities[0], *said[1].probabilities[1:]]
    np.testing.assert_array_equal(used.scores.probabilities, expected)
    assert [each.top[0][0] for each in used.predictions] == ["Lion", "Lion", "vehicle"]
    assert share(used) == pytest.approx(1 / 3)
    assert share(after) == 0
