"""Photos put together as visits: the frames of one trigger, and what follows within a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from trapsort.interchange.names import KINDS, answer_of, calibrated, is_species, kind_of

if TYPE_CHECKING:
    from trapsort.store.captures import Answer, Capture, Joint

VISIT_SECONDS = 120
"""As Agouti groups photos into sequences, from which most Camtrap DP packages come."""

Key = TypeVar("Key")


def rule_text(seconds: float) -> str:
    """'photos of a camera no more than 120 s apart, and the frames of one trigger'."""
    return f"photos of a camera no more than {seconds:g} s apart, and the frames of one trigger"


@dataclass(slots=True)
class Seen:
    """What photos of a visit show alike: `count` is the greatest in one photo.

    `answer` is the machine's, unless somebody `reviewed`; `probability` is that of the one answer
    for all of these photos, None where there are several.
    """

    kind: str
    label: str | None
    count: int | None = None
    reviewer: str | None = None
    reviewed_at: str | None = None
    answer: Answer | Joint | None = None
    probability: float | None = None
    reason: str | None = None
    photos: int = 0


@dataclass(slots=True)
class _Visits:
    """What is seen in one visit, by kind and label."""

    seen: dict[tuple[str, str | None], Seen] = field(default_factory=dict)

    def add(self, capture: Capture) -> None:
        """Take in one photo: its review, else its sequence's answer, else its own."""
        joint = None if capture.reviewed else capture.joint
        own = answer_of(capture)
        answer: Answer | Joint | None = own
        label, reason = capture.label, capture.reason
        if joint is not None and (own is None or not own.source):
            label, reason, answer = joint.label, joint.reason, joint
        kind = kind_of(label, reason, reviewed=capture.reviewed)
        label = label if is_species(label) else None
        one = self.seen.setdefault((kind, label), Seen(kind, label))
        one.photos += 1
        count = capture.individuals or (1 if label else 0)
        one.count = max(one.count or 0, count) or None
        if capture.reviewed:
            if one.reviewed_at is None or (capture.reviewed_at or "") > one.reviewed_at:
                one.reviewer, one.reviewed_at = capture.reviewer, capture.reviewed_at
        elif one.answer is None:
            one.answer, one.probability, one.reason = answer, calibrated(answer), reason
        elif answer != one.answer:
            one.probability = None

    def told(self) -> list[Seen]:
        """Return all named species, people and vehicles; without any the most telling kind."""
        order = sorted(self.seen.values(), key=lambda s: (KINDS.index(s.kind), s.label or ""))
        named = [s for s in order if s.label or s.kind in ("human", "vehicle")]
        return named or order[:1]


def seen_in(visit: Iterable[Capture]) -> list[Seen]:
    """Return what a visit shows, the most telling first."""
    seen = _Visits()
    for capture in visit:
        seen.add(capture)
    return seen.told()


def visits(
    captures: Iterable[tuple[Key, datetime, Capture]], seconds: float
) -> Iterator[tuple[Key, list[tuple[datetime, Capture]]]]:
    """Cut photos, sorted by key and time, where more than `seconds` pass; never inside a sequence.

    The key is that of a camera's time at a place.
    """
    for key, group in groupby(captures, key=itemgetter(0)):
        visit: list[tuple[datetime, Capture]] = []
        for _, time, capture in group:
            if visit and not _together(visit, time, capture, seconds):
                yield key, visit
                visit = []
            visit.append((time, capture))
        if visit:
            yield key, visit


def _together(
    visit: Sequence[tuple[datetime, Capture]], time: datetime, capture: Capture, seconds: float
) -> bool:
    last, before = visit[-1]
    same = capture.sequence_id is not None and capture.sequence_id == before.sequence_id
    return same or (time - last).total_seconds() <= seconds
