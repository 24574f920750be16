"""The survey report: a page that loads nothing, its figures and tables, what it must not say."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.records import record
from tests.toy import write_bundle
from trapsort.bundle import load_bundle
from trapsort.cli.main import main
from trapsort.ensemble import Prediction
from trapsort.redlist import COLOURS
from trapsort.reports.survey import (
    Asked,
    SurveyReport,
    chart,
    figures,
    reliability,
    style,
    summary,
    survey_report,
    tables,
)
from trapsort.scan import Photo
from trapsort.store import DeploymentRow, Judged, Record, StationRow, Store
from trapsort.survey.study import Choices

EXACT = ("-2.31234", "34.83789")
NASTY = '<b>"river" & $x_1$</b>'
RED, GREEN, GREY = (220, 20, 20), (20, 200, 20), (90, 90, 90)


def said(label: str | None, probability: float) -> Prediction:
    best = label or "Lion"
    reason = None if label else "low_confidence"
    return Prediction(label, probability, reason, ((best, probability),), ())


def jpeg(colour: tuple[int, int, int], number: int) -> bytes:
    picture = Image.new("RGB", (640, 400), colour)
    picture.putpixel((number % 640, 0), (0, 0, 0))
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=95)
    return file.getvalue()


def photo(card: Path, name: str, when: datetime, answer: Prediction, data: bytes | None) -> Record:
    """A photo of the card, with a file where there is data."""
    if data is not None:
        (card / name).write_bytes(data)
    digest = hashlib.sha256(data or f"{card}/{name}".encode()).digest()
    made = record(name, camera_time=when.isoformat(), prediction=answer)
    return replace(made, photo=Photo(card, card / name, name.encode(), 1000, 1), sha256=digest)


def fill(store: Store, folder: Path) -> None:
    """Two stations, two months, five labels; lions and pandas with files, and one of people."""
    store.import_stations(
        [
            StationRow(name="ridge", latitude=float(EXACT[0]), longitude=float(EXACT[1])),
            StationRow(name=NASTY, latitude=-2.45, longitude=34.95),
        ]
    )
    store.import_deployments(
        [
            DeploymentRow(name="ridge 1", station="ridge", start="2026-03-01T12:00:00",
                          end="2026-04-30T12:00:00", utc_offset="+03:00",
                          problems=(("2026-03-20", "2026-03-24"),)),
            DeploymentRow(name="river 1", station=NASTY, start="2026-03-01T12:00:00",
                          utc_offset="+03:00"),
        ]
    )  # fmt: skip
    model = store.model("toy", "1.0.0", "cd" * 32)
    for place, station in enumerate(("ridge", NASTY)):
        root = folder / f"card{place}"
        root.mkdir()
        card, records = store.card(root, station=station), []
        for number in range(40):
            hours = number * (7 if place else 31) % 24
            when = datetime(2026, 3, 2, hours) + timedelta(days=number % 19 * 3)
            label, colour = [("Lion", RED), ("Rhino", GREY), ("Panda", GREEN), (None, GREY)][
                number % 4
            ]
            data = jpeg(colour, number + 100 * place) if label in ("Lion", "Panda") else None
            answer = said(label, 0.8 + number / 250)
            records.append(photo(root, f"IMG_{number:04}.JPG", when, answer, data))
        records.append(
            photo(
                root, "US.JPG", datetime(2026, 3, 9, 9), said("Lion", 0.9999), jpeg(RED, 77 + place)
            )
        )
        store.record(card, model, records=records)
    store.attribute()
    for each in list(store.sightings()):
        if each.path == "US.JPG":
            store.review(each.photo_id, "person", reviewer="Ada")
        elif each.path == "IMG_0000.JPG":
            store.review(each.photo_id, "Arctic_Fox", reviewer="Ada", count=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("survey")


@pytest.fixture(scope="module")
def surveyed(folder: Path) -> Iterator[Store]:
    """A record on a file; what the report asks of it is asked on a server in other tests."""
    with Store.open(f"sqlite:///{folder / 'x.sqlite3'}") as store:
        fill(store, folder)
        yield store


@pytest.fixture(scope="module")
def toy(folder: Path) -> Path:
    return write_bundle(folder / "toy")


def made(store: Store, asked: Asked | None = None, bundle: Path | None = None) -> SurveyReport:
    from trapsort.ensemble import Classifier
    from trapsort.session import open_session

    def classifier() -> Classifier | None:
        loaded = load_bundle(bundle) if bundle else None
        return Classifier(loaded, open_session(loaded)) if loaded else None

    return survey_report(
        store,
        asked or Asked(rules=Choices()),
        title="Survey of <the> ridge",
        made=date(2026, 5, 1),
        photos=6,
        classifier=classifier,
    )


@pytest.fixture(scope="module")
def report(surveyed: Store, toy: Path) -> SurveyReport:
    return made(surveyed, bundle=toy)


class Page(HTMLParser):
    """Every element with its attributes, and the text of the page without styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# The page ---------------------------------------------------------------------------------------


