"""Files go to threads one by one, and come back in their order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.toy import write_bundle
from trapsort.bundle import load_bundle
from trapsort.ensemble import Classifier
from trapsort.errors import InputError
from trapsort.examine import Batch, Item
from trapsort.in_hand import InHand
from trapsort.scan import Card, Problem
from trapsort.session import open_session
from trapsort.workers import AHEAD, TOGETHER, Task, Threads, in_order, together


def problem(number: int) -> Problem:
    return Problem(Path("/card"), b"%03d" % number, "unreadable", "")


def items(count: int, *, pulled: bool = False) -> Iterator[Item]:
    """Files that are none; with `pulled` the card is pulled out behind them."""
    yield from map(problem, range(count))
    if pulled:
        raise InputError("The card is gone.", "Put it in again.")


def names(handful: Sequence[Item]) -> list[int]:
    return [int(item.relative) for item in handful]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    bundle = load_bundle(write_bundle(tmp_path_factory.mktemp("workers") / "toy"))
    return Classifier(bundle, open_session(bundle))


def test_a_few_files_keep_all_threads_busy() -> None:
    all_four = threading.Barrier(4, timeout=10)

    def work(handful: Sequence[Item]) -> list[int]:
        all_four.wait()  # fails unless four threads come to it
        return names(handful)

    assert list(in_order(items(4), work, 4)) == [[0], [1], [2], [3]]


def test_the_order_is_that_of_the_card_and_what_is_under_way_is_bounded() -> None:
    begun: list[int] = []
    first = threading.Event()

    def work(handful: Sequence[Item]) -> list[int]:
        begun.extend(names(handful))
        if begun[0] in names(handful):
            first.wait(10)  # the first file takes longer than all that may be ahead of it
        return names(handful)

    threading.Timer(0.5, first.set).start()
    answers = in_order(items(200), work, 2)
    assert next(answers) == [0]
    assert len(begun) <= 2 * AHEAD + 1
    assert [number for each in answers for number in each] == list(range(1, 200))


def test_larger_handfuls_are_whole_but_for_the_last() -> None:
    assert [len(each) for each in in_order(items(20), names, 2, 8)] == [8, 8, 4]


def test_a_stop_ends_after_the_files_in_hand() -> None:
    stop, release, begun = threading.Event(), threading.Event(), list[int]()

    def work(handful: Sequence[Item]) -> list[int]:
        begun.extend(names(handful))
        if names(handful)[0] >= 4:
            release.wait(10)
        return names(handful)

    done = []
    for answer in in_order(items(1000), work, 2, 1, stop):
        done += answer
        if not stop.is_set():
            stop.set()
            threading.Timer(0.5, release.set).start()
    assert sorted(begun) == done == list(range(len(done)))
    assert len(done) <= 6, "files that nobody had begun were worked on"


def test_what_comes_within_half_a_second_is_recorded_together() -> None:
    now = 0.0

    def batches() -> Iterator[Batch]:
        nonlocal now
        for number, seconds in enumerate([0.1, 0.2, 0.15, 0.1, 0.1, 2.0, 0.1]):
            now += seconds
            yield Batch(problems=[problem(number)])

    found = [names(each.problems) for each in together(batches(), lambda: now)]
    assert found == [[0, 1, 2, 3], [4, 5], [6]]


def test_many_that_come_at_once_are_several_transactions() -> None:
    batches = (Batch(problems=[problem(number)]) for number in range(2 * TOGETHER + 1))
    sizes = [each.files for each in together(batches, lambda: 0.0)]
    assert sizes == [TOGETHER, TOGETHER, 1]


def test_a_card_that_is_pulled_out_costs_nothing_that_was_read(classifier: Classifier) -> None:
    """Nor does what is gathered for one transaction."""
    threads = Threads(classifier, 2)
    task = Task(Card(Path("/card"), (0, 0), ""), lambda sha256s: set(), InHand())
    found = []
    with pytest.raises(InputError, match="gone"):
        for batch in together(threads.batches(items(TOGETHER + 3, pulled=True), task)):
            found.append(names(batch.problems))
    assert [number for each in found for number in each] == list(range(TOGETHER + 3))
