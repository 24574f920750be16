"""Alerts: one message an event, blurred, kept until it has left."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import toy
from tests.records import ask, record
from tests.servers import free_port, mail_server, server
from trapsort.alert_rules import AlertRule, Smtp
from trapsort.alerts import Alerts
from trapsort.alerts.delivery import DeliveryError, send
from trapsort.alerts.dispatch import pause
from trapsort.alerts.message import plain
from trapsort.cli.main import main
from trapsort.ensemble import Prediction
from trapsort.errors import DatabaseError
from trapsort.store import Store

ROOT = Path(__file__).resolve().parent.parent
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BEFORE = "2026-11-20T11:00:00Z"
MAIL = Smtp(host="127.0.0.1", sender="trap@example.org", to=("ranger@example.org",), starttls=False)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local days are those of UTC, wherever the tests run."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A record in a file; one test asks for a server, too."""
    return f"sqlite:///{(tmp_path / 'sightings.sqlite3').as_posix()}"


def rule(**values: Any) -> AlertRule:
    usual = {"name": "cats", "species": ("Lion",), "webhook": "http://127.0.0.1:9/"}
    return AlertRule(**(usual | values))


# A record, and rules at work on it


@dataclass
class Field:
    """A record that photos are put into, and a clock that is set by hand."""

    store: Store
    url: str
    now: datetime = NOON
    left: list[Mapping[str, Any]] = field(default_factory=list)
    pictures: list[str | None] = field(default_factory=list)
    letters: int = 0

    def see(
        self,
        name: str,
        camera_time: str | None,
        label: str | None = "Lion",
        *,
        probability: float = 0.91,
        reason: str | None = None,
        station: str | None = "ridge",
        card: Path = Path("/media/card"),
        model: str = "m1",
        **known: Any,
    ) -> int:
        prediction = Prediction(label, probability, reason, ((label or "Lion", probability),), ())
        time = f"2026-11-19T{camera_time}:00" if camera_time else None
        made = replace(record(name, prediction=prediction, camera_time=time), **known)
        card_id = self.store.card(card, station=station)
        model_id = self.store.model(model, "1", model)
        photo_id = self.store.record(card_id, model_id, records=[made]).photo_ids[0]
        ask(self.url, "UPDATE predictions SET created = ?", BEFORE)
        return photo_id

    def place(self, station: str, latitude: float, longitude: float) -> None:
        change = "UPDATE stations SET latitude = ?, longitude = ? WHERE name = ?"
        ask(self.url, change, latitude, longitude, station)

    def keep(
        self, _rule: AlertRule, leaving: Mapping[str, Any], jpeg: str | None, _now: datetime
    ) -> str:
        self.left.append(leaving)
        self.pictures.append(jpeg)
        return ""

    def alerts(self, *rules: AlertRule, **options: Any) -> Alerts:
        usual = {"send": self.keep, "now": lambda: self.now, "clock": lambda: 0.0}
        return Alerts(**({"store": self.store, "rules": rules} | usual | options))

    def said(self) -> list[tuple[str, str, str | None, int]]:
        return [(e["label"], e["station"], e["start"], e["photos"]) for e in self.left]


@pytest.fixture
def field_(store: Store, url: str) -> Field:
    return Field(store, url)


def test_an_event_is_one_alert(field_: Field) -> None:
    for name, at in [
        ("a", "10:00"),
        ("b", "10:01"),
        ("c", "10:25"),
        ("d", "10:54"),
        ("e", "11:30"),
    ]:
        field_.see(name, at)
    field_.see("f", "10:02", station="river")
    field_.see("g", "10:02", "Panda")
    field_.see("h", "10:02", None, reason="novel")
    outcome = field_.alerts(rule()).step()
    assert (outcome.noticed, outcome.sent, outcome.failed, outcome.waiting) == (3, 3, 0, 0)
    assert field_.said() == [
        ("Lion", "ridge", "2026-11-19T10:00:00", 4),
        ("Lion", "river", "2026-11-19T10:02:00", 1),
        ("Lion", "ridge", "2026-11-19T11:30:00", 1),
    ]
    assert field_.alerts(rule()).step().sent == 0


