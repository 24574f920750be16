"""The API as programs and the page's scripts use it, on a record of drawn photos."""

from __future__ import annotations

import base64
import csv
import io
import shutil
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from tests.web.site import Browser, Site, make
from training.reviews import write_reviewed
from trapsort.cli.main import main


def labels(browser: Browser, **query: object) -> list[str | None]:
    return [each["label"] for each in browser.get("/sightings", **query)["items"]]


# Looking -----------------------------------------------------------------------------------------


def test_a_page_of_sightings(browser: Browser) -> None:
    page = browser.get("/sightings", limit=2)
    first = page["items"][0]
    assert (first["path"], first["label"], first["review_id"]) == ("1 red.jpg", "Lion", None)
    assert first["probability"] > 0.9
    assert first["species"] == "Panthera leo"
    assert (first["iucn"]["category"], first["iucn"]["text"]) == ("VU", "Vulnerable")
    assert "Panthera leo VU: Nicholson et al. 2023" in first["iucn"]["citation"]
    assert (page["next"], page["total_hint"]) == ("n2", 5)
    assert first["likely"] is None  # what has a name needs no guess
    rest = browser.get("/sightings", after=page["next"])
    assert [each["likely"] for each in rest["items"]] == [None, "blank", "Lion"]
    assert [each["label"] for each in rest["items"]] == ["Rhino", None, None]
    assert (rest["next"], rest["total_hint"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"species": ["Lion", "Panda"]}, ["Lion", "Panda"]),
        ({"species": "Ailuropoda melanoleuca"}, ["Panda"]),
        ({"iucn": "vu"}, ["Lion", "Panda", "Rhino"]),
        ({"reason": "blank"}, [None]),
        ({"reviewed": True}, []),
        ({"min_probability": 0.9}, ["Lion", "Panda", "Rhino"]),
        ({"max_probability": 0.5}, [None]),
        ({"card": 1, "species": "Lion"}, ["Lion"]),
        ({"card": 9}, []),
        ({"sequence": 1}, ["Lion"]),
        ({"station": "ridge"}, []),
        ({"order": "uncertain", "limit": 2}, [None, None]),
    ],
)
def test_filters(browser: Browser, query: dict[str, object], found: list[str | None]) -> None:
    assert labels(browser, **query) == found


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/sightings?limit=0", "limit: Input should be greater than or equal to 1"),
        ("/sightings?limit=501", "limit: Input should be less than or equal to 500"),
        ("/sightings?orden=newest", "orden: Extra inputs are not permitted"),
        ("/sightings?card=/etc/passwd", "card: Input should be a valid integer"),
        ("/photos/0", "photo_id: Input should be greater than or equal to 1"),
        ("/photos/99999999999999999999", "photo_id: Input should be less than or equal to"),
        ("/photos/1/image?size=9999", "size: Input should be '256' or '1280'"),
    ],
)
def test_what_cannot_be_asked_is_said(browser: Browser, path: str, said: str) -> None:
    answer = browser.client.get(f"/api/v1{path}")
    assert (answer.status_code, sorted(answer.json())) == (422, ["error", "hint"])
    assert answer.json()["error"].startswith(said)


def test_all_that_is_known_of_a_photo(browser: Browser, site: Site) -> None:
    found = browser.get("/photos/5")
    assert found["said"]["reason_text"] == "the most probable species is not probable enough"
    assert found["top"][0]["label"] == "Lion"
    assert [vote["member"] for vote in found["members"]] == ["first", "second", "third"]
    assert found["look_alike"]["label"] in ("Panda", "Rhino")
    assert found["places"][0] | {"first_seen": "", "last_seen": ""} == {
        "card": str(site.card),
        "path": "5 dim.jpg",
        "first_seen": "",
        "last_seen": "",
        "gone": None,
    }
    assert (found["exif"]["format"], found["width"], found["height"]) == ("JPEG", 400, 300)
    assert found["near_duplicates"] == [1, 2, 3, 4]  # plain areas look alike
    assert (found["sequence"], found["reviews"]) == ([5], [])
    answer = browser.client.get("/api/v1/photos/6")
    assert (answer.status_code, answer.json()["error"]) == (404, "there is no photo 6")


