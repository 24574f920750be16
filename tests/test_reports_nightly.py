"""The nightly set: events, new species, effort, silent cameras and a summary in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.records import LION, ask, keys, record
from trapsort.cli.main import main
from trapsort.ensemble import Prediction
from trapsort.reports import NIGHTLY, REPORTS, write_reports
from trapsort.reports.csv_file import Cell
from trapsort.reports.silent import Silence, silences
from trapsort.store import DeploymentRow, PhotoDay, Record, Store

DAY = date(2026, 3, 9)
RECORDED = "2026-03-09T12:00:00Z"
BEFORE = "2026-03-07T12:00:00Z"


def seen(name: str, when: str, label: str = "Lion", probability: float = 0.9) -> Record:
    prediction = replace(LION, label=label, probability=probability)
    return record(name, camera_time=when, prediction=prediction)


def take_in(store: Store, url: str, station: str | None, when: str, *records: Record) -> list[int]:
    """Record photos as if it had been then, and find their deployments."""
    model = keys(store)[1]
    card = store.card(Path("/media") / (station or "none"), station=station)
    recorded = store.record(card, model, records=records).photo_ids
    for photo in recorded:
        ask(url, "UPDATE photos SET first_seen = ? WHERE id = ?", when, photo)
    store.attribute()
    return list(recorded)


def rows(name: str, store: Store, day: date = DAY) -> list[dict[str, Cell]]:
    report = REPORTS[name]
    found = report.rows(store, day, day, red_list="iucn")
    return [dict(zip(report.COLUMNS, row, strict=True)) for row in found]


def test_events_are_those_whose_first_photo_was_recorded_that_day(store: Store, url: str) -> None:
    take_in(
        store,
        url,
        "ridge",
        BEFORE,
        seen("old", "2026-03-06T01:00:00"),
    )
    take_in(
        store,
        url,
        "ridge",
        RECORDED,
        seen("same event", "2026-03-06T01:59:59"),
        seen("a", "2026-03-08T05:00:00", probability=0.95),
        seen("b", "2026-03-08T05:59:59", probability=0.875),
        seen("c", "2026-03-08T06:59:59"),
        seen("rhino", "2026-03-08T07:00:00", "Rhino"),
        record("nobody knows", camera_time="2026-03-08T07:00:00", prediction=None),
    )
    (person,) = take_in(store, url, "ridge", RECORDED, seen("us", "2026-03-08T09:00:00"))
    store.review(person, "person", reviewer="Ada")
    shown = ("label", "iucn", "start", "end", "photos", "probability", "reviewed", "path", "rule")
    assert [tuple(row[name] for name in shown) for row in rows("events", store)] == [
        ("Rhino", "NT-CR", "2026-03-08T07:00:00", "2026-03-08T07:00:00", 1, 0.9, False, "rhino",
         "60 min, lastRecord"),
        ("Lion", "VU", "2026-03-08T05:00:00", "2026-03-08T05:59:59", 2, 0.95, False, "a",
         "60 min, lastRecord"),
        ("Lion", "VU", "2026-03-08T06:59:59", "2026-03-08T06:59:59", 1, 0.9, False, "c",
         "60 min, lastRecord"),
    ]  # fmt: skip
    assert [row["path"] for row in rows("events", store, date(2026, 3, 7))] == ["old"]
    assert rows("events", store, date(2026, 3, 8)) == []


def test_what_a_person_counted_and_named_is_in_the_event(store: Store, url: str) -> None:
    first, second = take_in(
        store,
        url,
        None,
        RECORDED,
        seen("a", "2026-03-08T05:00:00"),
        seen("b", "2026-03-08T05:01:00"),
    )
    store.review(second, "Lion", reviewer="Ada", count=3)
    (event,) = rows("events", store)
    assert (event["station"], event["count"], event["reviewed"]) == (None, 3, True)
    assert event["probability"] == 0.9
    store.review(first, "Lion", reviewer="Ada")
    (event,) = rows("events", store)
    assert event["probability"] is None


def test_a_clock_that_shows_no_year_that_there_is_costs_no_report(store: Store, url: str) -> None:
    take_in(store, url, "ridge", RECORDED, seen("a", "9999-12-31T05:00:00"))
    take_in(store, url, "ridge", RECORDED, seen("b", "0001-01-01T05:00:00"))
    assert {row["start"] for row in rows("events", store)} <= {
        "9999-12-31T05:00:00",
        "0001-01-01T05:00:00",
    }


def test_a_species_is_new_where_it_was_never_recorded_before(store: Store, url: str) -> None:
    take_in(store, url, "ridge", BEFORE, seen("old", "2026-03-06T01:00:00"))
    take_in(
        store,
        url,
        "ridge",
        RECORDED,
        seen("older still", "2026-02-01T01:00:00"),
        seen("r2", "2026-03-08T07:00:00", "Rhino", 0.99),
        seen("r1", "2026-03-08T06:00:00", "Rhino", 0.95),
    )
    take_in(store, url, "south", RECORDED, seen("lion", "2026-03-08T01:00:00"))
    take_in(store, url, None, RECORDED, seen("nowhere", "2026-03-08T01:00:00", "cheetahs"))
    shown = ("station", "label", "iucn", "first_time", "photos", "probability", "path")
    assert [tuple(row[name] for name in shown) for row in rows("new-species", store)] == [
        ("ridge", "Rhino", "NT-CR", "2026-03-08T06:00:00", 2, 0.99, "r1"),
        ("south", "Lion", "VU", "2026-03-08T01:00:00", 1, 0.9, "lion"),
    ]
    assert [row["label"] for row in rows("new-species", store, date(2026, 3, 7))] == ["Lion"]


def deployment(name: str, start: str | None, end: str | None = None) -> DeploymentRow:
    return DeploymentRow(name=name, station="ridge", start=start, end=end)


def photographed(name: str, *days: int) -> list[PhotoDay]:
    march = [f"2026-03-{day:02}" for day in days]
    return [PhotoDay(name, "ridge", day, 4, f"{day}T20:00:00") for day in march]


@pytest.mark.parametrize(
    ("start", "end", "days", "silent"),
    [
        ("2026-03-01", None, range(1, 17), 4),  # every day, then four without: (1 / 18) ^ 4
        ("2026-03-01", None, range(1, 18), 3),
        ("2026-03-01", None, range(1, 19), None),  # two days are no news
        ("2026-03-01", None, (1, 8, 15), None),  # one in a week never is
        ("2026-03-01", None, (1, 2, 3), 17),
        ("2026-03-01", "2026-03-20T12:00:00", range(1, 10), None),  # taken down
        ("2026-03-01", "2026-03-21T12:00:00", range(1, 10), 11),
        ("2026-03-21", None, (), None),  # not yet there
        ("2026-03-18", None, (), None),
        ("2026-03-17", None, (), 3),  # never took one
        (None, None, (), None),  # nothing is known of it
        (None, None, range(1, 10), 11),
        ("2026-03-01", None, (*range(1, 10), 25), 11),  # what came later is not known yet
    ],
)
def test_a_camera_is_silent_against_its_usual_rate(
    start: str | None, end: str | None, days: tuple[int, ...], silent: int | None
) -> None:
    found = silences([deployment("A", start, end)], photographed("A", *days), date(2026, 3, 20))
    assert [each.days_silent for each in found] == ([] if silent is None else [silent])


def test_what_is_said_of_a_silent_camera() -> None:
    running = [deployment("B", "2026-03-01"), deployment("A", "2026-03-01T10:00:00")]
    taken = [*photographed("A", 2, 4, 6, 8, 10), *photographed("B", *range(1, 10))]
    found = silences(running, taken, date(2026, 3, 19))
    assert [each.deployment for each in found] == ["B", "A"]
    assert found[1] == Silence(
        *("ridge", "A", "", "2026-03-01T10:00:00", "2026-03-10T20:00:00"),
        days_silent=9,
        days_with_photos=5,
        days_watched=10,
        photos=20,
        chance=pytest.approx((1 - 6 / 12) ** 9),
    )


def test_effort_of_a_day_and_so_far(store: Store, url: str) -> None:
    store.import_deployments(
        [
            DeploymentRow(name="A", station="ridge", card="/media/ridge",
                          start="2026-03-05T12:00:00", end="2026-03-20T12:00:00",
                          problems=(("2026-03-07", "2026-03-07"),)),
            DeploymentRow(name="B", station="south", start="2026-03-08T18:00:00"),
            DeploymentRow(name="C", station="west", start="2026-03-10T12:00:00"),
        ]
    )  # fmt: skip
    take_in(store, url, "ridge", RECORDED, seen("a", "2026-03-08T05:00:00"))
    take_in(store, url, "south", RECORDED, seen("b", "2026-03-09T06:00:00"))
    shown = ("deployment", "end", "trap_nights", "trap_nights_so_far", "photos", "last_photo")
    assert [tuple(row[name] for name in shown) for row in rows("effort", store)] == [
        ("A", "2026-03-20T12:00:00", 1.0, 3.5, 1, "2026-03-08T05:00:00"),
        ("B", None, 0.25, 0.5, 1, "2026-03-09T06:00:00"),
    ]
    everything = list(REPORTS["effort"].rows(store, None, None, red_list="iucn"))
    assert [(row[1], row[5]) for row in everything] == [("A", 14.0), ("B", 0.5), ("C", None)]


def test_the_summary_in_words(store: Store, url: str, tmp_path: Path) -> None:
    store.import_deployments([DeploymentRow(name="A", station="ridge", start="2026-03-01T00:00:00",
                                            card="/media/ridge")])  # fmt: skip
    take_in(
        store,
        url,
        "ridge",
        BEFORE,
        *(seen(f"l{day}", f"2026-03-{day:02}T05:00:00") for day in range(1, 5)),
    )
    take_in(
        store,
        url,
        "south\x1b",
        RECORDED,
        seen("a", "2026-03-08T05:00:00"),
        seen("b", "2026-03-08T08:00:00", probability=0.953),
        seen("fox", "2026-03-08T08:00:00", "Arctic_Fox"),
        record("no", camera_time="2026-03-08T05:00:00", prediction=Prediction(
            None, 0.3, "blank", (("Lion", 0.3),), ())),
    )  # fmt: skip
    paths = write_reports(store, tmp_path / "out", DAY)
    assert [path.name for path in paths] == [
        *(f"{name}-2026-03-08.csv" for name in NIGHTLY),
        "summary-2026-03-08.txt",
        *(f"{name}-2026-03-09.csv" for name in NIGHTLY),
        "summary-2026-03-09.txt",
    ]
    assert paths[-1].read_text(encoding="utf-8") == (
        "trapsort, 9 March 2026\n\n"
        "4 photos recorded, 3 events of species; 3 trap nights so far on 1 deployment.\n"
        "\nThreatened species: 1\n"
        "  Lion (VU): 2 events at 1 station, the surest at station south\\x1b, 2026-03-08 08:00:00"
        ", probability 95.3%\n"
        "\nNew at a station: 2\n"
        "  Lion (VU), station south\\x1b, 2026-03-08 05:00:00, probability 95.3%\n"
        "  Arctic Fox (LC), station south\\x1b, 2026-03-08 08:00:00, probability 90.0%\n"
        "\nSilent cameras: 1\n"
        "  A, station ridge: no photo for 5 days, before that 1.0 a day\n"
        "\nFiles that gave no sighting: none\n"
    )
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_reports(store, tmp_path / "out", DAY)] == before


def test_the_command_writes_what_watch_writes(
    store: Store, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    take_in(store, url, "ridge", RECORDED, seen("a", "2026-03-08T05:00:00"))
    out = tmp_path / "deep" / "down"
    assert (
        main(["report", "nightly-set", "--db", url, "--date", "2026-03-09", "--out", str(out)]) == 0
    )
    printed = capfd.readouterr().out.splitlines()
    assert sorted(printed) == sorted(map(str, out.iterdir()))
    by_hand = write_reports(store, tmp_path / "other", DAY)
    for path in by_hand:
        assert path.read_bytes() == (out / path.name).read_bytes()
    assert main(["report", "events", "--db", url, "--date", "2026-03-09"]) == 0
    assert capfd.readouterr().out == (out / "events-2026-03-09.csv").read_text(encoding="utf-8")


def test_a_day_after_all_days_has_no_end(store: Store) -> None:
    for name in NIGHTLY:
        assert list(REPORTS[name].rows(store, date.max, date.max, red_list="iucn")) == []
        assert list(REPORTS[name].rows(store, date.min, date.min, red_list="iucn")) == []


def test_every_report_says_it_is_of_today(
    store: Store, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    today = date.today()
    take_in(store, url, "ridge", f"{today - timedelta(days=9)}T12:00:00Z",
            seen("a", "2026-03-08T05:00:00"))  # fmt: skip
    for name in ("nightly", "events", "new-species"):
        assert main(["report", name, "--db", url]) == 0
        assert len(capfd.readouterr().out.splitlines()) == 1, name
        assert main(["report", name, "--db", url, "--until", today.isoformat()]) == 0
        assert len(capfd.readouterr().out.splitlines()) == 2, name