def test_photos_that_come_later_join_their_event(field_: Field) -> None:
    field_.see("a", "10:00")
    field_.alerts(rule()).step()
    for name, at in [("b", "10:20"), ("c", "10:40"), ("d", "09:40"), ("e", "11:00")]:
        field_.see(name, at)
        field_.alerts(rule()).step()
    assert field_.said() == [("Lion", "ridge", "2026-11-19T10:00:00", 1)]
    field_.see("f", "11:30")
    field_.alerts(rule()).step()
    assert field_.said()[1:] == [("Lion", "ridge", "2026-11-19T11:30:00", 1)]


def test_an_event_that_still_waits_grows(field_: Field) -> None:
    field_.see("a", "10:00")
    field_.see("b", "09:50", station="Ridge")  # another station
    field_.see("c", "10:10")
    stopped = field_.alerts(rule())
    stopped.stop.set()
    assert stopped.step().noticed == 0, "stopped before it began"
    field_.alerts(rule(), send=_refuse("down")).step()
    field_.see("d", "10:30")
    field_.see("e", "09:30", station="Ridge")
    field_.now += timedelta(hours=1)
    field_.alerts(rule()).step()
    assert field_.said() == [
        # This one may have left before, so what it says stays; that one was never tried.
        ("Lion", "Ridge", "2026-11-19T09:50:00", 1),
        ("Lion", "ridge", "2026-11-19T10:00:00", 3),
    ]


def _refuse(text: str, *, is_place: bool = True) -> Callable[..., str]:
    def refuse(*_: object) -> str:
        raise DeliveryError(text, is_place=is_place)

    return refuse


def test_station_and_probability_and_reviews(field_: Field) -> None:
    unsure = field_.see("a", "10:00", probability=0.6)
    field_.see("b", "12:00", station="river")
    wrong = field_.see("c", "14:00")
    asked = rule(station=("ridge",), min_probability=0.8)
    field_.store.review(wrong, "Panda", reviewer="ana")
    field_.alerts(asked).step()
    assert field_.left == []
    field_.store.review(unsure, "Lion", reviewer="ana", count=3)
    field_.alerts(asked).step()
    (event,) = field_.left
    assert (event["reviewed"], event["probability"], event["count"]) == (True, None, 3)


def test_a_new_rule_looks_back_one_day_and_on_demand_farther(field_: Field) -> None:
    field_.see("old", "08:00")
    ask(field_.url, "UPDATE predictions SET created = '2026-10-01T00:00:00Z'")
    alerts = field_.alerts(rule())
    assert alerts.step().noticed == 0
    field_.see("new", "10:00")
    assert alerts.step().noticed == 1
    alerts.look_back(datetime(2026, 11, 20, tzinfo=UTC))
    assert alerts.step().noticed == 1  # `see` has made the old one new, too
    alerts.look_back(datetime(2026, 1, 1, tzinfo=UTC))
    assert alerts.step().noticed == 0


def test_photos_without_a_time_are_one_event_a_day(field_: Field) -> None:
    field_.see("a", None)
    field_.see("b", None)
    alerts = field_.alerts(rule())
    alerts.step()
    field_.see("c", None)
    alerts.step()
    assert field_.said() == [("Lion", "ridge", None, 2)]
    field_.now += timedelta(days=1)
    field_.see("d", None)
    alerts.step()
    assert field_.said()[1:] == [("Lion", "ridge", None, 1)]


def test_people_are_seen_whatever_other_models_say(field_: Field) -> None:
    field_.see("a", "10:00", "person", probability=0.95, model="megadetector")
    field_.see("a", "10:00", "Lion", probability=0.9)
    field_.see("b", "12:00", None, reason="human", probability=0.95)
    field_.see("c", "14:00", "Human", probability=0.3)
    cleared = field_.see("d", "16:00", "person", probability=0.99)
    field_.store.review(cleared, "Lion", reviewer="ana")
    named = field_.see("e", "18:00", "Lion")
    field_.store.review(named, "person", reviewer="ana")
    field_.alerts(rule(species=(), people=True, min_probability=0.9)).step()
    assert [(e["label"], e["start"][11:16], e["probability"]) for e in field_.left] == [
        ("person", "10:00", 0.95),
        ("person", "12:00", 0.95),
        ("person", "18:00", None),
    ]