def test_counts_cards_problems_stations_and_progress(browser: Browser, site: Site) -> None:
    assert browser.get("/counts")["counts"][0] == {"value": "unknown", "photos": 2}
    counted = browser.get("/counts", by="iucn", species="Lion")
    assert counted == {"by": "iucn", "counts": [{"value": "VU", "photos": 1}]}
    assert browser.get("/counts", by="hour")["counts"] == [{"value": "", "photos": 5}]
    (card,) = browser.get("/cards")
    assert (card["root"], card["photos"], card["open_problems"]) == (str(site.card), 5, 1)
    assert card["account"]["recorded"] == 5
    problems = browser.get("/problems")
    assert [each["path"] for each in problems["items"]] == ["6 broken.jpg"]
    assert (browser.get("/stations"), browser.get("/progress")) == ([], [])


def test_labels_have_keys_that_stay(browser: Browser) -> None:
    def keys() -> dict[str, str]:
        return {each["name"]: each["key"] for each in browser.get("/labels") if each["key"]}

    before = keys()
    assert [before[name] for name in ("blank", "person", "unknown")] == ["b", "p", "u"]
    assert "Rhino" not in before  # the tenth by name, of those that nobody used
    browser.review([1], "Rhino")
    assert keys() == before
    used = {each["name"]: each["used"] for each in browser.get("/labels")}
    assert (used["Rhino"], used["Lion"]) == (1, 0)


def test_a_download_is_what_the_command_prints(
    browser: Browser, site: Site, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    browser.review([2], "Lion", note="=HYPERLINK()")
    answer = browser.client.get("/api/v1/sightings.csv?species=Lion")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="sightings.csv"'
    assert main(["sightings", "--db", site.url, "--species", "Lion", "--format", "csv"]) == 0
    assert capfdbinary.readouterr().out == answer.content
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["path"], row["reviewer"]) for row in rows] == [
        ("1 red.jpg", ""),
        ("2 green.jpg", "Ada"),
    ]


def test_reports_are_those_of_the_command(
    browser: Browser, site: Site, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    browser.review([1], "Panda")
    today = date.today().isoformat()
    answer = browser.client.get(f"/api/v1/reports/nightly?date={today}")
    assert main(["report", "nightly", "--db", site.url, "--date", today]) == 0
    assert capfdbinary.readouterr().out == answer.content
    assert b"Panda" in answer.content.splitlines()[1]
    missing = browser.client.get("/api/v1/reports/etc")
    assert (missing.status_code, missing.json()["error"]) == (404, "there is no report etc")


# Deciding ----------------------------------------------------------------------------------------


def test_a_review_is_there_at_once_everywhere(
    browser: Browser, site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (made,) = browser.review([1], "panda", count=2, note="a cub")
    (seen,) = browser.get("/sightings", reviewed=True)["items"]
    assert (seen["label"], seen["count"], seen["note"]) == ("Panda", 2, "a cub")
    assert (seen["reviewer"], seen["review_id"], seen["probability"]) == ("Ada", made, None)
    assert main(["sightings", "--db", site.url, "--reviewed", "--format", "csv"]) == 0
    assert "Panda" in capfd.readouterr().out
    exported = tmp_path / "timelapse.csv"
    columns = ["--column", "Species=species", "--column", "Note=note"]
    export = ["export", "timelapse", "--out", str(exported), *columns, "--db", site.url]
    assert main(export) == 0
    assert "1 red.jpg,,Panda,a cub" in exported.read_text(encoding="utf-8").splitlines()
    learned = write_reviewed(site.url, site.card, tmp_path / "reviewed.csv")
    assert (learned.labelled, learned.missing) == (1, 0)
    assert f"{site.card / '1 red.jpg'},Panda," in (tmp_path / "reviewed.csv").read_text()
    (now,) = browser.post("/reviews/undo", {"reviews": [made]})["sightings"]
    assert (now["label"], now["reviewed"], now["review_id"]) == ("Lion", False, None)
    assert [each["retracted"] for each in browser.get("/photos/1")["reviews"]] == [True, False]


def test_unknown_is_looked_and_cannot_say(browser: Browser) -> None:
    browser.review([1, 2], None)
    browser.review([3], "unknown", reviewer="Ben")
    found = browser.get("/sightings", reviewed=True)["items"]
    assert [(each["label"], each["reviewer"]) for each in found] == [
        (None, "Ada"),
        (None, "Ada"),
        (None, "Ben"),
    ]


def test_two_reviewers_at_once(site: Site) -> None:
    with site.browser() as ada, site.browser(reviewer="Ben") as ben:
        (first,) = ada.review([1], "Panda")
        said = {"photos": [2, 1], "label": "Rhino", "seen": {"1": None, "2": None}}
        conflict = ben.post("/reviews", said, status=409)
        assert conflict["error"] == "somebody else has reviewed this photo meanwhile"
        (now,) = conflict["sightings"]
        assert (now["id"], now["label"], now["reviewer"]) == (1, "Panda", "Ada")
        assert labels(ben, species="Rhino") == ["Rhino"]  # photo 3: nothing was written
        ben.review([2, 1], "Rhino", seen={"1": first, "2": None})
        assert labels(ada, species="Rhino") == ["Rhino"] * 3


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"label": "Liom"}, 422, "'Liom' is no label; the nearest: Lion"),
        ({"seen": {}}, 422, "`seen` does not name the same photos as `photos`"),
        ({"seen": {"1": None, "2": None}}, 422, "`seen` does not name the same photos"),
        ({"photos": []}, 422, "photos: List should have at least 1 item"),
        ({"photos": list(range(1, 502))}, 422, "photos: List should have at most 500 items"),
        ({"photos": [9], "seen": {"9": None}}, 400, "there is no photo 9"),
        ({"count": -1}, 422, "count: Input should be greater than or equal to 0"),
        ({"note": "x" * 2001}, 422, "note: String should have at most 2000 characters"),
        ({"noted": "x"}, 422, "noted: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_said_is_not_written(
    browser: Browser, changes: dict[str, object], status: int, said: str
) -> None:
    whole = {"photos": [1], "label": "Lion", "seen": {"1": None}}
    refused = browser.post("/reviews", whole | changes, status=status)
    assert refused["error"].startswith(said)
    assert labels(browser, reviewed=True) == []


