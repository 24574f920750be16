"""Hands out a card's files to the workers of a cluster and takes in what they say, in order.

A handful of files goes through three tasks. A worker reads them and keeps them in memory; their
digests come here, and the record says which are known; the worker decodes and classifies the rest.
So no file is read twice, no known photo is decoded, and no photo crosses the network but from its
place to one worker. Dask runs again elsewhere what was lost with a worker.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, Future, KilledWorker

from trapsort.bundle import Bundle
from trapsort.cluster import tasks
from trapsort.cluster.tasks import Model
from trapsort.errors import InputError, PhotoError, TrapsortError
from trapsort.examine import BATCH, Batch, Failure, Item
from trapsort.in_hand import MOST_DEATHS
from trapsort.scan import Photo, Problem
from trapsort.urls import Url
from trapsort.workers import Task, Workers

HANDFUL_BYTES = 64 * 1024 * 1024
"""A handful holds fewer photos where they are larger than this together: workers keep them."""

AHEAD = 3
"""Handfuls under way for each thread of the cluster: one in work, one read, one on its way."""

MOST_LOSSES = 4
"""Times that a handful may be lost with its worker although its photos are decoded apart."""

TICK_SECONDS = 0.5  # how soon a stop is seen
COUNT_SECONDS = 5.0  # how often the cluster is asked for its size
SILENCE_SECONDS = 30.0  # without workers: how often that is said

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Handful:
    """Files on their way through the cluster; `batch` once they are through."""

    number: int
    items: tuple[Item, ...]
    apart: bool = False
    losses: int = 0
    futures: list[Future[Any]] = field(default_factory=list)
    batch: Batch | None = None


class Cluster(Workers):
    """The workers of a Dask cluster."""

    def __init__(self, client: Client, bundle: Bundle, model: Model) -> None:
        self.bundle = bundle
        self._client = client
        self._model = model

    def ask_all(self, question: Callable[[], T]) -> dict[str, T]:
        """What a function says in each worker process, by the worker's address."""
        answers: dict[str, T] = self._client.run(question)
        return answers

    def batches(self, items: Iterator[Item], task: Task) -> Iterator[Batch]:
        """Yield what became of the files, in the order of the card.

        Raises `InputError` or `BundleError` where a worker does not see the card or has another
        bundle; nothing of what it was to do is lost.
        """
        run = _Run(self._client, self._model, task)
        try:
            run.check_workers()
            yield from run.batches(items)
        except Exception as error:  # Dask's own have no common base
            if isinstance(error, TrapsortError) or self._client.status == "running":
                raise
            raise _cut_off() from error
        finally:
            run.drop()


