"""MegaDetector and SpeciesNet results: what becomes of them in the record, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.records import CARD, LION, NOVEL, ask, keys, record
from trapsort.ensemble import Prediction
from trapsort.errors import InputError
from trapsort.interchange import detected
from trapsort.interchange.detected import Detected, LeftOut, label_of
from trapsort.interchange.json_stream import open_json
from trapsort.interchange.matching import Matcher, NoMatch, agrees
from trapsort.interchange.read_megadetector import read_megadetector
from trapsort.interchange.read_speciesnet import read_speciesnet
from trapsort.interchange.take_in import take_in
from trapsort.store import Sighting, Store

LEOPARD = "f2a1;mammalia;carnivora;felidae;panthera;pardus;leopard"
LION_CLASS = "f2a2;mammalia;carnivora;felidae;panthera;leo;lion"
CATS = "f2a3;mammalia;carnivora;felidae;;;cat family"
HUMAN = "f2a4;mammalia;primates;hominidae;homo;sapiens;human"
BLANK = "f2a5;;;;;;blank"
GIVES_UP = "f2a6" + ";no cv result" * 6
CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
BOX = [0.1, 0.2, 0.3, 0.4]


def box(category: str, conf: float, *classes: tuple[str, float], at: Any = BOX) -> dict[str, Any]:
    found = {"category": category, "conf": conf, "bbox": at}
    return found | ({"classifications": [list(each) for each in classes]} if classes else {})


def megadetector(path: Path, *images: Any, **changes: Any) -> Path:
    info = {"format_version": "1.6", "detector": "md_v5a.0.1.pt"}
    table = {"info": info, "detection_categories": CATEGORIES, "images": images} | changes
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


def image(file: str, *boxes: dict[str, Any]) -> dict[str, Any]:
    return {"file": file, "detections": list(boxes)}


def speciesnet(path: Path, *predictions: Any, **changes: Any) -> Path:
    table = {"predictions": predictions} | changes
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


def with_photos(store: Store, *names: str, prediction: Prediction | None = None) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record(name, prediction=prediction) for name in names])


def imported(store: Store, results: detected.Results, card: Path | None = None) -> list[LeftOut]:
    left: list[LeftOut] = []
    take_in(
        store, results, Matcher(store, card), on_left_out=left.append, on_progress=lambda _: None
    )
    return left


def sightings(store: Store) -> dict[str, Sighting]:
    return {each.path: each for each in store.sightings()}


def said(store: Store) -> dict[str, tuple[str | None, str | None, float | None]]:
    found = sightings(store).values()
    return {each.path: (each.label, each.reason, each.probability) for each in found}


# What becomes of results ------------------------------------------------------------------------


def test_animals_people_vehicles_and_blanks_become_sightings(store: Store, tmp_path: Path) -> None:
    with_photos(store, *(f"DCIM/{name}.jpg" for name in "abcde"))
    file = megadetector(
        tmp_path / "md.json",
        image("DCIM/a.jpg", box("1", 0.9), box("3", 0.5)),
        image("DCIM/b.jpg", box("1", 0.4), box("2", 0.8)),
        image("DCIM/c.jpg", box("3", 0.7)),
        image("DCIM/d.jpg"),
        image("DCIM/e.jpg", box("1", 0.19)),  # too little to count
    )
    results = read_megadetector(file)
    assert (results.files, results.boxes, results.min_confidence) == (5, 6, 0.2)
    assert imported(store, results) == []
    assert said(store) == {
        "DCIM/a.jpg": (None, "other_animal", 0.9),
        "DCIM/b.jpg": (None, "person", 0.8),
        "DCIM/c.jpg": (None, "vehicle", 0.7),
        "DCIM/d.jpg": (None, "blank", 1.0),
        "DCIM/e.jpg": (None, "blank", 0.81),
    }
    assert {each.model for each in sightings(store).values()} == {"md_v5a.0.1.pt"}
    assert list(store.detections()) == []


def test_boxes_are_kept_as_they_are(store: Store, url: str, tmp_path: Path) -> None:
    with_photos(store, "a.jpg")
    far = [0.95, 0.9, 0.0501, 0.1]  # programs round: a little outside is inside
    file = megadetector(tmp_path / "md.json", image("a.jpg", box("1", 0.9), box("2", 0.01, at=far)))
    imported(store, read_megadetector(file))
    columns = "x, y, regions.width, regions.height, detector, detector_confidence, top, reason"
    query = f"SELECT {columns} FROM regions JOIN predictions ON region_id = regions.id ORDER BY x"  # noqa: S608
    assert ask(url, query) == [
        (*BOX, "md_v5a.0.1.pt", 0.9, '[["animal", 0.9]]', "other_animal"),
        (*far, "md_v5a.0.1.pt", 0.01, '[["person", 0.01]]', "low_confidence"),
    ]


def test_twice_is_once(store: Store, url: str, tmp_path: Path) -> None:
    with_photos(store, "a.jpg", "b.jpg")
    classes = {"classification_categories": {"0": "lion"}}
    file = megadetector(
        tmp_path / "md.json", image("a.jpg", box("1", 0.9, ("0", 0.8))), image("b.jpg"), **classes
    )
    imported(store, read_megadetector(file))
    tables = ("photos", "regions", "predictions", "models")
    before = [ask(url, f"SELECT * FROM {table} ORDER BY id") for table in tables]  # noqa: S608
    assert [len(rows) for rows in before[1:]] == [2, 3, 3]
    imported(store, read_megadetector(file))
    assert [ask(url, f"SELECT * FROM {table} ORDER BY id") for table in tables] == before  # noqa: S608


def test_what_trapsort_says_itself_comes_first(store: Store, tmp_path: Path) -> None:
    with_photos(store, "a.jpg", prediction=LION)
    with_photos(store, "b.jpg", prediction=NOVEL)
    found = [image(name, box("2", 0.99)) for name in ("a.jpg", "b.jpg")]
    imported(store, read_megadetector(megadetector(tmp_path / "md.json", *found)))
    assert said(store) == {"a.jpg": ("Lion", None, 0.91), "b.jpg": (None, "novel", 0.4)}


def test_a_classifier_is_a_model_of_its_own_before_the_detector(
    store: Store, tmp_path: Path
) -> None:
    with_photos(store, "a.jpg", "b.jpg", "c.jpg")
    changes = {
        "info": {"format_version": 1.4, "detector": "md", "classifier": "cats v2"},
        "classification_categories": {"0": "lion", "1": "Vulpes vulpes", "2": "a bird", "3": "cat"},
        "classification_category_descriptions": {"0": LION_CLASS, "3": CATS},
    }
    file = megadetector(
        tmp_path / "md.json",
        image("a.jpg", box("2", 0.99), box("1", 0.5, ("1", 0.2), ("0", 0.7))),
        image("b.jpg", box("1", 0.6, ("1", 0.9))),
        image("c.jpg", box("1", 0.6, ("3", 0.9))),
        **changes,
    )
    imported(store, read_megadetector(file))
    found = sightings(store)
    assert said(store) == {
        "a.jpg": ("Lion", None, 0.7),
        "b.jpg": ("Vulpes vulpes", None, 0.9),
        "c.jpg": (None, "other_animal", 0.9),  # a family is no species
    }
    assert (found["a.jpg"].model, found["a.jpg"].iucn) == ("cats v2", "VU")
    # Another detector that comes later, and brings the same classifier, stands behind it too.
    later = changes | {
        "info": {"format_version": "1.5", "detector": "md2", "classifier": "cats v2"}
    }
    entries = [image("b.jpg", box("1", 0.7, ("0", 0.8)))]
    imported(store, read_megadetector(megadetector(tmp_path / "2.json", *entries, **later)))
    assert said(store)["b.jpg"] == ("Lion", None, 0.8)


def test_the_confidence_that_counts_is_the_files_own_or_that_of_the_option(
    store: Store, url: str, tmp_path: Path
) -> None:
    with_photos(store, "a.jpg")
    info = {"format_version": "1.6", "detector": "md_v4.1.0.pb"}
    info_4 = info | {"detector_metadata": {"typical_detection_threshold": 0.8}}
    file = megadetector(tmp_path / "md.json", image("a.jpg", box("1", 0.7)), info=info_4)
    imported(store, read_megadetector(file))
    assert said(store)["a.jpg"][1] == "blank"
    imported(store, read_megadetector(file, 0.5))
    assert said(store)["a.jpg"] == (None, "other_animal", 0.7)
    rules = ask(url, "SELECT profile FROM models WHERE source = 'megadetector' ORDER BY id")
    assert rules == [("min_confidence 0.8",), ("min_confidence 0.5",)]


def test_videos_and_failures_are_told(store: Store, tmp_path: Path) -> None:
    with_photos(store, "a.jpg")
    file = megadetector(
        tmp_path / "md.json",
        {"file": "a.MP4", "frame_rate": 20, "frames_processed": [0], "detections": []},
        {"file": "a.jpg", "failure": "Failure image access", "detections": None},
    )
    left = imported(store, read_megadetector(file))
    assert left == [
        LeftOut("a.MP4", "video", ""),
        LeftOut("a.jpg", "failed", "Failure image access"),
    ]
    assert said(store) == {"a.jpg": (None, None, None)}


def test_speciesnet_5_names_boxes(store: Store, tmp_path: Path) -> None:
    with_photos(store, "a.jpg", "b.jpg", "c.jpg", "d.jpg")

    def one(name: str, *classes: str) -> dict[str, Any]:
        return {
            "filepath": name,
            "model_version": "5.0.1a",
            "detections": [
                {
                    "category": "1", "label": "animal", "conf": 0.9,
                    "bbox": [n / 10, 0.1, 0.1, 0.1],
                    "raw_classifications": {"classes": [each], "scores": [0.6]},
                    "processed_classification": {"class": each, "score": 0.6, "source": "x"},
                }
                for n, each in enumerate(classes)
            ],
        }  # fmt: skip

    failed = {"filepath": "d.jpg", "failures": ["DETECTOR", "CLASSIFIER"]}
    entries = (one("a.jpg", BLANK, LION_CLASS), one("b.jpg", LEOPARD), one("c.jpg", CATS), failed)
    file = speciesnet(tmp_path / "sn.json", *entries, info={"format_version": "20261015"})
    assert imported(store, read_speciesnet(file)) == [
        LeftOut("d.jpg", "failed", "DETECTOR, CLASSIFIER")
    ]
    assert said(store) == {
        "a.jpg": ("Lion", None, 0.6),
        "b.jpg": ("Panthera pardus", None, 0.6),
        "c.jpg": (None, "other_animal", 0.6),
        "d.jpg": (None, None, None),
    }
    assert sightings(store)["a.jpg"].model == "speciesnet 5.0.1a"


def test_speciesnet_4_names_photos(store: Store, url: str, tmp_path: Path) -> None:
    names = ("lion.jpg", "human.jpg", "blank.jpg", "raw.jpg", "unsure.jpg")
    with_photos(store, *names)

    def one(name: str, prediction: str | None, **more: Any) -> dict[str, Any]:
        said = {"prediction": prediction, "prediction_score": 0.75} if prediction else {}
        classes = {"classes": [LION_CLASS, LEOPARD], "scores": [0.6, 0.1]}
        detections = [{"category": "2", "label": "human", "conf": 0.3, "bbox": BOX}]
        found = {"filepath": f"/media/card/{name}", "model_version": "4.0.1a", **said}
        return found | {"classifications": classes, "detections": detections} | more

    file = speciesnet(
        tmp_path / "sn.json",
        one("lion.jpg", LION_CLASS),
        one("human.jpg", HUMAN),
        one("blank.jpg", BLANK, detections=[]),
        one("raw.jpg", None),
        one("unsure.jpg", GIVES_UP),
    )
    assert imported(store, read_speciesnet(file)) == []
    assert said(store) == {
        "lion.jpg": ("Lion", None, 0.75),
        "human.jpg": (None, "person", 0.75),
        "blank.jpg": (None, "blank", 0.75),
        "raw.jpg": ("Lion", None, 0.6),
        "unsure.jpg": (None, "person", 0.3),
    }
    query = "SELECT top FROM predictions WHERE label = 'Lion' AND probability = 0.75"
    assert json.loads(ask(url, query)[0][0]) == [["Panthera leo", 0.6], ["Panthera pardus", 0.1]]


def test_a_classifier_of_whole_photos_alone_calls_nothing_blank(tmp_path: Path) -> None:
    whole = {"category": "0", "label": "whole_image_classification", "conf": 1.0, "bbox": BOX}
    whole |= {"raw_classifications": {"classes": [LION_CLASS], "scores": [0.9]}}
    file = speciesnet(tmp_path / "sn.json", {"filepath": "a.jpg", "detections": [whole]})
    (found,) = read_speciesnet(file).read()
    assert isinstance(found, Detected)
    assert (found.boxes, found.said) == ((), None)
    assert found.named is not None and found.named.label == "Lion"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Panthera leo", "Lion"),
        ("lion", "Lion"),
        ("Loxodonta cyclotis", "African_Elephant"),
        ("african elephant", "African_Elephant"),
        ("Panthera onca", "Jaguars"),
        ("Panthera pardus", "Panthera pardus"),  # a 'Panthers' may be a jaguar too
        ("Vulpes vulpes", "Vulpes vulpes"),
    ],
)
def test_names_become_labels_where_only_one_is_meant(name: str, label: str) -> None:
    assert label_of(name) == label


# Which photo ------------------------------------------------------------------------------------


def found_by(store: Store, path: str, card: Path | None = None) -> str | None:
    """The recorded path that a path means, or why none."""
    photo = Matcher(store, card).match([path])[path]
    if isinstance(photo, NoMatch):
        return f"{photo.reason} {photo.detail}".strip()
    names = {each.photo_id: f"{each.card} {each.path}" for each in store.sightings()}
    return names[photo]


@pytest.mark.parametrize(
    "path",
    [
        "DCIM/a.jpg",
        "./DCIM//a.jpg",
        "DCIM\\a.jpg",
        "card/DCIM/a.jpg",
        "media/card/DCIM/a.jpg",
        "/media/card/DCIM/a.jpg",
        "/srv/media/card/x/../DCIM/a.jpg",
    ],
)
def test_a_path_with_or_without_the_cards_folder(store: Store, path: str) -> None:
    with_photos(store, "DCIM/a.jpg", "DCIM/b.jpg")
    assert found_by(store, path) == "/media/card DCIM/a.jpg"


@pytest.mark.parametrize(
    "path", ["a.jpg", "other/DCIM/a.jpg", "/media/other/card/DCIM/a.jpg", "DCIM/A.jpg", "", ".."]
)
def test_a_path_that_only_resembles_is_unknown(store: Store, path: str) -> None:
    with_photos(store, "DCIM/a.jpg")
    assert found_by(store, path) == "unknown"


def test_two_cards_with_one_path_need_a_name(store: Store) -> None:
    with_photos(store, "DCIM/a.jpg")
    second = store.card(Path("/media/second"), volume="1234-ABCD")
    model = store.model("iucn11", "1.0.0", "d1")
    store.record(second, model, records=[record("DCIM/a.jpg", content="other")])
    both = "ambiguous 2 photos on /media/card, /media/second"
    assert found_by(store, "DCIM/a.jpg") == both
    assert found_by(store, "second/DCIM/a.jpg") == "/media/second DCIM/a.jpg"
    for named in ("/media/second", "1234-ABCD"):
        assert found_by(store, "DCIM/a.jpg", Path(named)) == "/media/second DCIM/a.jpg"
        there = found_by(store, "E:\\elsewhere\\DCIM\\a.jpg", Path(named))
        assert there == "/media/second DCIM/a.jpg"
    assert found_by(store, "a.jpg", Path("/media/card/DCIM")) == "/media/card DCIM/a.jpg"
    assert found_by(store, "card/DCIM/a.jpg", Path("/media")) == "/media/card DCIM/a.jpg"
    with pytest.raises(InputError, match=r"nothing was taken in from /nowhere"):
        Matcher(store, Path("/nowhere"))


def test_one_photo_on_two_cards_is_one_photo(store: Store) -> None:
    with_photos(store, "DCIM/a.jpg")
    second, model = store.card(Path("/media/second")), store.model("iucn11", "1.0.0", "d1")
    store.record(second, model, records=[record("DCIM/a.jpg")])
    assert found_by(store, "DCIM/a.jpg") == "/media/card DCIM/a.jpg"


def test_what_gave_way_is_not_found(store: Store) -> None:
    card, model = keys(store)
    store.record(card, model, records=[record("a.jpg", content="torn")])
    store.record(card, model, records=[record("a.jpg", content="whole")])
    assert found_by(store, "a.jpg") == f"{CARD} a.jpg"


def test_folders_agree_from_behind() -> None:
    root = ("media", "ana", "card")
    assert agrees((), root)
    assert agrees(("card",), root)
    assert agrees(("x", *root), root)
    assert not agrees(("ana",), root)
    assert not agrees(("bob", "card"), root)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it ends too early"),
        ("[]", "'[' stands where { is due"),
        ("{}", "it holds no list 'images'"),
        ('{"images": 3}', "it holds no list 'images'"),
        ('{"images": [{"file": "a', "it ends too early"),
        ('{"images": [{"file": "a"}', "it ends too early"),
        ('{"images": [tr', "it ends too early"),
        ('{"images": []', "it ends too early"),
        ('{"images": [], "images": []}', "it holds 'images' twice"),
        ('{"images": []} {}', "it goes on behind its end"),
        ('{"images": [{"conf": NaN}]}', "NaN is no number in JSON"),
        ('{"images": [1 2]}', "'2' stands where , or ] is due"),
        ('{"images": ["\0"]}     ', "Invalid control character at"),
        ('{"images": [' + "[" * 100_000, "it nests too deep"),
    ],
)
def test_what_is_no_whole_json_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        open_json(path, "images")
    assert raised.value.message == f"{path} is no JSON file of results, or not all of it: {why}."


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes('{"images": ["é"]}'.encode("latin-1"))
    with pytest.raises(InputError, match=r": it is not UTF-8\."):
        open_json(path, "images")
    with pytest.raises(InputError, match="is not a file"):
        open_json(tmp_path, "images")
    with pytest.raises(InputError, match="does not exist"):
        open_json(tmp_path / "none.json", "images")


def test_a_long_file_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trapsort.interchange import json_stream

    entries = [{"n": n, "text": 'a "b" [' * n} for n in range(60)] + [123456789, -1.5e3, None, []]
    path = tmp_path / "long.json"
    table = {"info": 1, "images": entries, "more": {"x": [1, 2]}}
    path.write_text("\ufeff" + json.dumps(table, indent=1), encoding="utf-8")
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(json_stream, "AT_ONCE", size)
        file = open_json(path, "images")
        assert file.head == {"info": 1, "more": {"x": [1, 2]}}
        assert list(file.read()) == entries


def test_an_entry_that_never_ends_is_refused_before_it_is_all_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trapsort.interchange import json_stream

    monkeypatch.setattr(json_stream, "AT_ONCE", 10)
    monkeypatch.setattr(json_stream, "LARGEST", 1000)
    path = tmp_path / "long.json"
    path.write_text('{"images": ["' + "x" * 5000 + '"]}', encoding="utf-8")
    with pytest.raises(InputError, match="or not all of it"):
        open_json(path, "images")


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = megadetector(tmp_path / "md.json", image("a.jpg"))
    results = read_megadetector(path)
    megadetector(path, image("a.jpg"), image("b.jpg"))
    with pytest.raises(InputError, match="changed while it was read"):
        list(results.read())


BAD_ENTRIES: list[tuple[Any, str]] = [
    ("a.jpg", "it is 'a.jpg', not an object"),
    ({"detections": []}, "it has no file"),
    ({"file": 3, "detections": []}, "it has no file"),
    ({"file": "a.jpg"}, "it has neither detections nor a failure"),
    ({"file": "a.jpg", "detections": 3}, "detections is 3, not a list"),
    (image("a.jpg", box("1", True)), "conf is True, not a number from 0 to 1"),
    (image("a.jpg", box("1", 1.1)), "conf is 1.1, not a number from 0 to 1"),
    (image("a.jpg", box("1", -0.1)), "conf is -0.1, not a number from 0 to 1"),
    (image("a.jpg", box("1", 0.5, at=[0, 0, 1])), "bbox is [0, 0, 1], not four numbers"),
    (image("a.jpg", box("1", 0.5, at=[0, 0, 1, "1"])), "bbox is [0, 0, 1, '1'], not four numbers"),
    (image("a.jpg", box("1", 0.5, at=[0.5, 0, 0.6, 1])), "lies outside its photo"),
    (image("a.jpg", box("1", 0.5, at=[0, 0, -0.1, 1])), "lies outside its photo"),
    (image("a.jpg", box("1", 0.5, at=[10, 20, 300, 400])), "lies outside its photo"),
    (image("a.jpg", box("1", 0.5, ("7", 0.5))), "a classification is ['7', 0.5], not a listed id"),
]


@pytest.mark.parametrize(("entry", "why"), BAD_ENTRIES)
def test_an_entry_that_cannot_be_is_refused_and_named(tmp_path: Path, entry: Any, why: str) -> None:
    path = megadetector(tmp_path / "md.json", image("first.jpg"), entry)
    named = f"{path}, image 2.*: .*{re.escape(why)}"
    with pytest.raises(InputError, match=named):
        read_megadetector(path)


def test_nothing_is_written_of_a_file_with_one_bad_entry(
    store: Store, url: str, tmp_path: Path
) -> None:
    with_photos(store, "a.jpg")
    path = megadetector(tmp_path / "md.json", image("a.jpg", box("1", 0.9)), {"file": "b.jpg"})
    with pytest.raises(InputError):
        imported(store, read_megadetector(path))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError):
        imported(store, read_megadetector(path))
    assert ask(url, "SELECT count(*) FROM regions") == [(0,)]
    assert ask(url, "SELECT count(*) FROM models WHERE source <> ''") == [(0,)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"info": {"format_version": "1.2"}}, "has the format version '1.2'."),
        ({"info": {"format_version": "2.0"}}, "has the format version '2.0'."),
        ({"info": {}}, "has the format version 'None'."),
        ({"info": None}, "info is None, not an object."),
        ({"detection_categories": None}, "detection_categories is None, not an object."),
        ({"detection_categories": {"1": ""}}, "detection_categories['1'] is '', not a name."),
        ({"info": {"format_version": "1.6", "detector": "a\0"}}, "holds characters that are no"),
    ],
)
def test_a_head_that_cannot_be_is_refused(tmp_path: Path, changes: Any, why: str) -> None:
    path = megadetector(tmp_path / "md.json", **changes)
    with pytest.raises(InputError) as raised:
        read_megadetector(path)
    assert why in raised.value.message


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"filepath": "a.jpg"}, "neither detections, nor a prediction, nor failures"),
        ({"detections": []}, "it has no filepath"),
        ({"filepath": "a.jpg", "prediction": LEOPARD, "prediction_score": 2}, "prediction_score"),
        (
            {"filepath": "a.jpg", "classifications": {"classes": ["a"], "scores": []}},
            "it has 1 classes and 0 scores",
        ),
    ],
)
def test_a_prediction_that_cannot_be_is_refused(tmp_path: Path, entry: Any, why: str) -> None:
    path = speciesnet(tmp_path / "sn.json", entry)
    with pytest.raises(InputError, match=rf"sn\.json, prediction 1.*: .*{why}"):
        read_speciesnet(path)


def test_a_newer_speciesnet_is_refused(tmp_path: Path) -> None:
    path = speciesnet(tmp_path / "sn.json", info={"format_version": "20300101"})
    with pytest.raises(InputError, match="has the format version '20300101'"):
        read_speciesnet(path)