def test_a_new_label_is_taken_when_it_is_meant(browser: Browser) -> None:
    browser.review([1], "honey badger", new_label=True)
    browser.review([2], "Honey_Badger")  # known from now on, in any spelling
    assert labels(browser, reviewed=True) == ["honey badger", "honey badger"]


# Pictures ----------------------------------------------------------------------------------------


def picture(browser: Browser, path: str) -> Image.Image:
    answer = browser.client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_pictures_in_two_sizes_and_a_heat_map(browser: Browser, site: Site) -> None:
    assert picture(browser, "/photos/1/image?size=256").size == (256, 192)
    large = picture(browser, "/photos/1/image")
    assert (large.format, large.size) == ("JPEG", (400, 300))  # never enlarged
    red, green, _ = large.convert("RGB").getpixel((9, 9))  # type: ignore[misc]
    assert red > 230 > 40 > green
    heat = picture(browser, "/photos/1/heatmap")
    assert (heat.format, heat.size) == ("PNG", (400, 300))
    assert picture(browser, "/photos/2/heatmap").size == (400, 300)
    assert site.opened == ["toy"]  # once


def test_nothing_heavy_is_opened_to_look_and_decide(browser: Browser, site: Site) -> None:
    browser.review([1], "Panda")
    picture(browser, "/photos/1/image")
    browser.get("/labels")
    assert site.opened == []


