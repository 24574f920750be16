"""Whatever happens to a card between scans, the record follows: a state machine against a model.

The model knows nothing of trapsort but its promise: what was whole when it was looked at is
recorded exactly once, what was bad is one open problem, and what was never there is neither.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

from tests.toy import write_bundle
from trapsort import examine, fingerprint, workers
from trapsort.bundle import load_bundle
from trapsort.daemon import Settled
from trapsort.ensemble import Classifier
from trapsort.errors import InputError
from trapsort.examine import Item
from trapsort.fingerprint import Content
from trapsort.pipeline import ingest
from trapsort.scan import Photo
from trapsort.session import open_session
from trapsort.store import Account, Store

QUIET = 2.0
COLOURS = ("red", "green", "blue", "black", "orange", "purple")


def jpeg(colour: str) -> bytes:
    """About 4,000 bytes, of which the first 700 are the header."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8))
    stream = io.BytesIO()
    Image.blend(noise, Image.new("RGB", noise.size, colour), 0.6).save(stream, "JPEG")
    return stream.getvalue()


WHOLE = [jpeg(colour) for colour in COLOURS]
BAD = {b"": "empty", b"a note\n": "not_an_image", WHOLE[0][:-200]: "truncated"}
PATHS = ("DCIM/1.jpg", "DCIM/2.jpg", "DCIM/sub/1.jpg", "DCIM-2/1.jpg", "notes.txt", "\udcff")

paths = st.sampled_from(PATHS)
whole = st.sampled_from(range(len(WHOLE)))


def reason(content: bytes) -> str | None:
    """Why content is no photo; None where it is one."""
    if content in WHOLE:
        return None
    return BAD.get(content, "truncated")  # what grows, and what is cut, has at least its header


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class CardMachine(RuleBasedStateMachine):
    """A card that people, cameras and copies change, and trapsort that looks at it now and then."""

    classifier: Classifier
    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="trapsort-properties-"))
        self.card = self.folder / "card"
        self.card.mkdir()
        file = self.folder / "record.sqlite3"
        shutil.copy(self.template, file)
        self.store = Store.open(f"sqlite:///{file}")
        self.clock = Clock()
        self.settled = Settled(QUIET, clock=self.clock)
        self.ticks = 0
        # What is on the card, and since when it is so.
        self.files: dict[str, bytes] = {}
        self.changed: dict[str, float] = {}
        self.growing: dict[str, bytes] = {}
        # What the record must hold.
        self.recorded: set[bytes] = set()
        self.problems: dict[str, str] = {}

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.take_all()
            self.check()
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    # What happens to a card

    def put(self, path: str, content: bytes) -> None:
        place = self.card / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        self.ticks += 1  # every change has a time of its own, as on a card it nearly always has
        os.utime(place, ns=(self.ticks, self.ticks))
        self.files[path] = content
        self.changed[path] = self.clock.now
        self.growing.pop(path, None)

    def drop(self, path: str) -> None:
        (self.card / path).unlink()
        self.growing.pop(path, None)
        del self.files[path], self.changed[path]

    @rule(path=paths, number=whole)
    def add(self, path: str, number: int) -> None:
        self.put(path, WHOLE[number])

    @rule(path=paths, content=st.sampled_from(sorted(BAD)))
    def add_bad(self, path: str, content: bytes) -> None:
        self.put(path, content)

    @rule(path=paths, number=whole, share=st.sampled_from((0.5, 0.9)))
    def begin_copy(self, path: str, number: int, share: float) -> None:
        content = WHOLE[number]
        self.put(path, content[: int(len(content) * share)])
        self.growing[path] = content

    @precondition(lambda self: self.growing)
    @rule(data=st.data(), step=st.sampled_from((1, 40)))
    def grow(self, data: st.DataObject, step: int) -> None:
        path = data.draw(st.sampled_from(sorted(self.growing)))
        whole = self.growing[path]
        self.put(path, whole[: min(len(self.files[path]) + step, len(whole) - 2)])
        self.growing[path] = whole

    @precondition(lambda self: self.growing)
    @rule(data=st.data())
    def finish_copy(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.growing)))
        self.put(path, self.growing[path])

    @precondition(lambda self: self.files)
    @rule(data=st.data(), to=paths)
    def rename(self, data: st.DataObject, to: str) -> None:
        path = data.draw(st.sampled_from(sorted(self.files)))
        if path == to:
            return
        (self.card / to).parent.mkdir(parents=True, exist_ok=True)
        (self.card / path).replace(self.card / to)
        self.files[to] = self.files.pop(path)
        self.changed.pop(path)
        self.changed[to] = self.clock.now
        self.growing.pop(to, None)
        if path in self.growing:
            self.growing[to] = self.growing.pop(path)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), to=paths)
    def duplicate(self, data: st.DataObject, to: str) -> None:
        self.put(to, self.files[data.draw(st.sampled_from(sorted(self.files)))])

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def corrupt(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.files)))
        if self.files[path] in WHOLE:
            self.put(path, self.files[path][:-200])

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.drop(data.draw(st.sampled_from(sorted(self.files))))

    @rule()
    def take_out_and_insert_again(self) -> None:
        self.card.rename(self.folder / "pocket")
        with pytest.raises(InputError):
            self.look()
        (self.folder / "pocket").rename(self.card)
        self.settled.forget()

    @rule(seconds=st.sampled_from((0.5, QUIET, 60.0)))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    # Looking at it

    def look(
        self,
        skip: Callable[[Item], bool] | None = None,
        stop: threading.Event | None = None,
    ) -> tuple[Account, list[str]]:
        """Ingest once; the account and the paths that it is about, in the order of the card."""
        met: list[str] = []

        def skipped(item: Item) -> bool:
            left_out = skip is not None and skip(item)
            if not left_out:
                met.append(os.fsdecode(item.relative))
            return left_out

        account = ingest(
            self.card,
            store=self.store,
            classifier=self.classifier,
            workers=1,
            skip=skipped,
            stop=stop,
            on_progress=None if stop is None else lambda _: stop.set(),
        )
        return account, met[: account.files]

    def expect(self, account: Account, met: list[str]) -> None:
        """Follow a look in the model, and compare what it said."""
        before = set(self.recorded)
        bad = 0
        for path in met:
            why = reason(self.files[path])
            if why is None:
                self.recorded.add(hashlib.sha256(self.files[path]).digest())
                self.problems.pop(path, None)
            else:
                bad += 1
                self.problems[path] = why
        new = len(self.recorded - before)
        assert account == Account(len(met), new, len(met) - new - bad, bad)
        assert account.files == account.recorded + account.seen_before + account.problems

    @rule()
    def take_all(self) -> None:
        account, met = self.look()
        assert sorted(met) == sorted(self.files)
        self.expect(account, met)

    @rule()
    def take_some_and_be_stopped(self) -> None:
        account, met = self.look(stop=threading.Event())
        assert met or not self.files
        self.expect(account, met)

    @rule()
    def take_what_is_settled(self) -> None:
        self.settled.begin()
        account, met = self.look(skip=lambda item: not self.settled.take(item))
        self.settled.keep()
        for path in met:
            assert self.clock.now - self.changed[path] >= QUIET, "it was still being written"
        self.expect(account, met)

    @rule()
    def wait_until_all_is_settled(self) -> None:
        for _ in range(2):
            self.take_what_is_settled()
            self.clock.now += QUIET
        self.take_what_is_settled()
        assert not self.settled.waiting
        self.check_that_all_is_there()

    def check_that_all_is_there(self) -> None:
        for path, content in self.files.items():
            if reason(content) is None:
                assert hashlib.sha256(content).digest() in self.recorded, path
            else:
                assert self.problems[path] == reason(content)

    def check(self) -> None:
        """Compare the record with the model."""
        self.check_that_all_is_there()
        with self.store._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT sha256 FROM photos").fetchall()
            open_problems = connection.exec_driver_sql(
                "SELECT path_bytes, reason FROM problems WHERE resolved IS NULL"
            ).fetchall()
        assert sorted(bytes(sha256) for (sha256,) in rows) == sorted(self.recorded)
        assert len(open_problems) == len(self.problems)
        assert {os.fsdecode(bytes(path)): why for path, why in open_problems} == self.problems
        shown = [sighting.sha256 for sighting in self.store.sightings()]
        assert len(shown) == len(set(shown))
        there = {hashlib.sha256(c).hexdigest() for c in self.files.values() if c in WHOLE}
        assert there <= set(shown) <= {sha256.hex() for sha256 in self.recorded}


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),  # how fast a disk is must not decide
)


