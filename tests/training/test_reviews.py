"""A labelled set from what people said in the field."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.toy import write_bundle
from trapsort.bundle import load_bundle
from trapsort.demo import draw_card
from trapsort.ensemble import Classifier
from trapsort.errors import InputError
from trapsort.pipeline import ingest
from trapsort.session import open_session
from trapsort.store import Store

pytest.importorskip("sklearn", reason="the training packages are not installed")

from training.refit import next_version, read_corrections
from training.reviews import Reviewed, write_reviewed


def reviewed_card(folder: Path, labels: dict[str, list[str | None]]) -> str:
    """Take in a drawn card and review photos by the end of their path; the database's URL."""
    draw_card(folder / "card")
    bundle = load_bundle(write_bundle(folder / "bundle"))
    url = f"sqlite:///{folder / 'record.db'}"
    store = Store.open(url)
    ingest(folder / "card", store=store, classifier=Classifier(bundle, open_session(bundle)))
    ids = {each.path: each.photo_id for each in store.sightings()}
    for end, said in labels.items():
        photo = next(photo for path, photo in ids.items() if path.endswith(end))
        for label in said:
            store.review(photo, label, reviewer="Ada")
    store.close()
    return url


def test_the_newest_review_is_the_label_and_originals_are_found_by_content(tmp_path: Path) -> None:
    said: dict[str, list[str | None]] = {
        "0011.JPG": ["Lion", "Panda"], "0012.JPG": ["Rhino"], "0013.JPG": ["Lion", None],
        "0014.JPG": ["Lion"],
    }  # fmt: skip
    url = reviewed_card(tmp_path, said)
    archive = tmp_path / "archive"
    archive.mkdir()
    for photo in (tmp_path / "card").rglob("*.JPG"):
        if not photo.name.endswith("0014.JPG"):
            shutil.copy(photo, archive / f"renamed-{photo.name}")
    target = tmp_path / "out" / "reviewed.csv"
    assert write_reviewed(url, archive, target) == Reviewed(labelled=2, missing=1)
    with target.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(Path(row["path"]).name[-8:], row["label"]) for row in rows] == [
        ("0011.JPG", "Panda"),
        ("0012.JPG", "Rhino"),
    ]
    assert {row["site"] for row in rows} == {str(tmp_path / "card")}
    read = read_corrections(target, ("Panda", "Rhino"))
    assert [each.label for each in read] == ["Panda", "Rhino"]
    with pytest.raises(InputError, match="the bundle has no label 'Panda'"):
        read_corrections(target, ("Rhino",))


def test_without_reviews_or_originals_it_says_so(tmp_path: Path) -> None:
    url = reviewed_card(tmp_path, {})
    with pytest.raises(InputError, match="No photo in this database has a review with a label"):
        write_reviewed(url, tmp_path / "card", tmp_path / "reviewed.csv")
    other = tmp_path / "other"
    other.mkdir()
    url = reviewed_card(other, {"0011.JPG": ["Lion"]})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="None of the 1 reviewed photos lies below"):
        write_reviewed(url, tmp_path / "empty", tmp_path / "reviewed.csv")
    assert not (tmp_path / "reviewed.csv").exists()


def test_the_next_version_counts_the_last_number() -> None:
    assert next_version("1.0.9") == "1.0.10"