def test_an_unsure_person_hides_no_rhino(field_: Field) -> None:
    field_.see("a", "10:00", "person", probability=0.2, model="megadetector")
    field_.see("a", "10:00", "Rhino", probability=0.95)
    field_.alerts(rule(species=("Rhino",), people=True, min_probability=0.9)).step()
    assert [event["label"] for event in field_.left] == ["Rhino"]


# What leaves


def test_what_leaves_is_blurred_by_the_most_threatened_species_of_the_station(
    field_: Field,
) -> None:
    field_.see("a.jpg", "10:00")
    field_.see("a2.jpg", "10:05", probability=0.97)
    field_.place("ridge", -1.28712, 36.82194)
    alerts = field_.alerts(rule(), rule(name="exact", precision=0.0), rule(name="1", precision=1.0))
    alerts.step()
    event, exact, coarse = field_.left
    assert {**event, "id": ""} == {
        "id": "",
        "kind": "alert",
        "rule": "cats",
        "label": "Lion",
        "scientific_name": "Panthera leo",
        "iucn": "VU",
        "station": "ridge",
        "deployment": None,
        "start": "2026-11-19T10:00:00",
        "end": "2026-11-19T10:05:00",
        "utc_offset": None,
        "photos": 2,
        "count": 1,
        "probability": 0.97,
        "reviewed": False,
        "latitude": -1.29,
        "longitude": 36.82,
        "coordinatePrecision": 0.01,
        "photo": "a2.jpg",
        "noticed": "2026-11-20T12:00:00Z",
    }
    places = [(e["latitude"], e["coordinatePrecision"]) for e in (exact, coarse)]
    assert places == [(-1.28712, None), (-1.0, 1.0)]
    assert len({e["id"] for e in field_.left}) == 3
    field_.see("b.jpg", "20:00", "Rhino")
    field_.see("c.jpg", "20:00")
    field_.alerts(rule()).step()
    assert field_.left[-1]["coordinatePrecision"] == 0.1
    field_.see("d.jpg", "22:00")
    field_.alerts(rule(), precision=0.5).step()
    assert (field_.left[-1]["latitude"], field_.left[-1]["coordinatePrecision"]) == (-1.5, 0.5)


def test_a_photo_leaves_only_where_the_rule_says_so_and_without_its_exif(
    field_: Field, tmp_path: Path
) -> None:
    import hashlib

    exif = Image.Exif()
    exif[0x010F] = "SECRET-CAMERA"
    exif.get_ifd(0x8825)[1] = "S"
    original = tmp_path / "a.jpg"
    picture = Image.new("RGB", (1600, 1200), (200, 30, 30))
    picture.save(original, exif=exif, comment="SECRET-PLACE")
    content = {"sha256": hashlib.sha256(original.read_bytes()).digest()}
    field_.see("a.jpg", "10:00", card=tmp_path, **content)
    field_.alerts(rule(), rule(name="with photo", attach=True)).step()
    assert field_.pictures[0] is None
    jpeg = base64.b64decode(field_.pictures[1] or "")
    with Image.open(io.BytesIO(jpeg)) as sent:
        assert (sent.format, sent.size, dict(sent.getexif())) == ("JPEG", (640, 480), {})
        assert sent.getpixel((320, 240)) == pytest.approx((200, 30, 30), abs=4)
    assert b"SECRET" not in jpeg and b"SECRET" in original.read_bytes()
    (kept,) = ask(field_.url, "SELECT payload FROM outbox WHERE key LIKE 'with photo%'")
    assert "jpeg" not in json.loads(kept[0]), "what has left is not kept twice"

    Image.new("RGB", (64, 64)).save(original)  # another card is there by now
    field_.see("a.jpg", "20:00", card=tmp_path, sha256=b"\1" * 32)
    field_.alerts(rule(name="with photo", attach=True)).step()
    assert field_.pictures[2] is None


