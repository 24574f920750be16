"""urls: folders and files of stores are scanned, read and recorded as those of a disk are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from tests.toy import write_bundle
from trapsort import examine, fingerprint, urls
from trapsort.bundle import load_bundle
from trapsort.cli.main import main
from trapsort.decode import check_kind
from trapsort.ensemble import Classifier
from trapsort.errors import InputError, PhotoError
from trapsort.fingerprint import MAX_FILE_BYTES, read_content
from trapsort.pipeline import ingest
from trapsort.scan import Photo, Problem, card_of, scan
from trapsort.session import open_session
from trapsort.store import Account, SightingQuery, Store
from trapsort.urls import Url, UrlStatus, url_of

fsspec = pytest.importorskip("fsspec", reason="trapsort[cluster] is not installed")
TREE = (
    "DCIM/100/IMG_1.JPG",
    "DCIM/100/IMG_2.JPG.part",
    "DCIM/100/~",
    "DCIM/10/IMG 1?.JPG",
    "DCIM/10-a/ä.jpg",
    "DCIM/.hidden/a.jpg",
    "System Volume Information/x",
    "b.txt",
    ".trashed",
)


@pytest.fixture
def memory() -> Iterator[Url]:
    """An empty folder of fsspec's file system in memory."""
    system = fsspec.filesystem("memory")
    system.pipe_file("/survey/card/.keep", b"")
    yield url_of("memory://survey/card/")
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def put(url: Url, data: bytes) -> None:
    fsspec.filesystem("memory").pipe_file(url.removeprefix("memory:/"), data)


def only(url: Url) -> Photo:
    (photo,) = scan(url)
    assert isinstance(photo, Photo)
    return photo


def test_a_store_is_walked_as_a_disk_is(memory: Url, tmp_path: Path) -> None:
    for number, name in enumerate(TREE):
        path = tmp_path / "card" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(number))
        put(memory / name, bytes(number))
    here = [(item.relative, getattr(item, "size", 0)) for item in scan(tmp_path / "card")]
    there = [(item.relative, getattr(item, "size", 0)) for item in scan(memory)]
    assert there == here
    assert len(here) == 4
    photo = only(memory / "DCIM/100/IMG_1.JPG")
    assert (photo.card, photo.relative) == (memory / "DCIM/100", b"IMG_1.JPG")
    assert card_of(memory).is_there
    assert not card_of(memory / "b.txt").volume
    with pytest.raises(InputError, match=r"memory://survey/none does not exist\."):
        scan(memory.parent / "none")


