"""Several programs on one database: each photo once, and one daemon."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.records import ask
from tests.toy import write_bundle
from trapsort.cli.main import main
from trapsort.errors import BusyError
from trapsort.store import Store
from trapsort.watch import Wake

if TYPE_CHECKING:
    from tests.postgres import Server

PHOTOS = 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "toy")


@pytest.fixture
def cards(tmp_path: Path) -> list[Path]:
    """Three cards with the same photos under the same names, and one file that is none."""
    first = tmp_path / "card0" / "DCIM"
    first.mkdir(parents=True)
    for number in range(PHOTOS):
        Image.new("RGB", (64, 48), (200, number, 10)).save(first / f"{number:02d}.png")
    (first / "notes.txt").write_text("a note")
    others = [tmp_path / f"card{number}" for number in (1, 2)]
    for other in others:
        shutil.copytree(first.parent, other)
    return [first.parent, *others]


def _take_in(arguments: list[str], together: multiprocessing.synchronize.Barrier) -> None:
    from trapsort.cli.main import main

    together.wait(60)
    raise SystemExit(main(arguments))


def test_a_daemon_and_others_that_ingest_record_each_photo_once(
    store: Store, url: str, cards: list[Path], bundle: Path
) -> None:
    options = ["--bundle", str(bundle), "--db", url, "--quiet", "--workers", "1"]
    everything = [str(card) for card in cards]
    commands = [
        ["watch", "--once", *everything, *options],
        ["ingest", *everything, *options],
        ["ingest", *everything[::-1], *options],
    ]
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(len(commands))
    workers = [context.Process(target=_take_in, args=(each, together)) for each in commands]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert {s.label for s in store.sightings()} == {"Lion"}
    counts = {"photos": 1, "predictions": 1, "places_seen": 3}
    for table, times in counts.items():
        assert ask(url, f"SELECT count(*) FROM {table}") == [(times * PHOTOS,)]  # noqa: S608
    assert ask(url, "SELECT count(*) FROM photos WHERE superseded_by IS NOT NULL") == [(0,)]
    assert len(list(store.problems())) == len(cards)
    totals = ask(url, "SELECT sum(files), sum(recorded), sum(seen_before), sum(problems) FROM runs")
    assert totals == [(9 * (PHOTOS + 1), PHOTOS, 8 * PHOTOS, 9)]


# One daemon a server -----------------------------------------------------------------------------


def test_a_second_holder_is_told_of_the_first(server: Server) -> None:
    url = server.record()
    with Store.open(url) as one, Store.open(url) as two:
        with one.hold():
            for _ in range(2):
                with pytest.raises(BusyError) as caught, two.hold():
                    pytest.fail("it was held twice")
            with two.hold("another"):  # is another lock
                pass
            assert one.models() == two.models() == []  # both can be used
        with two.hold(), Store.open(server.database()) as elsewhere, elsewhere.hold():
            pass
    host = re.escape(socket.gethostname()[:20])
    assert re.fullmatch(
        rf"this database is being watched already: process {os.getpid()} on {host}\S* since"
        r" \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n"
        rf"Stop it first \(process {os.getpid()}\), or choose another database with --db\.",
        str(caught.value),
    )


def test_what_the_server_lost_is_taken_again(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.record()
    with Store.open(url) as one, Store.open(url) as two:
        with one.hold() as held:
            held.renew()  # it is still held
            assert caplog.messages == []
            server.end_sessions()
            held.renew()
            assert caplog.messages == [
                "the database server had closed this connection; its lock was taken again"
            ]
            with pytest.raises(BusyError), two.hold():
                pytest.fail("it was held twice")
            server.end_sessions()
            with two.hold():
                for _ in range(2):
                    with pytest.raises(BusyError, match="watched already: process"):
                        held.renew()
            held.renew()
        with two.hold():
            pass


def test_a_watch_whose_place_was_taken_ends_with_a_word(
    server: Server, cards: list[Path], bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = server.record()
    with Store.open(url) as other, ExitStack() as stack:

        def lose(*_: object, **__: object) -> Iterator[Wake]:
            yield Wake(cards[0])
            server.end_sessions()
            stack.enter_context(other.hold())
            yield Wake(cards[1])
            pytest.fail("it went on")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trapsort.daemon.watch", lose)
            assert main(["watch", *map(str, cards), "--bundle", str(bundle), "--db", url]) == 5
    assert "trapsort: this database is being watched already: process" in capfd.readouterr().err


def test_what_is_held_is_free_again_after_an_error(server: Server) -> None:
    with Store.open(server.record()) as store:
        with pytest.raises(ZeroDivisionError), store.hold():
            print(1 / 0)
        with store.hold():
            server.end_sessions()  # the server goes and takes the lock with it
        with store.hold():
            pass


def test_the_lock_of_a_file_is_not_the_records(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    with Store.open(url) as one, Store.open(url) as two, one.hold(), two.hold():
        assert one.card(tmp_path) == two.card(tmp_path)


def _hold_until_killed(url: str, held: multiprocessing.synchronize.Event) -> None:
    with Store.open(url) as store, store.hold():
        held.set()
        time.sleep(60)


def test_a_daemon_that_is_killed_leaves_nothing_held(
    server: Server, cards: list[Path], bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = server.record()
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    holder = context.Process(target=_hold_until_killed, args=(url, held))
    holder.start()
    assert held.wait(60)
    command = ["watch", "--once", str(cards[0]), "--bundle", str(bundle), "--db", url]
    assert main(command) == 5
    assert f"this database is being watched already: process {holder.pid} on" in (
        capfd.readouterr().err
    )
    holder.kill()
    holder.join(60)
    for _ in range(50):  # until the server has noticed
        code = main(command)
        if code != 5:
            break
        time.sleep(0.1)
    assert code == 0
    assert "21 files: 20 photos recorded" in capfd.readouterr().out
