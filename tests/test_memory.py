"""memory: a budget is never exceeded, is served in turn and comes back after whatever happens."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from trapsort.errors import PhotoError
from trapsort.memory import MAX_MEMORY, PICTURES, Budget, room_for


def test_what_is_held_never_exceeds_the_budget() -> None:
    budget, lock = Budget(100), threading.Lock()
    held, most, alone = 0, 0, []

    def work(need: int) -> None:
        nonlocal held, most
        with budget.share(need):
            with lock:
                held += min(need, budget.size)
                most = max(most, held)
                if need > budget.size:
                    alone.append(held)
            time.sleep(0.001)
            with lock:
                held -= min(need, budget.size)

    dice = random.Random(1)  # noqa: S311  # no secret
    needs = [dice.choice((0, 1, 10, 40, 60, 100, 500)) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, needs)) == [None] * len(needs)
    assert held == 0
    assert 40 < most <= 100
    assert alone == [100] * needs.count(500)


def waiting_for(budget: Budget, need: int, order: list[int], mark: int) -> threading.Thread:
    """A thread that waits for a part of a budget, which stands in the queue when this returns."""
    before = len(budget._queue)

    def work() -> None:
        with budget.share(need):
            order.append(mark)

    thread = threading.Thread(target=work)
    thread.start()
    while len(budget._queue) == before:
        time.sleep(0.001)
    return thread


def test_who_wants_much_is_not_passed_by_those_who_want_little() -> None:
    budget, order = Budget(100), list[int]()
    with budget.share(50):
        threads = [waiting_for(budget, need, order, need) for need in (80, 30, 500, 20)]
        assert order == []
    for thread in threads:
        thread.join(20)
    assert order == [80, 30, 500, 20]


def test_alone_waits_for_all_others() -> None:
    budget, order = Budget(100), list[int]()
    with budget.alone():
        thread = waiting_for(budget, 1, order, 1)
        assert order == []
    thread.join(20)
    assert order == [1]


def test_a_failure_gives_all_of_it_back() -> None:
    budget = Budget(100)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), budget.share(70):
            print(1 / 0)
    with budget.alone():
        pass


def test_what_exceeds_the_most_is_refused_without_waiting() -> None:
    with PICTURES.alone(), pytest.raises(PhotoError) as refused, room_for(MAX_MEMORY + 2**20):
        pytest.fail("it got its room")
    assert str(refused.value) == "too_large: decoding would take 513 MB; at most 512 are used"
