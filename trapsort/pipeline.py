"""The whole program on one screen: a card goes in, a record and an account come out.

    scan -> read -> (seen before?) -> decode -> classify -> record
                +--------- problems, one row each ---------+

Workers (threads of this process, or other machines) read, decode and classify. The calling thread
alone writes, one transaction a batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from trapsort.ensemble import Classifier
from trapsort.examine import Batch, Item, Keep
from trapsort.in_hand import InHand
from trapsort.near import NearDuplicates
from trapsort.scan import Card, Problem, card_of, scan
from trapsort.settings import cores
from trapsort.store import Account, NamingRule, Record, Store
from trapsort.urls import Url
from trapsort.workers import Task, Threads, Workers, together

PASSING = ("unreadable", "changed", "no_memory")
"""Problems that the same file may not have the next time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a card is: finished files, and how many there are where that is known."""

    files: int
    total: int | None


def ingest(
    root: Path | Url,
    *,
    store: Store,
    classifier: Classifier | Workers,
    station: str | None = None,
    workers: int | None = None,
    total: int | None = None,
    stop: threading.Event | None = None,
    in_hand: InHand | None = None,
    skip: Callable[[Item], bool] | None = None,
    keep: Keep | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Account:
    """Take in everything below `root` and account for every file.

    `classifier` runs in `workers` threads, unless it is `Workers` of its own, a cluster's.
    `skip` leaves files out, `keep` is shown each picture by those threads, `stop` ends after the
    photos in hand, `total` is only passed on; `in_hand` remembers, beyond a crash, which photos
    were being decoded.
    Raises `InputError` for a root that is not there or goes away, after recording what was read of
    it, and `DatabaseError` for a database that fails.
    """
    if isinstance(classifier, Classifier):
        classifier = Threads(classifier, workers or cores(), keep)
    bundle = classifier.bundle
    place = card_of(root)
    unlisted: set[bytes] = set()
    items = _wanted(scan(root), skip, unlisted)
    first = next(items, None)
    if first is None and skip is not None:
        _resolve_listed(store, root, place, unlisted)
        return Account()  # a look at a card that brought nothing new leaves no trace
    items = chain([first] if first is not None else [], items)
    card = store.card(place.root, volume=place.volume, station=station)
    model = store.model(bundle.name, bundle.version, bundle.digest, bundle.profile)
    near = NearDuplicates(*store.perceptual_hashes())
    run = store.begin_run(card, model)
    account, gone = Account(), 0

    def known(sha256s: Sequence[bytes]) -> set[bytes]:
        answered = store.known(sha256s, model)
        return {sha256 for sha256, is_answered in answered.items() if is_answered}

    try:
        task = Task(place, known, in_hand or InHand(), stop)
        for batch in together(classifier.batches(items, task)):
            account += _record(store, card, model, near, batch)
            gone += sum(failure.is_gone for failure in batch.failures)
            if on_progress is not None:
                on_progress(Progress(account.files, total))
        store.group(model, NamingRule(bundle.species, bundle.decision.min_probability))
    finally:
        store.finish_run(run, account)
    if gone:
        place.check_is_there()
    if stop is None or not stop.is_set():
        _resolve_listed(store, root, place, unlisted)
    return account


def _wanted(
    items: Iterator[Item], skip: Callable[[Item], bool] | None, unlisted: set[bytes]
) -> Iterator[Item]:
    """Leave out what is to be skipped, and note which places the scan could not read."""
    for item in items:
        if isinstance(item, Problem) and item.reason == "unreadable":
            unlisted.add(item.relative)
        if skip is None or not skip(item):
            yield item


def _resolve_listed(store: Store, root: Path | Url, card: Card, unlisted: set[bytes]) -> None:
    """Resolve the problems of folders that could not be listed once and were in this pass."""
    if not root.is_dir():
        return  # one file says nothing of the folders beside it
    store.resolve(
        problem
        for problem, relative in store.unreadable(card.root, card.volume)
        if relative not in unlisted and (card.root / os.fsdecode(relative)).is_dir()
    )


def _record(store: Store, card: int, model: int, near: NearDuplicates, batch: Batch) -> Account:
    """Link near-duplicates, write one batch in one transaction, and count what became of it.

    A photo that is not there any more has no problem.
    """
    linked = _linked(batch.records, near)
    failures = [failure for failure in batch.failures if not failure.is_gone]
    problems = batch.problems + [
        Problem(each.photo.card, each.photo.relative, each.reason, each.detail) for each in failures
    ]
    problems.sort(key=lambda problem: problem.relative)  # whoever met them first
    recorded = store.record(card, model, records=linked, seen=batch.seen, problems=problems)
    for photo_id, record in zip(recorded.photo_ids, linked, strict=True):
        near.add(photo_id, record.perceptual_hash)
    again = tuple(each.photo for each in failures if each.reason in PASSING)
    return replace(recorded.account, again=again)


def _linked(records: Sequence[Record], near: NearDuplicates) -> list[Record]:
    """Records with the photo that each resembles most, recorded or before it in the batch.

    The first of several, wherever a batch ends. A photo of the batch has no id yet and is named by
    -1 - its place.
    """
    within = NearDuplicates()
    linked = []
    for place, record in enumerate(records):
        found = near.nearest(record.perceptual_hash), within.nearest(record.perceptual_hash)
        twin = min(filter(None, found), key=lambda each: each[1], default=None)
        within.add(-1 - place, record.perceptual_hash)
        linked.append(replace(record, near=twin))
    return linked
