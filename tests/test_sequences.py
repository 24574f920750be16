"""Bursts: which frames are of one trigger, and what they say together."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from tests.records import CARD, LION, NOVEL, ask, keys, record
from tests.toy import write_bundle
from trapsort.bundle import load_bundle
from trapsort.ensemble import Classifier, Prediction
from trapsort.exif import NO_EXIF, Exif
from trapsort.pipeline import ingest
from trapsort.session import open_session
from trapsort.store import NamingRule, Record, Store
from trapsort.store.sequences import Answer, Frame, follows, together

DATE_TIME = 306  # the EXIF tag
NOON = datetime(2026, 3, 1, 12)
RULE = NamingRule(("Lion", "cheetahs"), 0.8)
LIKELY: Answer = ("Lion", 0.9, None, (("Lion", 0.9), ("cheetahs", 0.1)))
DOUBTFUL: Answer = (None, 0.5, "low_confidence", (("Lion", 0.5), ("cheetahs", 0.5)))


def frame(seconds: float | None, *numbers: int | None, timed: bool = True) -> Frame:
    time = None if seconds is None else NOON + timedelta(seconds=seconds)
    return Frame(1, None, time, *(*numbers, None, None, None)[:3], timed)


def shot(name: str, seconds: int, prediction: Prediction = LION, **exif: object) -> Record:
    time = (NOON + timedelta(seconds=seconds)).isoformat()
    taken: Exif = replace(NO_EXIF, camera_time=time, make="RECONYX", **exif)  # type: ignore[arg-type]
    return replace(record(name, prediction=prediction), exif=taken)


def bursts(store: Store) -> list[list[str]]:
    """The paths of each sequence, in the order of the listing."""
    found: dict[int | None, list[str]] = {}
    for each in store.sightings():
        assert each.sequence_id is not None
        found.setdefault(each.sequence_id, []).append(each.path)
    return list(found.values())


def spread(**shares: float) -> Prediction:
    top = tuple(sorted(shares.items(), key=lambda item: -item[1]))
    return Prediction(top[0][0], top[0][1], None, top, ())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (frame(0), frame(2), True),
        (frame(0), frame(2.5), False),
        (frame(0), frame(None), False),
        (frame(None), frame(None), False),
        (frame(0, timed=False), frame(1), False),
        (frame(0, 1, 3), frame(1, 2, 3), True),
        (frame(0, 1, 3), frame(100, 3, 3), True),  # one is missing between them
        (frame(0, 1, 3), frame(61, 2, 3), False),
        (frame(0, 3, 3), frame(1, 1, 3), False),
        (frame(0, 1, 3), frame(1, 2, 5), False),
        (frame(0, 1, 3, 7), frame(1, 2, 3, 8), False),
        (frame(None, 1, 3, 7), frame(None, 2, 3, 7), True),
        (frame(0, 1, 1), frame(1, 1, 1), False),
        (frame(0, 1, 3), frame(1), False),
    ],
)
def test_which_frames_are_of_one_trigger(before: Frame, after: Frame, expected: bool) -> None:
    assert follows(after, before) == expected


def test_the_average_is_that_of_the_logits() -> None:
    other: Answer = ("Lion", 0.6, None, (("Lion", 0.6), ("cheetahs", 0.4)))
    label, probability, reason, top = together([LIKELY, other], NamingRule(("Lion",), 0.7))
    mean = (math.log(0.9 / 0.1) + math.log(0.6 / 0.4)) / 2
    assert (label, reason) == ("Lion", None)
    assert probability == pytest.approx(1 / (1 + math.exp(-mean)), abs=1e-12)
    assert sum(share for _, share in top) == pytest.approx(1, abs=1e-12)


def test_no_frame_rules_a_species_out() -> None:
    never: Answer = ("cheetahs", 1.0, None, (("cheetahs", 1.0), ("Lion", 0.0)))
    _, probability, _, top = together([never, *[LIKELY] * 9], RULE)
    assert top[0][0] == "Lion"
    lion, cheetah = (1e-6 * 0.9**9) ** 0.1, (0.1**9) ** 0.1
    assert probability == pytest.approx(lion / (lion + cheetah))


@pytest.mark.parametrize(
    ("frames", "rule", "expected"),
    [
        ([LIKELY, LIKELY], RULE, ("Lion", None)),
        ([LIKELY, DOUBTFUL], RULE, (None, "low_confidence")),  # 0.75 together
        ([LIKELY, DOUBTFUL], NamingRule(("Lion",), 0.7), ("Lion", None)),
        ([LIKELY, LIKELY], NamingRule(("cheetahs",), 0.7), (None, "Lion")),
        ([(None, 0.9, "novel", LIKELY[3])] * 2 + [LIKELY], RULE, (None, "novel")),
        ([(None, 0.9, "novel", LIKELY[3]), LIKELY], RULE, ("Lion", None)),
        ([LIKELY, DOUBTFUL], None, ("Lion", None)),
        ([LIKELY, DOUBTFUL, DOUBTFUL], None, (None, "low_confidence")),
        (
            [
                *[(None, 0.9, "blank", (("blank", 0.9), ("Lion", 0.1)))] * 2,
                ("Lion", 0.9, None, (("Lion", 0.9), ("blank", 0.1))),
            ],
            RULE,
            (None, "blank"),
        ),
    ],
)
def test_when_a_sequence_is_named(
    frames: list[Answer], rule: NamingRule | None, expected: tuple[str | None, str | None]
) -> None:
    label, _, reason, _ = together(frames, rule)
    assert (label, reason) == expected


def test_frames_become_a_sequence_with_an_answer_of_its_own(store: Store, url: str) -> None:
    card, model = keys(store)
    frames = [
        shot("DCIM/1.jpg", 0, spread(Lion=0.9, cheetahs=0.1)),
        shot("DCIM/2.jpg", 1, NOVEL),
        shot("DCIM/3.jpg", 2, spread(Lion=0.9, cheetahs=0.1)),
        shot("DCIM/4.jpg", 60),
        shot("other/5.jpg", 1),
    ]
    store.record(card, model, records=frames[:2])
    store.record(card, model, records=frames[2:])
    store.group(model, RULE)
    assert bursts(store) == [
        ["DCIM/1.jpg", "DCIM/2.jpg", "DCIM/3.jpg"],
        ["other/5.jpg"],
        ["DCIM/4.jpg"],
    ]
    columns = "label, probability, reason, frames, top, sequence_id"
    ((label, probability, reason, count, top, sequence),) = ask(
        url,
        f"SELECT {columns} FROM sequence_predictions",  # noqa: S608
    )
    assert (label, reason, count) == ("Lion", None, 3)
    assert json.loads(top)[0] == ["Lion", probability]
    labels = {each.path: each.sequence_label for each in store.detections()}
    assert labels == {
        "DCIM/1.jpg": "Lion",
        "DCIM/3.jpg": "Lion",
        "DCIM/4.jpg": None,
        "other/5.jpg": None,
    }
    beside = {each.path: (each.label, each.sequence_label) for each in store.sightings()}
    assert beside["DCIM/1.jpg"] == ("Lion", "Lion")
    assert beside["DCIM/2.jpg"] == (None, "Lion")  # the frame abstains, its burst does not
    assert beside["DCIM/4.jpg"] == ("Lion", None)
    before = ask(url, "SELECT * FROM sequence_predictions"), bursts(store)
    store.group(model, RULE)
    assert (ask(url, "SELECT * FROM sequence_predictions"), bursts(store)) == before
    assert next(store.sightings()).sequence_id == sequence


def test_frames_that_come_later_join_their_burst(store: Store, url: str) -> None:
    card, model = keys(store)
    store.record(card, model, records=[shot("2.jpg", 1), shot("4.jpg", 4)])
    store.group(model, RULE)
    assert bursts(store) == [["2.jpg"], ["4.jpg"]]
    store.record(card, model, records=[shot("1.jpg", 0), shot("3.jpg", 3)])
    store.group(model, RULE)
    assert bursts(store) == [["1.jpg", "2.jpg", "3.jpg", "4.jpg"]]
    assert ask(url, "SELECT first_photo_id FROM sequences") == [(3,)]
    assert ask(url, "SELECT frames FROM sequence_predictions") == [(4,)]


def test_cameras_are_told_by_serial_number_and_cards(store: Store) -> None:
    card, model = keys(store)
    one = [
        shot("100/1.jpg", 0, serial="H1"),
        shot("101/2.jpg", 1, serial="H1"),
        shot("100/3.jpg", 1, serial="H2"),
    ]
    store.record(card, model, records=one)
    store.record(
        store.card(CARD.with_name("x")), model, records=[shot("100/4.jpg", 1, serial="H1")]
    )
    store.group(model, RULE)
    assert bursts(store) == [["100/1.jpg", "101/2.jpg"], ["100/3.jpg"], ["100/4.jpg"]]


def test_a_newer_bundle_adds_its_own_answer(store: Store, url: str) -> None:
    card, old = keys(store)
    frames = [shot("1.jpg", 0), shot("2.jpg", 1)]
    store.record(card, old, records=frames)
    store.group(old, NamingRule(("Lion",), 0.99))
    new = store.model("iucn11", "2.0.0", "d2")
    store.record(card, new, records=frames)
    store.group(new, RULE)
    assert ask(
        url, "SELECT model_id, label, reason, frames FROM sequence_predictions ORDER BY id"
    ) == [(old, None, "low_confidence", 2), (new, "Lion", None, 2)]
    assert ask(url, "SELECT count(*) FROM sequences") == [(1,)]


def test_a_superseded_frame_leaves_its_burst(store: Store, url: str) -> None:
    card, model = keys(store)
    half = replace(record("2.jpg", content="half"), exif=shot("2.jpg", 1).exif)
    store.record(card, model, records=[half, shot("3.jpg", 2)])
    store.group(model, RULE)
    store.record(card, model, records=[shot("1.jpg", 0), shot("2.jpg", 1)])
    store.group(model, RULE)
    assert bursts(store) == [["1.jpg", "2.jpg", "3.jpg"]]
    assert ask(url, "SELECT frames FROM sequence_predictions") == [(3,)]
    assert ask(url, "SELECT count(*) FROM sequences") == [(1,)]


def test_photos_without_an_answer_form_a_sequence_without_one(store: Store, url: str) -> None:
    card, model = keys(store)
    nothing = Prediction(None, None, "unclassified", (), ())
    store.record(card, model, records=[shot("1.jpg", 0, nothing), shot("2.jpg", 1, nothing)])
    store.group(model, RULE)
    assert bursts(store) == [["1.jpg", "2.jpg"]]
    assert ask(url, "SELECT count(*) FROM sequence_predictions") == [(0,)]


def test_taking_in_a_card_groups_its_frames(store: Store, url: str, tmp_path: Path) -> None:
    loaded = load_bundle(write_bundle(tmp_path / "toy"))
    classifier = Classifier(loaded, open_session(loaded))
    for number, time in enumerate(("05:06:07", "05:06:08", "05:07:00")):
        exif = Image.Exif()
        exif[DATE_TIME] = f"2026:03:01 {time}"
        path = tmp_path / "card" / "DCIM" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (220, 10 * number, 10)).save(path, exif=exif)
    ingest(tmp_path / "card", store=store, classifier=classifier, workers=1)
    assert bursts(store) == [["DCIM/0.jpg", "DCIM/1.jpg"], ["DCIM/2.jpg"]]
    frames = [(each.label, each.probability) for each in store.sightings()][:2]
    ((label, probability, reason, count),) = ask(
        url, "SELECT label, probability, reason, frames FROM sequence_predictions"
    )
    assert (label, reason, count) == (frames[0][0], None, 2)
    shares = [share for _, share in frames if share is not None]
    assert min(shares) - 1e-6 <= probability <= max(shares) + 1e-6