def test_the_page_loads_nothing(report: SurveyReport) -> None:
    page = Page(report.html)
    assert not re.search(r"https?:|@import|<script|<link|<iframe|<object|url\((?!#)", report.html)
    for _, attributes in page.found:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    (policy,) = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_page_can_be_read_aloud(report: SurveyReport) -> None:
    page = Page(report.html)
    assert page.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [a for _, a in page.found if "aria-labelledby" in a]
    assert {a["aria-labelledby"] for a in named} <= set(ids)
    assert {a["href"] for a in page.all("a")} <= {f"#{each}" for each in ids}
    drawn = [a for a in page.all("div") if a.get("role") == "img"]
    assert len(drawn) == len(page.all("svg")) == 7
    assert all(len(a["aria-label"] or "") > 20 for a in drawn)
    assert {a["aria-hidden"] for a in page.all("svg")} == {"true"}
    assert page.all("img") and all(a["alt"] and a["width"] and a["height"] for a in page.all("img"))
    assert all(a["scope"] in ("col", "row") for a in page.all("th"))
    headings = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert len(page.all("details")) == 6, "every figure but the map has its numbers in a table"


def test_the_summary_begins_with_what_matters(report: SurveyReport) -> None:
    text = Page(report.html).text
    order = [
        "From 1 March to 30 April 2026, 4 species came past the cameras at 2 stations in 60 "
        "independent events, on 60 photos.",
        "Rhino NT to CR Near Threatened to Critically Endangered: 20 events at 2 stations",
        "Panda VU Vulnerable: 20 events at 2 stations",
        "Lion VU Vulnerable: 18 events at 2 stations",
        "The other was Arctic Fox (2 events).",
        "2 deployments at 2 stations, 1 of them still running: together 110 trap nights.",
        "A person has named 2 photos of these (3%); the others were named by the model (toy-1.0.0)",
        "What to look at",
        "Nobody has looked at the photos of Rhino, Panda and Lion: threatened, named by the model",
        "2 photos of people are neither counted nor shown.",
        "What was seen",
        "Rule lastRecord, 60 minutes: a photo begins an event where at least 60 minutes have",
        "100 x independent events / days of effort (O'Brien et al. 2003).",
    ]
    places = [text.find(words) for words in order]
    assert -1 not in places, order[places.index(-1)] + "\n" + text[:3000]
    assert "Written 1 May 2026" in text and "Survey of <the> ridge" in text


def test_the_same_record_gives_the_same_bytes(
    report: SurveyReport, surveyed: Store, toy: Path, tmp_path: Path
) -> None:
    again = made(surveyed, bundle=toy)
    assert again.html == report.html
    for place, each in enumerate((report, again)):
        each.write_workbook(tmp_path / f"{place}.xlsx")
    assert (tmp_path / "0.xlsx").read_bytes() == (tmp_path / "1.xlsx").read_bytes()
    assert style.png_of(again.parts["map"].draw) == style.png_of(report.parts["map"].draw)


def test_names_are_text_whatever_is_in_them(report: SurveyReport) -> None:
    assert NASTY not in report.html
    assert "&lt;b&gt;&#34;river&#34; &amp; $x_1$&lt;/b&gt;" in report.html
    assert "Survey of &lt;the&gt; ridge" in report.html
    assert 'river" &amp; $x_1$&lt;/b&gt;' in style.svg_of(report.parts["map"].draw)