class _Run:
    """One card on its way through a cluster."""

    def __init__(self, client: Client, model: Model, task: Task) -> None:
        self._client, self._model, self._task = client, model, task
        self._root = task.card.root
        self._name = uuid4().hex[:12]  # keys of another run must not be taken for these
        self._under_way: deque[_Handful] = deque()
        self._finished: SimpleQueue[tuple[_Handful, Future[Any]]] = SimpleQueue()
        self._room, self._counted = 0, -COUNT_SECONDS
        self._heard = time.monotonic()

    def check_workers(self) -> None:
        """Let each worker that is there load the model and look for the card."""
        told = self._client.run(tasks.ready, self._model, self._root, on_error="return")
        failed = [each for each in told.values() if isinstance(each, BaseException)]
        if failed:
            self._task.card.check_is_there()
            raise _in_words(failed[0])

    def batches(self, items: Iterator[Item]) -> Iterator[Batch]:
        handfuls = self._handfuls(items)
        failure: Exception | None = None
        more = True
        while True:
            while more and not self._task.is_stopped and len(self._under_way) < self._allowed():
                try:
                    handful = next(handfuls, None)
                except Exception as error:
                    handful, failure = None, error
                if handful is None:
                    more = False
                    break
                self._under_way.append(handful)
                self._send(handful)
            if self._under_way and (done := self._under_way[0].batch) is not None:
                self._under_way.popleft()
                yield done
            elif not self._under_way or self._task.is_stopped:
                break  # what is under way at a stop is read again the next time
            else:
                self._listen()
        if failure is not None:
            raise failure

    def drop(self) -> None:
        """Forget what is under way; the cluster stops working on it."""
        futures = [future for handful in self._under_way for future in handful.futures]
        if futures and self._client.status == "running":
            self._client.cancel(futures)
        self._under_way.clear()

    # Out ----------------------------------------------------------------------------------------

    def _allowed(self) -> int:
        """How many handfuls may be under way, by what the cluster has now."""
        now = time.monotonic()
        if now - self._counted >= COUNT_SECONDS:
            threads = sum(self._client.nthreads().values())
            self._room, self._counted = max(1, AHEAD * threads), now
        return self._room

    def _handfuls(self, items: Iterator[Item]) -> Iterator[_Handful]:
        """Group files: at most `BATCH` and `HANDFUL_BYTES`; each suspect of a crash is alone."""
        number, group, size = 0, list[Item](), 0
        failure: Exception | None = None
        while failure is None:
            try:
                item = next(items, None)
            except Exception as error:  # what came before it is worked on first
                failure, item = error, None
            if item is None:
                break
            item = self._refused(item)
            suspect = isinstance(item, Photo) and self._task.in_hand.is_suspect(item)
            more = item.size if isinstance(item, Photo) else 0
            if group and (suspect or len(group) == BATCH or size + more > HANDFUL_BYTES):
                yield _Handful(number, tuple(group))
                number, group, size = number + 1, [], 0
            group.append(item)
            size += more
            if suspect:
                yield _Handful(number, tuple(group), apart=True)
                number, group, size = number + 1, [], 0
        if group:
            yield _Handful(number, tuple(group))
        if failure is not None:
            raise failure

    def _refused(self, item: Item) -> Item:
        """A photo that is known to kill is a problem at once."""
        if isinstance(item, Photo):
            try:
                self._task.in_hand.check(item)
            except PhotoError as error:
                return Problem(item.card, item.relative, error.reason, error.detail)
        return item

    def _send(self, handful: _Handful) -> None:
        """Have a handful read, and its digests sent here."""
        key = f"{self._name}-{handful.number}-{handful.losses}"
        submit = self._client.submit
        files = submit(tasks.read_files, handful.items, self._root, key=f"read-{key}")
        digests = submit(tasks.digests, files, key=f"digests-{key}", priority=1)
        handful.futures = [files, digests]
        self._await(handful, digests)

    def _send_on(self, handful: _Handful, known: set[bytes]) -> None:
        """Have a handful that was read decoded and classified, but for what is known."""
        files, digests = handful.futures
        batch = self._client.submit(
            tasks.work_on,
            files,
            frozenset(known),
            self._model,
            self._root,
            apart=handful.apart,
            key=f"work-{str(digests.key).removeprefix('digests-')}",
            priority=2,  # before more is read
        )
        handful.futures = [files, batch]
        self._await(handful, batch)

    def _await(self, handful: _Handful, future: Future[Any]) -> None:
        future.add_done_callback(lambda done: self._finished.put((handful, done)))

    # In -----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Wait a moment for answers and deal with all that have come."""
        try:
            arrived = [self._finished.get(timeout=TICK_SECONDS)]
        except Empty:
            self._check_alive()
            return
        while not self._finished.empty():
            arrived.append(self._finished.get())
        self._heard = time.monotonic()
        whole = []
        for handful, future in arrived:
            if future not in handful.futures:
                continue  # of a try that was given up
            if future.status == "finished":
                whole.append((handful, future))
            else:
                self._lost(handful, future)
        answers = self._client.gather([future for _, future in whole], errors="skip")
        if len(answers) != len(whole):  # a worker died with its answer
            answers = [self._gathered(handful, future) for handful, future in whole]
        read = []
        for (handful, _), answer in zip(whole, answers, strict=True):
            if isinstance(answer, Batch):
                handful.batch = self._judged(handful, answer)
                handful.futures = []
            elif isinstance(answer, list):
                read.append((handful, answer))
        if read:
            known = self._task.known([sha256 for _, found in read for sha256 in found])
            for handful, found in read:
                self._send_on(handful, known.intersection(found))

    def _gathered(self, handful: _Handful, future: Future[Any]) -> object:
        try:
            return future.result()
        except Exception:
            self._lost(handful, future)
            return None

    def _lost(self, handful: _Handful, future: Future[Any]) -> None:
        """Deal with a handful that has no answer: again where workers died of it, else an end."""
        error = future.exception() if future.status == "error" else None
        if isinstance(error, TrapsortError):
            self._task.card.check_is_there()
        if error is not None and not isinstance(error, KilledWorker):
            raise _in_words(error)
        handful.losses += 1
        if handful.losses > MOST_LOSSES:
            raise TrapsortError(
                "The workers of the cluster end again and again.",
                "Look at their logs; lack of memory is the usual reason. Nothing that was recorded"
                " is lost: run the same again to go on.",
            )
        handful.apart |= error is not None
        _log.info("a handful of files was lost with its worker and is sent again")
        self._send(handful)

    def _judged(self, handful: _Handful, batch: Batch) -> Batch:
        """A batch as this machine sees it: what is said to be gone may be a worker's view only."""
        for item in handful.items if handful.apart else ():
            if isinstance(item, Photo):
                fatal = any(f.photo == item and f.reason == "fatal" for f in batch.failures)
                self._task.in_hand.judge(item, MOST_DEATHS if fatal else 0)
        seen_here = [
            replace(each, is_gone=False, detail="a worker of the cluster does not find it")
            if each.is_gone and _is_here(each)
            else each
            for each in batch.failures
        ]
        return replace(batch, failures=seen_here)

    def _check_alive(self) -> None:
        if self._client.status != "running":
            raise _cut_off()
        now = time.monotonic()
        if now - self._heard >= SILENCE_SECONDS and not self._client.nthreads():
            self._heard = now
            _log.warning("the cluster has no workers; waiting for some")


def _is_here(failure: Failure) -> bool:
    """Whether this machine sees a file that a worker did not find."""
    path = failure.photo.path
    return not isinstance(path, Url) and os.path.lexists(path)


def _cut_off() -> TrapsortError:
    return TrapsortError(
        "The connection to the cluster is lost.",
        "Nothing that was recorded is lost: run the same again to go on.",
    )


def _in_words(error: BaseException) -> Exception:
    """What a worker's error is to the one who runs the command."""
    if isinstance(error, TrapsortError):
        return error
    if isinstance(error, ImportError):
        return InputError(
            f"A worker of the cluster cannot import what it needs: {error}.",
            'Install the same trapsort on all machines: pip install "trapsort[cluster]"',
        )
    if isinstance(error, Exception):
        return error
    return RuntimeError(str(error))