def test_a_picture_that_is_the_same_is_not_sent_again(browser: Browser) -> None:
    first = browser.client.get("/api/v1/photos/1/image?size=256")
    assert first.headers["cache-control"] == "private, no-cache"
    known = {"If-None-Match": first.headers["etag"]}
    again = browser.client.get("/api/v1/photos/1/image?size=256", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    other = browser.client.get("/api/v1/photos/2/image?size=256", headers=known)
    assert other.status_code == 200


def test_pictures_are_there_when_the_card_is_gone(tmp_path: Path) -> None:
    site = make(tmp_path)
    with site.browser() as browser:
        seen = browser.client.get("/api/v1/photos/1/image").content
        browser.client.get("/api/v1/photos/2/image?size=256")
        shutil.rmtree(site.card)
    with site.browser() as browser:
        assert browser.client.get("/api/v1/photos/1/image").content == seen
        assert picture(browser, "/photos/1/image?size=256").size == (256, 192)
        assert picture(browser, "/photos/1/heatmap").size == (400, 300)
        for path in ("/photos/2/image", "/photos/3/image?size=256", "/photos/3/heatmap"):
            answer = browser.client.get(f"/api/v1{path}")
            assert (answer.status_code, answer.json()) == (
                404,
                {
                    "error": "the photo is not at hand, and no picture of it was kept",
                    "hint": f"put the card back that was at {site.card}",
                },
            )


def test_a_card_that_has_a_url_is_read_from_there(site: Site, tmp_path: Path) -> None:
    memory = pytest.importorskip("fsspec", reason="no trapsort[cluster]").filesystem("memory")
    memory.pipe("/web-card/1 red.jpg", (site.card / "1 red.jpg").read_bytes())
    with closing(sqlite3.connect(tmp_path / "x.sqlite3")) as record, record:
        record.execute("UPDATE cards SET root = 'memory://web-card'")
    with site.browser() as browser:
        assert picture(browser, "/photos/1/image").size == (400, 300)
        assert browser.client.get("/api/v1/photos/2/image").status_code == 404


def test_another_file_at_the_place_is_not_shown(tmp_path: Path) -> None:
    site = make(tmp_path)
    secret = tmp_path / "secret.jpg"
    Image.new("RGB", (50, 50), (1, 2, 3)).save(secret)
    (site.card / "1 red.jpg").unlink()
    (site.card / "1 red.jpg").symlink_to(secret)
    shutil.copy(secret, site.card / "2 green.jpg")
    with site.browser() as browser:
        for photo in (1, 2):
            assert browser.client.get(f"/api/v1/photos/{photo}/image").status_code == 404


# One photo, and the end --------------------------------------------------------------------------


def upload(browser: Browser, data: bytes, name: str = "a.jpg") -> object:
    files = {"photo": (name, data)}
    answer = browser.client.post("/api/v1/classify", files=files, headers=browser.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_one_photo_is_classified_and_not_stored(browser: Browser, site: Site) -> None:
    data = (site.card / "1 red.jpg").read_bytes()
    name = "<script>alert(1)</script>.jpg"
    found = upload(browser, data, name)
    assert isinstance(found, dict)
    assert (found["label"], found["species"], found["name"]) == ("Lion", "Panthera leo", name)
    assert (found["width"], found["height"], found["model"]) == (400, 300, "toy-1.0.0")
    pictures = [base64.b64decode(found[each]) for each in ("preview", "heatmap")]
    opened = [Image.open(io.BytesIO(each)) for each in pictures]
    assert [(each.format, each.size) for each in opened] == [
        ("JPEG", (400, 300)),
        ("PNG", (400, 300)),
    ]
    assert not (site.folder / "cache").exists()
    assert browser.get("/sightings")["total_hint"] == 5


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "the content is not that of an image file"),
        (b"GIF89a", "begins as GIF, but its header cannot be read"),
        (b"%PDF-1.4", "PDF files are not read"),
    ],
)
def test_what_is_no_photo_is_said(browser: Browser, data: bytes, hint: str) -> None:
    files = {"photo": ("a.jpg", data)}
    answer = browser.client.post("/api/v1/classify", files=files, headers=browser.headers)
    assert (answer.status_code, answer.json()) == (
        422,
        {"error": "that is no photo that can be read", "hint": hint},
    )


def test_a_damaged_bundle_is_said_and_the_rest_works(browser: Browser, site: Site) -> None:
    graph = site.bundle / "ensemble.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + b"?")
    try:
        answer = browser.client.get("/api/v1/photos/1/heatmap")
        assert answer.status_code == 503
        assert "ensemble.onnx" in answer.json()["error"]
        assert {each["name"] for each in browser.get("/labels")} >= {"Lion", "blank"}
    finally:
        graph.write_bytes(whole)


def test_quit_stops_the_server(browser: Browser, site: Site) -> None:
    assert browser.post("/quit", None) == {"stopped": True}
    assert site.stopped == [True]
