"""Where and when cameras stood, as far as an export must know: deployments, given or derived."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from trapsort.archive import safe_name
from trapsort.blur import EXACT, FINE, blurred, precision_for
from trapsort.errors import InputError
from trapsort.interchange.exported import counted
from trapsort.interchange.names import is_species
from trapsort.redlist import red_list
from trapsort.store.captures import place_of

if TYPE_CHECKING:
    from trapsort.store import DeploymentRow, Store
    from trapsort.store.captures import Capture

METRES_A_DEGREE = 111_320  # along the equator, the most there is
BAD_CLOCKS = ("clock_unset", "clock_future")
SHOWN = 5  # names in an error
_PLAIN = re.compile(r"(?!.*\.\.)[\w ()+,=@-][\w ()+,=@.-]*(/[\w ()+,=@-][\w ()+,=@.-]*)*", re.A)


@dataclass(slots=True, eq=False)
class Site:
    """A deployment; without a `row` what a card's photos say of theirs.

    `exact` is the place in degrees where one is known; what leaves the machine is `position`.
    """

    name: str
    station: str | None
    card: str
    row: DeploymentRow | None
    precision: float
    exact: tuple[float, float] | None = None
    photos: int = 0
    first: str = ""
    last: str = ""
    serial: str = ""
    camera_model: str = ""
    has_unknown_zone: bool = False
    has_bad_clock: bool = False
    folder: str = ""
    names: set[int] = field(default_factory=set)

    def add(self, capture: Capture) -> None:
        """Take in a photo, in the order of their times."""
        self.photos += 1
        text = self.text(capture)
        self.first = min(self.first or text, text)
        self.last = max(self.last, text)
        if capture.utc_offset is None:
            self.has_unknown_zone = True
        if capture.flags and not self.has_bad_clock:
            self.has_bad_clock = any(flag in capture.flags for flag in BAD_CLOCKS)
        if self.exact is None and capture.latitude is not None and capture.longitude is not None:
            self.exact = (capture.latitude, capture.longitude)
        self.serial = self.serial or capture.serial or ""
        if not self.camera_model:
            self.camera_model = "-".join(filter(None, (capture.make, capture.camera_model)))

    def text(self, capture: Capture) -> str:
        """Return a photo's time with its offset; UTC where that is not known."""
        return f"{(capture.time or '')[:19]}{capture.utc_offset or 'Z'}"

    def file_name(self, capture: Capture) -> str:
        """Return a path that is unique in the export, with nothing that a format refuses."""
        path = plain_path(capture.path)
        if path != capture.path or hash(path) in self.names:
            stem, dot, suffix = path.rpartition(".")
            digest = capture.sha256.hex()[:8]
            path = f"{stem}-{digest}.{suffix}" if dot and stem else f"{path}-{digest}"
        self.names.add(hash(path))
        return f"{self.folder}/{path}"

    @property
    def position(self) -> tuple[float, float]:
        """Latitude and longitude as they may be known; raises ValueError without a place."""
        if self.exact is None:
            raise ValueError(f"{self.name} has no place")
        return blurred(*self.exact, self.precision)

    @property
    def uncertainty_metres(self) -> int | None:
        """Radius around the position that holds the exact place; None where that is given."""
        return uncertainty_metres(self.precision)

    @property
    def start(self) -> str:
        """When it began, with an offset."""
        return self._bound(self.row.start if self.row else None, self.first)

    @property
    def end(self) -> str:
        """When it ended, with an offset."""
        return self._bound(self.row.end if self.row else None, self.last)

    def _bound(self, given: str | None, seen: str) -> str:
        if given is None or self.row is None:
            return seen
        return f"{given[:19]}{self.row.utc_offset or seen[19:]}"

    @property
    def is_derived(self) -> bool:
        """Whether start or end is that of a photo."""
        return self.row is None or self.row.start is None or self.row.end is None

    @property
    def has_time_issues(self) -> bool:
        """Whether the offset is not known or a clock was not set."""
        return self.has_unknown_zone or self.has_bad_clock


def uncertainty_metres(precision: float) -> int | None:
    """Return half the diagonal of a grid's cell at the equator; None where nothing is rounded."""
    if precision == EXACT:
        return None
    return math.ceil(precision / math.sqrt(2) * METRES_A_DEGREE)


