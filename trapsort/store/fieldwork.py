"""`Fieldwork`: the part of `Store` about stations, deployments, bursts and what counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Engine

from trapsort.store import deployments, sequences
from trapsort.store.attributions import attribute, count_matched, find_unmatched
from trapsort.store.detections import find_detections
from trapsort.store.engine import reading, writing
from trapsort.store.rows import (
    Correction,
    Counting,
    DeploymentRow,
    Detection,
    NamingRule,
    StationRow,
    Unmatched,
)
from trapsort.store.statements import utc_now


class Fieldwork:
    """Where and when photos were taken, on the engine of a `Store`."""

    _engine: Engine

    def import_stations(self, rows: Iterable[StationRow]) -> None:
        """Add stations or move them, all or none; one without a position keeps what it has.

        Raises:
            InputError: a row has no name, half a position or one that is not on Earth.
        """
        with writing(self._engine) as connection:
            deployments.add_stations(connection, rows)

    def import_deployments(self, rows: Sequence[DeploymentRow]) -> None:
        """Add deployments, or replace those of the same names, all or none, and find their photos.

        Stations that are new are added, and moved where a position is given; what was said of the
        clocks stays.

        Raises:
            InputError: something cannot be, or a camera would be in two places at once; it names
                line and column where the rows know them.
        """
        with writing(self._engine) as connection:
            deployments.add_deployments(connection, rows)
            attribute(connection)

    def remove_deployments(self, names: Sequence[str]) -> None:
        """Remove deployments with what was said of their clocks; photos and stations stay.

        Raises:
            InputError: there is none of that name; nothing is removed.
        """
        with writing(self._engine) as connection:
            deployments.remove_deployments(connection, names)
            attribute(connection)

    def correct_clock(
        self,
        deployment: str,
        *,
        offset_seconds: float = 0.0,
        drift_seconds_per_day: float = 0.0,
        since: str | None = None,
        note: str = "",
    ) -> None:
        """Append a correction, added to those before it, and find the deployment's photos again.

        `since` is the camera time at which the drift counts nothing; the deployment's start, if
        nobody says.

        Raises:
            InputError: there is no such deployment, or nothing says from when the drift counts.
        """
        correction = Correction(
            deployment=deployment,
            offset_seconds=offset_seconds,
            drift_seconds_per_day=drift_seconds_per_day,
            since=since,
            created=utc_now(),
            note=note,
        )
        with writing(self._engine) as connection:
            deployments.add_correction(connection, correction)
            attribute(connection)

    def attribute(self, photo_ids: Iterable[int] | None = None) -> None:
        """Find the deployment and the true time of these photos, or of all.

        What records photos or changes deployments does so itself.
        """
        with writing(self._engine) as connection:
            attribute(connection, photo_ids)

    def group(self, model_id: int | None = None, rule: NamingRule | None = None) -> None:
        """Group the frames of each trigger, and average what bundles say of them.

        Only photos that came, and those of which a bundle said something new, since the last time
        are looked at, a card a transaction. `rule` is that of the bundle `model_id`.
        """
        with reading(self._engine) as connection:
            cards = sequences.find_ungrouped(connection)
        for card in cards:
            with writing(self._engine) as connection:
                sequences.group(connection, card, model_id, rule)

    def stations(self) -> list[StationRow]:
        """Return all stations by name."""
        with reading(self._engine) as connection:
            return deployments.find_stations(connection)

    def deployments(self) -> list[DeploymentRow]:
        """Return all deployments by station, start and name."""
        with reading(self._engine) as connection:
            return deployments.find_deployments(connection)

    def corrections(self) -> list[Correction]:
        """Return all corrections of clocks in the order in which they were made."""
        with reading(self._engine) as connection:
            return deployments.find_corrections(connection)

    def unmatched(self) -> Iterator[Unmatched]:
        """Stream the photos that belong to no deployment, or to more than one, by card and path."""
        with reading(self._engine) as connection:
            yield from find_unmatched(connection)

    def count_matched(self) -> tuple[int, int]:
        """Return how many photos belong to a deployment, and how many do not."""
        with reading(self._engine) as connection:
            return count_matched(connection)

    def detections(self, counting: Counting | None = None) -> Iterator[Detection]:
        """Stream what counts in a survey, in the order of the photos.

        A photo counts where a person named its species, or a model did and was sure enough, and
        where its time is known; `unknown`, `blank` and abstentions never do.
        """
        with reading(self._engine) as connection:
            yield from find_detections(connection, counting or Counting())