def test_a_folder_that_cannot_be_listed_is_a_problem(
    memory: Url, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(memory / "a/1.jpg", b"1")
    put(memory / "b/2.jpg", b"2")
    whole = urls.list_folder

    def refuses(url: Url) -> dict[str, UrlStatus]:
        if url.name == "a":
            raise PermissionError(13, "Access Denied")
        return whole(url)

    monkeypatch.setattr("trapsort.scan.list_folder", refuses)
    problem, photo = scan(memory)
    assert problem == Problem(memory, b"a", "unreadable", "Access Denied")
    assert photo.relative == b"b/2.jpg"
    fsspec.filesystem("memory").rm("/survey", recursive=True)
    with pytest.raises(InputError, match="went away while it was read"):
        list(scan_of_gone(memory, monkeypatch))


def scan_of_gone(memory: Url, monkeypatch: pytest.MonkeyPatch) -> Iterator[Photo | Problem]:
    there = UrlStatus("directory", 0, 0, "")
    with monkeypatch.context() as patch:
        patch.setattr("trapsort.scan.status_of", lambda url: there)
        items = scan(memory)
    yield from items


def test_content_is_that_of_the_file(memory: Url, tmp_path: Path) -> None:
    put(memory / "a.jpg", b"content")
    (tmp_path / "a.jpg").write_bytes(b"content")
    (here,) = scan(tmp_path)
    assert isinstance(here, Photo)
    assert read_content(only(memory / "a.jpg")).sha256 == read_content(here).sha256


@pytest.mark.parametrize("later", [b"other12", b"longer than it was", b"short"])
def test_a_change_since_the_listing_is_seen(memory: Url, later: bytes) -> None:
    put(memory / "a.jpg", b"content")
    photo = only(memory / "a.jpg")
    put(memory / "a.jpg", later)
    with pytest.raises(PhotoError, match="changed: size or time changed since the folder was"):
        read_content(photo)


def test_what_is_gone_empty_or_too_large(memory: Url, monkeypatch: pytest.MonkeyPatch) -> None:
    put(memory / "a.jpg", b"content")
    photo = only(memory / "a.jpg")
    fsspec.filesystem("memory").rm("/survey/card/a.jpg")
    with pytest.raises(PhotoError, match="unreadable") as failed:
        read_content(photo)
    assert isinstance(failed.value.__cause__, FileNotFoundError)
    put(memory / "none.jpg", b"")
    with pytest.raises(PhotoError, match="empty"):
        read_content(only(memory / "none.jpg"))
    monkeypatch.setattr(fingerprint, "read_url", None)  # not asked
    large = Photo(memory, memory / "x", b"x", MAX_FILE_BYTES + 1, 0)
    with pytest.raises(PhotoError, match="too_large"):
        read_content(large)


@pytest.mark.parametrize("by_url", [True, False])
def test_of_a_film_only_the_beginning_is_read(
    memory: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_url: bool
) -> None:
    """And what is said of it is what a look at the whole says."""
    film = b"\0\0\0\x18ftypmp42" + bytes(20_000)
    put(memory / "film.mp4", film)
    (tmp_path / "film.mp4").write_bytes(film)
    (photo,) = scan(memory if by_url else tmp_path)
    assert isinstance(photo, Photo)
    asked = []
    whole = fingerprint._read
    monkeypatch.setattr(
        fingerprint, "_read", lambda photo, size: asked.append(size) or whole(photo, size)
    )
    said = "unsupported: video files are not read"
    with pytest.raises(PhotoError, match=said):
        check_kind(examine.read(photo).data)
    monkeypatch.setattr(examine, "LARGE_BYTES", 10_000)
    with pytest.raises(PhotoError, match=said):
        examine.read(photo)
    assert asked == [len(film) + 1, 4096]


def test_the_beginning_of_a_photo_says_nothing_against_it() -> None:
    heads = (b"\xff\xd8\xff\xe1", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"GIF89a", b"what", b"")
    for head in heads:
        check_kind(head + bytes(100))


def test_a_store_is_taken_in_and_found_again(
    memory: Url, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, colour in {"lion": (220, 10, 10), "panda": (10, 220, 10)}.items():
        Image.new("RGB", (320, 240), colour).save(tmp_path / f"{name}.png")
        put(memory / f"DCIM/{name}.png", (tmp_path / f"{name}.png").read_bytes())
    put(memory / "notes.txt", b"a note")
    folder = write_bundle(tmp_path / "toy")
    bundle = load_bundle(folder)
    classifier = Classifier(bundle, open_session(bundle))
    assert ingest(memory, store=store, classifier=classifier) == Account(3, 2, 0, 1)
    assert ingest(memory, store=store, classifier=classifier) == Account(3, 0, 2, 1)
    found = list(store.sightings(SightingQuery(card=memory)))
    assert [(each.card, each.path, each.label) for each in found] == [
        (str(memory), "DCIM/lion.png", "Lion"),
        (str(memory), "DCIM/panda.png", "Panda"),
    ]
    # The same files from a disk are the same photos.
    on_disk = ingest(tmp_path / "lion.png", store=store, classifier=classifier)
    assert on_disk == Account(1, 0, 1, 0)
    options = ["--db", str(tmp_path / "s.sqlite3"), "--bundle", str(folder)]
    assert main(["ingest", f"{memory}/", *options]) == 0
    assert capfd.readouterr().out == "card: 3 files: 2 photos recorded, 0 seen before, 1 problem\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sftp://user:secret@host/x", r"^sftp://host/x holds a password"),
        ("file:///media/card", "is on this machine"),
        ("zip://a::s3://b/c", "joins several URLs"),
        ("what://b/c", "Protocol not known: what"),
        ("gs://bucket/card", "needs another package.*\n.*pip install gcsfs"),
    ],
)
def test_urls_that_are_refused(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(InputError, match=said) as refused:
        url_of(text)
    assert "secret" not in str(refused.value)
    assert main(["ingest", text]) == 2
    assert "secret" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (datetime(2024, 5, 6, 7, 8, 9, 250_000, tzinfo=UTC), 1_714_979_289_250_000_000),
        (datetime(2024, 5, 6, 7, 8, 9), 1_714_979_289_000_000_000),
        ("2024-05-06T07:08:09Z", 1_714_979_289_000_000_000),
        (1_714_979_289, 1_714_979_289_000_000_000),
        ("yesterday", 0),
        (None, 0),
    ],
)
def test_a_stores_time(time: object, expected: int) -> None:
    assert urls._nanoseconds(time) == expected


def test_a_version_decides_where_there_is_one() -> None:
    one, touched = UrlStatus("file", 5, 1, "a"), UrlStatus("file", 5, 2, "a")
    assert one.is_same(touched)
    assert not one.is_same(UrlStatus("file", 5, 1, "b"))
    assert not one.is_same(UrlStatus("file", 5, 2, ""))
    info = {"type": "file", "size": 5, "ETag": '"a"', "LastModified": datetime.now(UTC)}
    assert urls._status(info).version == "a"
    assert urls._status({"name": "x"}) == UrlStatus("other", 0, 0, "")
    assert os.fspath(Url("s3://bucket/card") / "a") == "s3://bucket/card/a"