def test_exact_coordinates_do_not_leave(report: SurveyReport, surveyed: Store) -> None:
    written = report.html + "".join(
        line for table in report.tables for line in tables.csv_lines(table)
    )
    assert not any(each in written for each in (*EXACT, "-2.45", "34.95"))
    rows = csv.DictReader(io.StringIO(_csv(report, "stations")))
    places = {(row["latitude"], row["longitude"], row["precision"]) for row in rows}
    assert places == {("-2.3", "34.8", "0.1"), ("-2.4", "35.0", "0.1")}
    assert "rounded to 0.1 degrees, according to the most threatened species" in report.html
    exact = made(surveyed, Asked(rules=Choices(), precision=0))
    assert all(each in _csv(exact, "stations") for each in EXACT)
    assert "Coordinates are exact: take care to whom this goes." in exact.html


def _csv(report: SurveyReport, name: str) -> str:
    (table,) = [each for each in report.tables if each.name == name]
    return "".join(tables.csv_lines(table))


def test_people_are_never_shown(report: SurveyReport, surveyed: Store) -> None:
    (lion,) = [a for a in Page(report.html).all("img") if "photo of Lion" in (a["alt"] or "")]
    assert "9 March" not in (lion["alt"] or ""), "the surest lion was a person"
    assert "US.JPG" not in report.html
    animals = {
        each.photo_id: each.path
        for each in surveyed.sightings()
        if each.path in ("US.JPG", "IMG_0004.JPG")
    }
    people = surveyed.showing_people(animals)
    assert {animals[each] for each in people} == {"US.JPG"}


def test_people_that_a_model_saw_are_people(store: Store) -> None:
    store.model("toy", "1", "aa" * 32)
    card, model = store.card(Path("/media/x")), store.model("md", "1", "bb" * 32)
    records = [
        record("label", prediction=said("Person", 0.9)),
        record("reason", prediction=Prediction(None, 0.9, "human", (("Lion", 0.9),), ())),
        record("lion", prediction=said("Lion", 0.9)),
    ]
    ids = store.record(card, model, records=records).photo_ids
    assert store.showing_people(ids) == set(ids[:2])
    store.review(ids[2], "Homo sapiens", reviewer="Ada")
    store.review(ids[2], "Lion", reviewer="Ben")
    assert store.showing_people(ids) == set(ids), "once said, for ever left out"


def test_example_photos_are_small_and_new(report: SurveyReport, tmp_path: Path) -> None:
    page = Page(report.html)
    assert [a["alt"] for a in page.all("img")] == [
        "Camera-trap photo of Panda, Vulnerable, 2 March 2026",
        "The same photo with a heat map of what spoke for Panda",
        "Camera-trap photo of Lion, Vulnerable, 22 April 2026",
        "The same photo with a heat map of what spoke for Lion",
        "Camera-trap photo of Arctic Fox, Least Concern, 2 March 2026",
    ]
    assert {(a["width"], a["height"]) for a in page.all("img")} == {("480", "300")}
    assert "Left out because the originals are not at hand: Rhino." in page.text
    assert "named by a person" in page.text and "Ada" not in page.text


def test_a_photo_that_changed_is_not_shown(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path)
    for path in (tmp_path / "card0").iterdir():
        path.write_bytes(path.read_bytes() + b"more")
    for path in (tmp_path / "card1").iterdir():
        path.unlink()
    page = Page(made(store).html)
    assert page.all("img") == []
    assert (
        "Left out because the originals are not at hand: Rhino, Panda, Lion and Arctic Fox."
        in page.text
    )


def test_nothing_to_report_is_a_report(store: Store, tmp_path: Path) -> None:
    report = made(store)
    page = Page(report.html)
    assert "No species was seen that counts under the rules below." in page.text
    assert "no deployments are in the record" in page.text
    assert page.all("svg") == [] and page.all("img") == []
    report.write_workbook(tmp_path / "x.xlsx")


def test_without_deployments_there_is_no_rate(store: Store, tmp_path: Path) -> None:
    model = store.model("toy", "1.0.0", "cd" * 32)
    when = datetime(2026, 3, 2, 5)
    store.record(
        store.card(tmp_path, station="ridge"),
        model,
        records=[photo(tmp_path, "a.JPG", when, said("Lion", 0.9), None)],
    )
    report = made(store)
    assert "absence says nothing" in report.html
    (row,) = csv.DictReader(io.StringIO(_csv(report, "species")))
    assert (row["events"], row["rate"]) == ("1", "")
    assert "trap nights, not known –" in Page(report.html).text  # noqa: RUF001
    assert "Nobody has looked at these photos: the model (toy-1.0.0) named all" in report.html
    assert "Seen in one event only: Lion." in report.html


