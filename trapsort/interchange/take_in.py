"""From results that were read and found sound to the record, a batch of photos a transaction."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from trapsort.interchange.detected import Detected, LeftOut, Results
from trapsort.interchange.matching import Matcher, NoMatch
from trapsort.store import Store
from trapsort.store.imported import Told

BATCH = 200  # photos, with perhaps ten boxes each


@dataclass(slots=True)
class Account:
    """What became of a file's entries; `photos` are ids, `new` what the record did not hold yet."""

    photos: array[int] = field(default_factory=lambda: array("q"))
    boxes: int = 0
    new: int = 0
    detector: int = 0


def take_in(
    store: Store,
    results: Results,
    matcher: Matcher,
    *,
    on_left_out: Callable[[LeftOut], None],
    on_progress: Callable[[int], None],
) -> Account:
    """Record what other programs found; what cannot be taken in is told to `on_left_out`.

    `on_progress` gets the number of entries that were dealt with.
    """
    rule = f"min_confidence {results.min_confidence:g}"
    account = Account(detector=store.imported_model(results.detector, results.source, rule))
    classifier = account.detector
    if results.classifier:
        # With its boxes' detector: the classifier of a later file must not stand behind an older.
        rule = f"boxes of {results.detector}, {rule}"
        classifier = store.imported_model(results.classifier, results.source, rule)
    entries, done = results.read(), 0
    while batch := list(islice(entries, BATCH)):
        found = [each for each in batch if isinstance(each, Detected)]
        photos = matcher.match(each.path for each in found)
        told: list[Told] = []
        for each in batch:
            if isinstance(each, LeftOut):
                on_left_out(each)
                continue
            photo = photos[each.path]
            if isinstance(photo, NoMatch):
                on_left_out(LeftOut(each.path, photo.reason, photo.detail))
                continue
            account.photos.append(photo)
            account.boxes += len(each.boxes)
            told += _told(photo, each, results.detector, account.detector, classifier)
        if told:
            account.new += store.tell(told)
        done += len(batch)
        on_progress(done)
    return account


def _told(
    photo: int, found: Detected, detector: str, detected_by: int, named_by: int
) -> Iterator[Told]:
    # The surest first: of two with the very same box the record holds one.
    for box in sorted(found.boxes, key=lambda box: -box.confidence):
        where = (box.box, detector, box.confidence)
        yield Told(photo, detected_by, box.said, *where)
        if box.named is not None:
            yield Told(photo, named_by, box.named, *where)
    if found.said is not None:
        yield Told(photo, detected_by, found.said)
    if found.named is not None:
        yield Told(photo, named_by, found.named)