HOSTILE = "ridge\r\nBcc: everyone@example.org\r\n\r\n<script>alert(1)</script>\x1b[2J\u202e"


def test_hostile_names_are_harmless(field_: Field) -> None:
    field_.see("a\r\nX: y.jpg", "10:00", station=HOSTILE)
    with server() as web, mail_server() as post:
        address = f"http://127.0.0.1:{web.port}/"
        letters = rule(name="mail", webhook="", smtp=replace(MAIL, port=post.port))
        outcome = field_.alerts(rule(webhook=address), letters, send=send).step()
    assert (outcome.sent, outcome.errors) == (2, [])
    (request,) = web.requests
    assert not set(request.body) & set(b"<>&\x1b\r\n")
    station = json.loads(request.body)["station"]
    assert station == plain(HOSTILE) and station.isprintable() and "<script>" in station
    (letter,) = post.letters
    assert letter["Bcc"] is None and letter["X"] is None
    assert post.envelopes == [("trap@example.org", ["ranger@example.org"])]
    assert letter.get_content_type() == "text/plain"
    assert letter["Subject"] == f"trapsort: Lion (VU) at {station}, 2026-11-19 10:00:00"
    assert all(line.isprintable() for line in letter.get_content().split("\r\n"))


# The cap and the digest


def test_what_is_over_the_cap_is_one_digest_a_day(field_: Field) -> None:
    for hour in range(6):
        field_.see(f"{hour}", f"1{hour}:00")
    alerts = field_.alerts(rule(per_day=2))
    outcome = alerts.step()
    assert (outcome.noticed, outcome.sent, outcome.waiting) == (6, 3, 0)
    assert [event["kind"] for event in field_.left] == ["alert", "alert", "digest"]
    digest = field_.left[2]
    assert [event["start"][11:13] for event in digest["events"]] == ["12", "13", "14", "15"]
    assert (digest["day"], digest["more"]) == ("2026-11-20", 0)
    assert ask(field_.url, "SELECT count(*) FROM outbox WHERE sent IS NULL AND kind <> 'rule'") == [
        (0,)
    ]
    field_.see("7", "20:00")
    field_.see("8", "21:00")
    field_.see("9", "22:00")
    assert (alerts.step().sent, alerts.step().waiting) == (0, 3)
    field_.now += timedelta(days=1)
    assert alerts.step().sent == 3
    assert [event["kind"] for event in field_.left[3:]] == ["alert", "alert", "digest"]
    assert field_.left[2]["id"] != field_.left[5]["id"]


def test_a_rule_without_single_alerts_makes_digests_only(field_: Field) -> None:
    field_.see("a", "10:00")
    field_.alerts(rule(per_day=0)).step()
    assert [event["kind"] for event in field_.left] == ["digest"]


# What fails


