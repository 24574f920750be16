"""A survey as a whole: what counted, what an event is, and the frames that follow from both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from trapsort.errors import InputError
from trapsort.survey import effort as effort_of
from trapsort.survey.events import BY, MINUTES, RULE, independent, rule_text
from trapsort.survey.operation import camera_operation
from trapsort.survey.rows import (
    deployments_frame,
    of_species,
    problems_frame,
    records_frame,
    times,
    with_ends,
    within,
)

if TYPE_CHECKING:
    from trapsort.store import DeploymentRow, Detection, PhotoDay


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the reader of a table must know, and may choose.

    `minutes` and `rule` say what an event is, `effort` which definition of trap nights counts,
    `since` and `until` which days, included; `species` are labels or scientific names. The rest are
    those of `operation.camera_operation`.
    """

    minutes: float = MINUTES
    rule: str = RULE
    effort: str = "camtrapR"
    since: date | None = None
    until: date | None = None
    station: str | None = None
    species: tuple[str, ...] = ()
    all_cameras_on: bool = False
    cameras_independent: bool = False
    start_hour: int = 0


@dataclass(frozen=True)
class Study:
    """Frames of a survey, as `rows` makes them, and what follows from them when it is asked for.

    `records` have the `camera` of their deployment too, '' where it has none or is not known.
    `running` are the deployments without an end, which end with their last photo.
    """

    records: pd.DataFrame
    deployments: pd.DataFrame
    problems: pd.DataFrame
    running: tuple[str, ...]
    choices: Choices

    @property
    def rule(self) -> str:
        """'60 min, lastRecord'."""
        return rule_text(self.choices.minutes, self.choices.rule)

    @cached_property
    def events(self) -> pd.DataFrame:
        """The independent events of the records, by camera where cameras count by themselves."""
        by = (*BY, "camera") if self.choices.cameras_independent else BY
        chosen = self.choices
        return independent(self.records, minutes=chosen.minutes, rule=chosen.rule, by=by)

    def operation(self, *, by_camera: bool = False) -> pd.DataFrame:
        """The camera operation matrix of the days that count.

        Raises:
            InputError: no deployment is known.
        """
        chosen = self.choices
        matrix = camera_operation(
            self.deployments,
            self.problems,
            by_camera=by_camera,
            all_cameras_on=chosen.all_cameras_on,
            cameras_independent=chosen.cameras_independent,
            start_hour=chosen.start_hour,
        )
        first = chosen.since.isoformat() if chosen.since else ""
        last = chosen.until.isoformat() if chosen.until else "9999"
        cut = matrix.loc[:, [first <= str(name)[:10] <= last for name in matrix.columns]]
        cut = cut[cut.notna().any(axis=1)]
        if cut.empty:
            raise InputError(
                "no camera was set up on the days that count", "choose other days or stations"
            )
        return cut

    @cached_property
    def effort(self) -> pd.Series:
        """Days of effort by station, by the definition that was chosen.

        Raises:
            InputError: no deployment is known.
        """
        matrix = self.operation()
        inside = within(self.deployments, self.choices.since, self.choices.until)
        return effort_of.by_station(inside, matrix, definition=self.choices.effort)


def study(
    detections: Iterable[Detection],
    deployments: Iterable[DeploymentRow],
    photo_days: Iterable[PhotoDay],
    choices: Choices,
) -> Study:
    """The frames of what counts.

    Raises:
        InputError: nothing that counts is of a species that was named.
    """
    chosen = (choices.station,) if choices.station is not None else None
    rows = [row for row in deployments if chosen is None or row.station in chosen]
    days = [(each.deployment, moment) for each in photo_days for moment in (each.day, each.last)]
    seen = pd.DataFrame(days, columns=["deployment", "time"])
    seen["time"] = times(seen["time"])
    frame = deployments_frame(rows)
    records = of_species(records_frame(detections), choices.species)
    cameras = dict(zip(frame["deployment"], frame["camera"], strict=True))
    return Study(
        records.assign(camera=[cameras.get(name, "") for name in records["deployment"]]),
        with_ends(frame, seen),
        problems_frame(rows),
        tuple(frame.loc[frame["end"].isna(), "deployment"]),
        choices,
    )