@pytest.fixture(scope="module", autouse=True)
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A toy bundle and an empty record for all examples; batches of two, so that there are many."""
    folder = tmp_path_factory.mktemp("properties")
    bundle = load_bundle(write_bundle(folder / "toy"))
    CardMachine.classifier = Classifier(bundle, open_session(bundle))
    CardMachine.template = folder / "empty.sqlite3"
    Store.open(f"sqlite:///{CardMachine.template}").close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "TOGETHER", 2)
        yield


def test_the_record_follows_the_card() -> None:
    run_state_machine_as_test(CardMachine, settings=SETTINGS)


# That it would be seen -------------------------------------------------------------------------


def not_settling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Settled, "_ready", lambda self, key: True)


def knowing_by_name(patch: pytest.MonkeyPatch) -> None:
    """Identity by path: a file that changed passes for the one that was there."""
    first: dict[Path, Content] = {}
    read = fingerprint.read_content

    def read_once(photo: Photo) -> Content:
        return first.setdefault(photo.path, read(photo))

    patch.setattr(examine, "read_content", read_once)


def losing_the_last_of_a_batch(patch: pytest.MonkeyPatch) -> None:
    whole = examine.Batch.of

    def of(batches: Iterable[examine.Batch]) -> examine.Batch:
        return whole(list(batches)[:1])

    patch.setattr(examine.Batch, "of", of)


def decoding_what_is_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)


def problems_that_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("trapsort.store.write._resolve", lambda *_: None)


@pytest.mark.parametrize(
    "fault",
    [
        not_settling,
        knowing_by_name,
        losing_the_last_of_a_batch,
        decoding_what_is_cut,
        problems_that_stay,
    ],
)
def test_a_broken_program_is_caught(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    quick = settings(SETTINGS, phases=[Phase.generate])  # one failure will do; it is not shrunk
    with pytest.raises(AssertionError):
        run_state_machine_as_test(CardMachine, settings=quick)
