"""Labelled photos: class folders and CSV files, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy import LABELS
from trapsort.errors import InputError
from trapsort.labelled import Labelled, read_labelled

LAYOUT = (
    "Give a folder with a folder for each label, or a CSV file with the columns path, label. "
    "The bundle's labels: Lion, Panda, Rhino. "
    "For photos of anything else: blank, vehicle, other_animal, unknown, none."
)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def listed(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_class_folders_are_walked_in_order(tmp_path: Path) -> None:
    touch(
        tmp_path / "Rhino/deep/er/b.jpg",
        tmp_path / "lion/z.jpg",
        tmp_path / "lion/a.jpg",
        tmp_path / "unknown/c.jpg",
        tmp_path / ".hidden/d.jpg",
        tmp_path / "manifest.csv",
    )
    found = read_labelled(tmp_path, LABELS)
    assert [(photo.path.relative_to(tmp_path).as_posix(), photo.label) for photo in found] == [
        ("Rhino/deep/er/b.jpg", "Rhino"),
        ("lion/a.jpg", "Lion"),
        ("lion/z.jpg", "Lion"),
        ("unknown/c.jpg", "unknown"),
    ]
    assert found[0].name == str(tmp_path / "Rhino/deep/er/b.jpg")


def test_a_list_gives_labels_groups_sites_and_splits(tmp_path: Path) -> None:
    text = (
        "\ufeffLabel,path,site,split,note,group\n"
        "Lion,a.jpg,ridge,train,seen,g1\n"
        "\n"
        f'NONE,"{tmp_path / "b, c.jpg"}",,,,\n'
    )
    assert read_labelled(listed(tmp_path, text), LABELS) == [
        Labelled(tmp_path / "a.jpg", "a.jpg", "Lion", "g1", "ridge", "train"),
        Labelled(tmp_path / "b, c.jpg", str(tmp_path / "b, c.jpg"), "none"),
    ]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_list_of_a_spreadsheet_of_other_habits_is_read(tmp_path: Path, mark: str) -> None:
    text = f"path{mark}label\r\n1,5.jpg{mark}Panda\r\n"
    (photo,) = read_labelled(listed(tmp_path, text), LABELS)
    assert (photo.path, photo.label) == (tmp_path / "1,5.jpg", "Panda")


def test_unknown_folders_are_all_named(tmp_path: Path) -> None:
    touch(tmp_path / "Lynx/a.jpg", tmp_path / "Lion/a.jpg", tmp_path / "Okapi/a.jpg")
    with pytest.raises(InputError) as caught:
        read_labelled(tmp_path, LABELS)
    assert caught.value.message == f"{tmp_path}: 'Lynx', 'Okapi' are no labels of the bundle."
    assert caught.value.hint == LAYOUT


def test_a_label_of_its_own_takes_precedence_over_a_negative(tmp_path: Path) -> None:
    touch(tmp_path / "None/a.jpg")
    (photo,) = read_labelled(tmp_path, ["None", "Some"])
    assert photo.label == "None"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "{0} has no column 'path'; its first line is ''."),
        ("file,label\n", "{0} has no column 'path'; its first line is 'file,label'."),
        ("path,species\n", "{0} has no column 'label'; its first line is 'path,species'."),
        ("path,label\n", "{0}: there is no photo in it."),
        ("path,label\na.jpg,Lynx\n", "{0}: 'Lynx' is no label of the bundle."),
        ("path,label\na.jpg,Lion\nb.jpg\n", "{0}, line 3: there is no label."),
        ("path,label\n,Lion\n", "{0}, line 2: there is no path."),
        (
            "path,label\na.jpg,Lion\nb.jpg,Lion\na.jpg,Panda\n",
            "{0}, line 4: 'a.jpg' stands in line 2 already.",
        ),
        (b"path,label\n\xff.jpg,Lion\n", "{0} is not a CSV file in UTF-8."),
        ('path,label\n"' + "a" * 200_000, "{0}, line 2: field larger than field limit (131072)."),
    ],
)
def test_a_list_that_cannot_be_used_says_why(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = listed(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_labelled(path, LABELS)
    assert caught.value.message == message.format(path)


def test_a_folder_without_class_folders_says_what_is_wanted(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    with pytest.raises(InputError) as caught:
        read_labelled(tmp_path, LABELS)
    assert caught.value.message == f"{tmp_path}: there is no photo below its class folders."
    assert caught.value.hint == LAYOUT


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        read_labelled(tmp_path / "nowhere", LABELS)