def test_what_counts_is_what_was_asked_for(surveyed: Store) -> None:
    reviewed = made(surveyed, Asked(rules=Choices(), reviewed_only=True))
    assert [row["species"] for row in csv.DictReader(io.StringIO(_csv(reviewed, "species")))] == [
        "Arctic_Fox"
    ]
    assert "Only photos that a person has named are counted." in reviewed.html
    foxes = made(surveyed, Asked(rules=Choices(species=("Arctic_Fox",))))
    assert "People have named all of these photos." in foxes.html
    march = Choices(until=date(2026, 3, 31), station="ridge", species=("Panthera leo",))
    some = made(surveyed, Asked(rules=march, min_probability=0.82))
    (row,) = csv.DictReader(io.StringIO(_csv(some, "species")))
    assert (row["species"], row["stations"], row["last"]) == ("Lion", "1", "2026-03-29")
    assert "Only to 31 March 2026. Only station ridge. Only Panthera leo." in some.html
    (station,) = csv.DictReader(io.StringIO(_csv(some, "stations")))
    assert float(station["effort"]) == 25.5, "30.5 days in March, 5 of them broken"


# Figures ----------------------------------------------------------------------------------------


def words_of(figure: str) -> list[str]:
    return [text.strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", figure)]


def test_every_figure_is_drawn(report: SurveyReport) -> None:
    for name, part in report.parts.items():
        svg = style.svg_of(part.draw)
        assert svg.startswith("<?xml") and "<dc:date>" not in svg, name
        assert len(words_of(svg)) > 4, name


def test_days_are_drawn_with_their_months(report: SurveyReport) -> None:
    words = words_of(style.svg_of(report.parts["operation"].draw))
    assert {"01 Apr", "15 Mar", "2026"} <= set(words)


def test_the_categories_are_drawn_in_their_colours_and_named() -> None:
    frame = pd.DataFrame({"iucn": ["NT-CR", "VU", ""], "species": [1, 2, 1], "events": [9, 4, 1]})
    svg = style.svg_of(lambda: figures.iucn(frame))
    assert {"NT to CR", "VU", "none", "9 (1 species)", "4 (2 species)"} <= set(words_of(svg))
    assert COLOURS["CR"].lower() in svg and COLOURS["VU"].lower() in svg


@pytest.mark.parametrize("category", sorted(COLOURS))
def test_the_text_of_a_badge_stands_out(category: str) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted(map(luminance, (COLOURS[category], style.text_on(COLOURS[category]))))
    assert (high + 0.05) / (low + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("days", "step"), [(0, "day"), (45, "day"), (46, "week"), (500, "week"), (501, "month")]
)
def test_bars_are_as_long_as_the_survey_asks(days: int, step: str) -> None:
    assert figures.step_of(days)[1] == step


@pytest.mark.parametrize(
    ("kilometres", "bar"), [(0.034, 0.02), (1.0, 1), (4.99, 2), (5.0, 5), (73, 50), (1200, 1000)]
)
def test_a_scale_has_a_round_length(kilometres: float, bar: float) -> None:
    assert chart.round_length(kilometres) == pytest.approx(bar)


def test_the_map_has_a_scale_a_north_and_true_proportions() -> None:
    frame = pd.DataFrame(
        {
            "station": ["a", "b"],
            "latitude": [60.0, 60.1],
            "longitude": [10.0, 10.4],
            "precision": [0.0, 0.0],
            "events": [4, 0],
        }
    )
    words = words_of(style.svg_of(lambda: chart.stations(frame)))
    assert {"a", "b", "N", "5 km"} <= set(words)
    assert any(word.endswith("°N") for word in words) and any(w.endswith("°E") for w in words)
    with style.styled():
        (axes,) = chart.stations(frame).axes
    assert axes.get_aspect() == pytest.approx(1 / np.cos(np.radians(60.05)))


@pytest.mark.parametrize(("latitude", "longitude"), [(0, 0), (-89.9, -179.9), (90, 180)])
def test_a_single_station_anywhere_is_a_map(latitude: float, longitude: float) -> None:
    frame = pd.DataFrame(
        {"station": ["a"], "latitude": [latitude], "longitude": [longitude], "precision": [0.1],
         "events": [0]}
    )  # fmt: skip
    assert "a" in words_of(style.svg_of(lambda: chart.stations(frame)))


def test_a_part_of_a_page_has_ids_and_colours_of_the_page() -> None:
    frame = pd.DataFrame({"units": [1, 2], "species": [1.0, 1.5], "sd": [0.1, 0.0]})
    part = style.inline(style.svg_of(lambda: figures.accumulation(frame, "days")), "one")
    assert part.startswith('<svg viewBox="0 0 518.4 ')
    assert "var(--accent)" in part and style.ACCENT not in part
    ids = re.findall(r'\bid="([^"]+)"', part)
    assert ids and all(each.startswith("one-") for each in ids)
    used = re.findall(r'(?:url\(|xlink:href=")#([^)"]+)', part)
    assert used and set(used) <= set(ids)


# Words, reliability and tables ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-03-03", "2026-06-20", "3 March to 20 June 2026"),
        ("2026-03-03", "2026-03-20", "3 to 20 March 2026"),
        ("2026-03-03", "2026-03-03", "3 March 2026"),
        ("2025-12-31", "2026-01-01", "31 December 2025 to 1 January 2026"),
    ],
)
def test_a_span_of_days_in_words(first: str, last: str, words: str) -> None:
    assert summary.span(datetime.fromisoformat(first), datetime.fromisoformat(last)) == words


