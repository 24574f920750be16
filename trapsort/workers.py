"""Those who read, decode and classify for the one that records: here, threads of this process.

Pillow and ONNX Runtime release the interpreter's lock, so threads use all cores with one copy of
the graph. Other machines are workers in the same sense: room `cluster`.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from trapsort.bundle import Bundle
from trapsort.ensemble import Classifier
from trapsort.examine import BATCH, Batch, Item, Keep, at_once, work
from trapsort.in_hand import InHand
from trapsort.scan import Card

AHEAD = 2 * BATCH
"""Files a worker that may be under way: some wait for an earlier one that takes long."""

TOGETHER, TOGETHER_SECONDS = 64, 0.5
"""Files that are recorded at once, and for how long the first of them waits: what a crash costs."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """What workers have to know of a card beside its files.

    `known` returns those of some contents (sha256) that the model has classified before; threads
    may call it. `in_hand` remembers, beyond a crash, which photos were being decoded. `stop` ends
    the work after the photos in hand.
    """

    card: Card
    known: Callable[[Sequence[bytes]], set[bytes]]
    in_hand: InHand
    stop: threading.Event | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether no more work is wanted."""
        return self.stop is not None and self.stop.is_set()


class Workers(ABC):
    """Whoever examines files with one model."""

    bundle: Bundle

    @abstractmethod
    def batches(self, items: Iterator[Item], task: Task) -> Iterator[Batch]:
        """Yield what became of the files, in the order of the card, a bounded number under way.

        Where `items` fails (a card is pulled out), what it gave before is worked on and yielded
        first. Raises `TrapsortError` where no photo is to blame.
        """


class Threads(Workers):
    """Threads of this process, which share one session."""

    def __init__(self, classifier: Classifier, count: int, keep: Keep | None = None) -> None:
        self.bundle = classifier.bundle
        self._keep = keep
        self._classifier = classifier
        self._count = count

    def batches(self, items: Iterator[Item], task: Task) -> Iterator[Batch]:
        """Yield what became of the files, in the order of the card, as it is to be recorded."""
        examine = partial(
            work,
            is_known=lambda sha256: bool(task.known([sha256])),
            classifier=self._classifier,
            in_hand=task.in_hand,
            is_there=lambda: task.card.is_there,
            keep=self._keep,
        )
        return in_order(items, examine, self._count, at_once(self._classifier), task.stop)


def together(
    batches: Iterator[Batch], clock: Callable[[], float] = time.monotonic
) -> Iterator[Batch]:
    """Join what comes within half a second: most of what a transaction costs is not its photos.

    Where the batches fail, what came before is yielded first.
    """
    failure: Exception | None = None
    few: list[Batch] = []
    files, since = 0, clock()
    while failure is None:
        try:
            few.append(next(batches))
        except StopIteration:
            break
        except Exception as error:
            failure = error
        else:
            files += few[-1].files
        if few and (files >= TOGETHER or clock() - since >= TOGETHER_SECONDS):
            yield Batch.of(few)
            few, files, since = [], 0, clock()
    if few:
        yield Batch.of(few)
    if failure is not None:
        raise failure


def in_order(
    items: Iterator[Item],
    work: Callable[[Sequence[Item]], T],
    workers: int,
    size: int = 1,
    stop: threading.Event | None = None,
) -> Iterator[T]:
    """Work on files in threads, `size` in a call; the results in the order of the card.

    At most `AHEAD` files a worker are under way, so memory does not grow with the card, and at a
    stop only what a worker has begun. Where `items` fails (a card is pulled out), what it gave
    before is worked on and yielded first.
    """
    failure: Exception | None = None
    with ThreadPoolExecutor(workers, thread_name_prefix="trapsort") as pool:
        under_way: deque[Future[T]] = deque()
        try:
            while failure is None and not (is_stopped := stop is not None and stop.is_set()):
                handful: list[Item] = []
                try:
                    for item in islice(items, size):  # one by one: list() would lose them
                        handful.append(item)
                except Exception as error:
                    failure = error
                if not handful:
                    break
                under_way.append(pool.submit(work, handful))
                if len(under_way) * size > AHEAD * workers:
                    yield under_way.popleft().result()
            if is_stopped:  # from the end, so that what is worked on is whole up to some file
                while under_way and under_way[-1].cancel():
                    under_way.pop()
            while under_way:
                yield under_way.popleft().result()
            if failure is not None:
                raise failure
        finally:
            for future in under_way:
                future.cancel()