def plain_path(path: str) -> str:
    """Return a relative path that any system and format takes, mostly the same."""
    if _PLAIN.fullmatch(path):
        return path
    return "/".join(_plain_name(name) for name in path.split("/"))


def _plain_name(name: str) -> str:
    return safe_name(name.encode("utf-8", "surrogateescape")).replace("..", "__")


@dataclass(slots=True)
class Precisions:
    """How exactly a place may be known: by the most threatened species that was seen there."""

    labels: Mapping[tuple[str, str], set[str]]
    chosen: float | None
    _known: dict[tuple[str, str], float] = field(default_factory=dict)

    def at(self, station: str | None, card: str) -> float:
        """Return degrees for a photo's place."""
        if self.chosen is not None:
            return self.chosen
        place = place_of(station, card)
        if place not in self._known:
            listed = red_list()
            species = filter(is_species, self.labels.get(place, ()))
            found = (precision_for(listed.category(label), None) for label in species)
            self._known[place] = max(found, default=FINE)
        return self._known[place]


@dataclass(slots=True)
class Sites:
    """All deployments that an export meets."""

    rows: Mapping[str, DeploymentRow]
    precisions: Precisions
    without_time: int = 0
    _sites: dict[tuple[str | None, str | None, int | None], Site] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, precision: float | None) -> Self:
        """Return those of a record; `precision` in degrees, None by what was seen at a place."""
        rows = {row.name: row for row in store.deployments()}
        labels = store.labels_at() if precision is None else {}
        return cls(rows, Precisions(labels, precision))

    @property
    def used(self) -> Iterable[Site]:
        """Those met so far, in that order."""
        return self._sites.values()

    def of_photo(self, capture: Capture) -> Site:
        """Return the deployment of a photo: the one it belongs to, else its card's own."""
        key = (
            (capture.deployment, None, None)
            if capture.deployment is not None
            else (None, capture.station, capture.card_id)
        )
        if key not in self._sites:
            name = capture.deployment or self._derived_name(capture)
            row = self.rows.get(name)
            precision = self.precisions.at(capture.station, capture.card)
            site = Site(name, capture.station, capture.card, row, precision)
            site.folder = _plain_name(name)
            self._sites[key] = site
        return self._sites[key]

    def _derived_name(self, capture: Capture) -> str:
        name = f"{capture.station or 'no-station'}-card-{capture.card_id or 0}"
        while name in self.rows:
            name += "-photos"
        return name

    @property
    def notes(self) -> list[str]:
        """What somebody must know of the places and of what has no time."""
        found = []
        if self.without_time:
            found.append(
                f"left out, as this format needs a time: {counted(self.without_time, 'photo')}"
                " without one"
            )
        grids = sorted({site.precision for site in self.used if site.precision != EXACT})
        if grids:
            degrees = ", ".join(f"{grid:g}" for grid in grids)
            found.append(f"positions are rounded to {degrees} degrees (--precision)")
        return found


def check_positions(sites: Iterable[Site]) -> None:
    """Refuse deployments without a place.

    Raises:
        InputError: it names their stations, or the cards that have none, and what to do.
    """
    missing = [site for site in sites if site.exact is None]
    if not missing:
        return
    stations = sorted({site.station for site in missing if site.station is not None})
    cards = sorted({site.card for site in missing if site.station is None})
    parts = []
    if stations:
        parts.append(f"{counted(len(stations), 'station')} ({_some(stations)})")
    if cards:
        parts.append(f"{counted(len(cards), 'card')} without a station ({_some(cards)})")
    hints = []
    if cards:
        hints += [
            "give each card its station: trapsort ingest CARD --station NAME",
            "or a deployment that holds its photos; trapsort deployments list --unmatched says why"
            " none does",
        ]
    hints.append(
        "write the stations' coordinates into a CSV file (station,latitude,longitude), then:"
        " trapsort stations import FILE"
    )
    raise InputError(f"no position is known of {' and '.join(parts)}", "\n".join(hints))


def _some(names: list[str]) -> str:
    more = [f"and {len(names) - SHOWN:,} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more])