@pytest.mark.parametrize(
    ("category", "threatened"),
    [("VU", True), ("NT-CR", True), ("NT-VU", True), ("NT", False), ("", False), ("DD", False),
     ("LC-NT", False)],
)  # fmt: skip
def test_the_worse_end_of_a_range_decides(category: str, threatened: bool) -> None:
    assert summary.is_threatened(category) is threatened


def judged(said: str, label: str | None, best: str, probability: float) -> Judged:
    return Judged(1, said, label, best, probability, "toy-1.0.0")


def test_reliability_from_reviews() -> None:
    found = reliability.from_reviews(
        [
            *[judged("Lion", "Lion", "Lion", 0.95)] * 8,
            *[judged("Panda", "Lion", "Lion", 0.97)] * 2,
            judged("Lion", None, "Lion", 0.42),
            judged("Fox", None, "other_animal", 0.9),
        ]
    )
    assert found is not None
    assert found.bins[["photos", "right"]].to_numpy().tolist() == [[1, 1.0], [10, 0.8]]
    assert found.bins["sure"].tolist() == pytest.approx([0.42, 0.954])
    assert found.bins["low"].iloc[1] == pytest.approx(0.4902, abs=1e-4)
    assert found.words == (
        "From 11 photos that people have looked at in this record. Where the model named a "
        "species, 8 of 10 names were right (80.0%; 95 % interval 49.0% to 94.3%). People choose "
        "what they look at, so this is no random sample; and it is a small one."
    )
    assert reliability.from_reviews([judged("Fox", None, "blank", 0.9)]) is None


def test_reliability_from_the_model_s_card_says_so(toy: Path, tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "carded"))
    assert len(reliability.from_bundle(bundle).bins) == 0
    assert "brings no figures of its own" in reliability.from_bundle(bundle).words
    bins = [{"confidence": 0.9, "accuracy": 0.75, "photos": 8, "gap": 0, "share": 1}]
    figures = {"photos": 8, "accuracy_of_accepted": 0.875, "reliability": bins}
    (bundle.path / "metrics.json").write_text(json.dumps({"test": figures}), encoding="utf-8")
    found = reliability.from_bundle(bundle)
    assert found.bins[["sure", "right", "photos"]].to_numpy().tolist() == [[0.9, 0.75, 8]]
    assert "figures of the model's card: toy-1.0.0 on its 8 test photos, 87.5%" in found.words
    assert len(reliability.from_bundle(None).bins) == 0


def test_only_the_newest_review_and_the_last_answer_are_judged(store: Store) -> None:
    card = store.card(Path("/media/x"))
    for digest, best in (("aa", "Panda"), ("bb", "Lion")):
        model = store.model(f"toy{digest}", "1", digest * 32)
        (photo_id,) = store.record(
            card, model, records=[record("a", prediction=said(best, 0.75))]
        ).photo_ids
    store.review(photo_id, "Rhino", reviewer="Ada")
    store.review(photo_id, "Lion", reviewer="Ada")
    assert store.judged() == [Judged(photo_id, "Lion", "Lion", "Lion", 0.75, "toybb-1")]