def test_no_network_for_days_loses_nothing_and_tries_rarely(field_: Field) -> None:
    tries: list[datetime] = []

    def unplugged(*_: object) -> str:
        tries.append(field_.now)
        raise DeliveryError("Network is unreachable")

    alerts = field_.alerts(rule(per_day=5), send=unplugged)
    start, days = field_.now, 4
    for day in range(days):
        for hour in range(8):
            field_.see(f"{day} {hour}", f"1{hour}:00", station=f"station {day}")
        while field_.now < start + timedelta(days=day + 1):
            alerts.attempt()
            # A scan a minute, at first.
            field_.now += timedelta(minutes=1 if field_.now < start + timedelta(hours=2) else 10)
    waits = [(after - before) // timedelta(minutes=1) for before, after in pairwise(tries)]
    assert tries[0] == start
    assert waits[:6] == [1, 2, 4, 8, 16, 32] and {*waits[6:]} <= {60, 67}
    assert len(tries) == 7 + days * 24 - 2
    assert alerts.step().waiting == 5 + 4  # the first five, and what is over the cap in a digest
    back = field_.alerts(rule(per_day=5), at_once=True)
    assert back.step().sent == 9
    told = sum(len(event.get("events", [event])) for event in field_.left)
    assert told == days * 8
    assert ask(field_.url, "SELECT attempts, next_try, last_error FROM outbox WHERE kind = 'rule'")[
        0
    ] == (0, None, "")


@pytest.mark.parametrize(("attempt", "minutes"), [(1, 1), (2, 2), (6, 32), (7, 60), (999, 60)])
def test_pauses_double_up_to_an_hour(attempt: int, minutes: int) -> None:
    assert pause(attempt) == timedelta(minutes=minutes)


def test_a_message_that_is_refused_holds_up_no_other(field_: Field) -> None:
    field_.see("a", "10:00")
    field_.see("b", "12:00")

    def picky(
        a_rule: AlertRule, leaving: Mapping[str, Any], jpeg: str | None, now: datetime
    ) -> str:
        if leaving["start"].startswith("2026-11-19T10"):
            raise DeliveryError("too rude", is_place=False)
        return field_.keep(a_rule, leaving, jpeg, now)

    alerts = field_.alerts(rule(), send=picky)
    outcome = alerts.step()
    assert (outcome.sent, outcome.failed, outcome.waiting) == (1, 1, 1)
    assert outcome.errors == ["alerts by rule cats: too rude"]
    assert alerts.step().failed == 0
    field_.now += timedelta(minutes=1)
    assert alerts.step().failed == 1


def test_a_clock_that_is_put_back_holds_up_nothing(field_: Field) -> None:
    field_.see("a", "10:00")
    field_.alerts(rule(), send=_refuse("down")).step()
    field_.now -= timedelta(days=400)
    assert field_.alerts(rule()).step().sent == 1


def test_an_ended_process_sends_again_with_the_same_key(field_: Field) -> None:
    field_.see("a", "10:00")
    with server() as web:
        address = f"http://127.0.0.1:{web.port}/"
        code = f"""if True:
            import os
            from datetime import datetime, timezone
            from trapsort.alert_rules import AlertRule
            from trapsort.alerts import Alerts
            from trapsort.alerts.delivery import send
            from trapsort.store import Store

            def send_and_die(*what):
                send(*what)
                os._exit(9)

            rule = AlertRule(name="cats", species=("Lion",), webhook={address!r})
            now = lambda: datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
            with Store.open({field_.url!r}) as store:
                Alerts(store=store, rules=[rule], send=send_and_die, now=now).step()
        """
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
        assert done.returncode == 9 and len(web.requests) == 1
        again = field_.alerts(rule(webhook=address), send=send, at_once=True)
        assert again.step().sent == 0, "it may still be at work"
        field_.now += timedelta(minutes=2)
        assert again.step().sent == 1
    first, second = web.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert len(first.headers["Idempotency-Key"]) == 32
    assert json.loads(first.body)["id"] == first.headers["Idempotency-Key"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_programs_send_each_event_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{(tmp_path / 'two.sqlite3').as_posix()}"
    else:
        url = request.getfixturevalue("server").record()
    with Store.open(url) as one, Store.open(url) as two:
        field_ = Field(one, url)
        for hour in range(10):
            field_.see(f"{hour}", f"1{hour}:00")
        gate = threading.Barrier(2)

        def work(store: Store) -> None:
            gate.wait(10)
            field_.alerts(rule(), store=store).step()

        threads = [threading.Thread(target=work, args=(store,)) for store in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(event["start"][11:13] for event in field_.left) == [f"1{h}" for h in range(10)]


def test_a_step_ends_in_time_and_goes_on_in_the_next(field_: Field) -> None:
    for hour in range(4):
        field_.see(f"{hour}", f"1{hour}:00")
    seconds = iter(range(0, 1000, 4))
    alerts = field_.alerts(rule(), clock=lambda: float(next(seconds)))
    assert (alerts.step().sent, alerts.step().sent) == (2, 2)


def test_an_attempt_never_raises_and_says_a_failure_once(
    field_: Field, caplog: pytest.LogCaptureFixture
) -> None:
    field_.see("a", "10:00")
    alerts = field_.alerts(rule(), send=_refuse("down"), at_once=True)
    for _ in range(3):
        alerts.attempt()
    assert caplog.messages == ["alerts by rule cats: down; trying again later"]
    caplog.clear()
    field_.store.close()
    broken = field_.alerts(rule(), now=_broken)
    broken.attempt()
    assert caplog.messages == ["alerts: database x: is locked; trying again later"]


def _broken() -> datetime:
    raise DatabaseError("database x: is locked", "wait")


# The commands


def configured(folder: Path, table: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(f'db = "s.db"\n[[alerts]]\n{table}\n', encoding="utf-8")
    return ["--config", str(path)]


def test_watch_sends_what_it_takes_in_and_goes_on_when_it_cannot(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card"
    (card / "DCIM").mkdir(parents=True)
    Image.new("RGB", (640, 480), (220, 10, 10)).save(card / "DCIM" / "IMG_0001.JPG")
    bundle = ["--bundle", str(toy.write_bundle(tmp_path / "toy"))]
    table = f'name = "cats"\nspecies = "Lion"\nwebhook = "http://127.0.0.1:{free_port()}/"'
    options = configured(tmp_path, table)
    assert main(["watch", "--once", str(card), "--station", "ridge", *bundle, *options]) == 0
    assert capfd.readouterr() == (
        "card: 1 file: 1 photo recorded, 0 seen before, 0 problems\n",
        "trapsort: alerts by rule cats: Connection refused; trying again later\n",
    )
    assert main(["alerts", "send", *options]) == 1
    assert capfd.readouterr() == (
        "0 new, 0 sent, 1 waiting\n",
        "alerts by rule cats: Connection refused\n",
    )
    assert main(["alerts", "list", "--waiting", "--format", "json", *options]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert (row["kind"], row["state"], row["attempts"], row["error"]) == (
        "alert",
        "waiting",
        2,
        "Connection refused",
    )
    with server() as web:
        table = f'name = "cats"\nspecies = "Lion"\nwebhook = "http://127.0.0.1:{web.port}/"'
        options = configured(tmp_path, table)
        assert main(["watch", "--once", str(card), *bundle, *options]) == 0
        assert main(["alerts", "send", "--since", "2020-01-01", *options]) == 0
    assert capfd.readouterr().out.splitlines()[1:] == ["0 new, 1 sent, 0 waiting"]
    assert [json.loads(request.body)["label"] for request in web.requests] == ["Lion"]
    assert main(["alerts", "list", *options]) == 0
    assert " sent " in capfd.readouterr().out
    renamed = configured(tmp_path, 'name = "new"\nspecies = "Panda"\ncommand = ["true"]')
    assert main(["alerts", "send", *renamed]) == 0
    assert capfd.readouterr() == ("0 new, 0 sent, 0 waiting\n", "")


def test_a_rule_can_be_tried(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "notify now"
    program.write_text('#!/bin/sh\ngrep -q \'"kind": "test"\'\n', encoding="utf-8")
    program.chmod(0o755)
    options = configured(tmp_path, f'name = "a"\npeople = true\ncommand = ["{program}"]')
    assert main(["alerts", "test", "a", *options]) == 0
    assert capfd.readouterr() == ("a: sent, command notify now\n", "")
    assert main(["alerts", "test", "b", *options]) == 2
    assert capfd.readouterr().err == "trapsort: there is no alert rule 'b'\nthe rules are a\n"
    options = configured(tmp_path, 'name = "a"\npeople = true\ncommand = ["false"]')
    assert main(["alerts", "test", *options]) == 1
    assert capfd.readouterr() == ("", "a: false ended with exit code 1 (command false)\n")
    assert not (tmp_path / "s.db").exists()


def test_commands_say_what_they_miss(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text('db = "s.db"\n', encoding="utf-8")
    assert main(["alerts", "send", "--config", str(empty)]) == 2
    assert capfd.readouterr().err == (
        f"trapsort: there are no alert rules\nwrite [[alerts]] tables into {empty}: "
        "docs/howto/alerts.md\n"
    )
    options = configured(tmp_path, 'name = "x"\npeople = true\ncommand = ["notify"]')
    assert main(["alerts", "send", *options]) == 4
    assert main(["alerts", "list", *options]) == 4
    assert main(["alerts", "send", "--precision", "near", *options]) == 2
    assert "--precision must be degrees" in capfd.readouterr().err
