"""Which sightings a rule is about, and the events that they make: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trapsort.alert_rules import AlertRule
from trapsort.redlist import CATEGORIES, RedList
from trapsort.store.outbox import Find

PERSON = "person"
"""The label of an event with people, whatever they were called."""


@dataclass(frozen=True, slots=True)
class Match:
    """A find under the label of which a rule hears; what a person said has the probability 1."""

    find: Find
    label: str
    probability: float

    @property
    def time(self) -> str:
        """When it was, local and true; '' where the camera told no time that there is."""
        try:
            return datetime.fromisoformat(self.find.sighting.time or "").isoformat()
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class Event:
    """Matches of one label at one station, each less than a rule's minutes after the one before.

    `start` and `end` are local and true, '' where the camera's clock told no time.
    """

    label: str
    station: str
    start: str
    end: str
    matches: tuple[Match, ...]

    @property
    def best(self) -> Match:
        """The surest match."""
        return max(self.matches, key=lambda match: match.probability)


def labels_of(rule: AlertRule, listed: RedList) -> frozenset[str]:
    """Return the labels, in lower case, of which a rule wants to hear."""
    names = {name.lower() for name in rule.species}
    names |= {label.lower() for name in rule.species for label in listed.labels(name)}
    if rule.iucn_at_least is None:
        return frozenset(names)
    threatened = {
        label.lower()
        for label, entry in listed.entries.items()
        if reaches(entry.category, rule.iucn_at_least)
    }
    return frozenset(names & threatened if rule.species else threatened)


def reaches(category: str, level: str) -> bool:
    """Say whether a category, or the most threatened end of a range, is at least `level`."""
    most = category.split("-")[-1]
    return most in CATEGORIES and CATEGORIES.index(most) >= CATEGORIES.index(level)


def match_of(rule: AlertRule, find: Find, labels: frozenset[str]) -> Match | None:
    """Return what a rule hears of a find, None where that is nothing; people come first."""
    sighting = find.sighting
    if rule.station and sighting.station not in rule.station:
        return None
    if find.is_person:
        sure = 1.0 if sighting.reviewed else find.probability or 0.0
        if sure >= rule.min_probability:
            return Match(find, PERSON, sure)
    sure = 1.0 if sighting.reviewed else sighting.probability or 0.0
    is_wanted = sighting.label is not None and sighting.label.lower() in labels
    if not is_wanted or sure < rule.min_probability:
        return None
    return Match(find, sighting.label or "", sure)


def events(matches: Iterable[Match], minutes: float) -> list[Event]:
    """Return the events of matches, by start.

    A match is of the event before it when it is less than `minutes` after its last one (the rule
    `lastRecord` of the R package camtrapR); those without a time are one event a label and station.
    """
    made: dict[tuple[str, str], list[Event]] = {}
    for match in sorted(matches, key=lambda each: each.time):
        time, station = match.time, match.find.sighting.station or ""
        mine = made.setdefault((match.label, station), [])
        if mine and is_near((mine[-1].start, mine[-1].end), (time, time), minutes):
            mine[-1] = replace(mine[-1], end=time, matches=(*mine[-1].matches, match))
        else:
            mine.append(Event(match.label, station, time, time, (match,)))
    return sorted((event for each in made.values() for event in each), key=lambda e: e.start)


def is_near(one: Sequence[str], other: Sequence[str], minutes: float) -> bool:
    """Say whether two spans (start and end) overlap or are less than `minutes` apart.

    Spans without a time are near each other and no others.
    """
    if not (one[0] and other[0]):
        return one[0] == other[0]
    gap = timedelta(minutes=minutes)
    (start, end), (first, last) = map(_moments, (one, other))
    return (start, end) == (first, last) or (first - end < gap and start - last < gap)


def _moments(span: Sequence[str]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(span[0]), datetime.fromisoformat(span[1])