def test_the_workbook_holds_the_tables_and_no_formula(report: SurveyReport, tmp_path: Path) -> None:
    from openpyxl import load_workbook

    column = tables.Column("name", "name")
    bad = tables.Table("bad", "Bad", (column,), (("=1+1",), ("https://x.y",), (None,)))
    with_bad = replace(report, tables=(*report.tables, bad))
    with_bad.write_workbook(tmp_path / "x.xlsx")
    book = load_workbook(tmp_path / "x.xlsx")
    assert book.sheetnames == ["about", *(table.name for table in report.tables), "bad"]
    assert [(c.value, c.data_type) for c in book["bad"]["A"][1:3]] == [
        ("=1+1", "s"),
        ("https://x.y", "s"),
    ]
    header, first, *_ = book["species"].iter_rows(values_only=True)
    assert dict(zip(header, first, strict=True))["iucn"] == "NT-CR"
    assert book["about"]["B1"].value == "Survey of <the> ridge"


@pytest.mark.parametrize(
    ("kind", "digits", "value", "cell", "shown"),
    [
        ("number", 0, 1234.0, 1234, "1,234"),
        ("number", 2, 0.123456789, 0.123457, "0.12"),
        ("number", 1, float("nan"), None, "–"),  # noqa: RUF001
        ("day", 0, pd.Timestamp("2026-03-02T05:00:00"), "2026-03-02", "2 Mar 2026"),
        ("day", 0, pd.NaT, None, "–"),  # noqa: RUF001
        ("degrees", 0, -2.3, -2.3, "-2.3"),
        ("label", 0, "Arctic_Fox", "Arctic_Fox", "Arctic Fox"),
        ("text", 0, "a_b", "a_b", "a_b"),
    ],
)
def test_cells(kind: tables.Kind, digits: int, value: object, cell: object, shown: str) -> None:
    column = tables.Column("x", "x", kind, digits)
    table = tables.table_of("t", "T", pd.DataFrame({"x": [value]}), [column])
    assert table.rows == ((cell,),)
    assert next(table.shown())[0][2] == shown


# The command ------------------------------------------------------------------------------------


def test_the_command_writes_page_figures_tables_and_workbook(
    surveyed: Store, folder: Path, toy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    files = {"--out": out, "--figures": tmp_path / "f", "--tables": tmp_path / "t"}
    files["--xlsx"] = tmp_path / "x.xlsx"
    options = [str(part) for pair in files.items() for part in pair]
    record_of = ["--db", str(folder / "x.sqlite3"), "--bundle", str(toy)]
    assert main(["report", "survey", *record_of, *options, "--photos", "1"]) == 0
    assert capfd.readouterr().err == f"written to {out}\n"
    figures = ("accumulation", "activity", "detections", "iucn", "map", "operation", "reliability")
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == sorted(
        f"{name}.{kind}" for name in figures for kind in ("png", "svg")
    )
    for path in (tmp_path / "f").glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width == round(style.WIDTH * style.DOTS_PER_INCH)
    assert sorted(path.stem for path in (tmp_path / "t").iterdir()) == sorted(
        ["about", "species", "stations", *(name for name in figures if name != "map")]
    )
    about = (tmp_path / "t" / "about.csv").read_text(encoding="utf-8")
    assert about.startswith("what,how\ntitle,")
    assert "Rule lastRecord, 60 minutes: a photo begins an event where" in about
    assert "Written" not in Page(out.read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--precision", "far"], "--precision must be degrees above 0, at most 90, or none"),
        (["--species", "Yeti"], "no record that counts is of Yeti"),
        (["--out", "/no/such/folder/x.html"], "cannot write /no/such/folder/x.html"),
    ],
)
def test_what_cannot_be_is_said(
    options: list[str],
    complaint: str,
    surveyed: Store,
    folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    command = ["report", "survey", "--db", str(folder / "x.sqlite3"), "--photos", "0"]
    assert main([*command, "--out", str(tmp_path / "x.html"), *options]) == 2
    assert complaint in capfd.readouterr().err
    assert list(tmp_path.glob("*.html")) == []


def test_a_bundle_that_cannot_be_read_costs_no_report(
    surveyed: Store, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.html"
    command = ["report", "survey", "--db", str(folder / "x.sqlite3"), "--out", str(out)]
    assert main([*command, "--bundle", "nothing"]) == 0
    assert "There is no bundle 'nothing'. The report goes without it." in capfd.readouterr().err
    page = Page(out.read_text(encoding="utf-8"))
    assert "No heat maps: the model could not be opened." in page.text
    assert len(page.all("img")) == 3
