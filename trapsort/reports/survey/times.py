"""The figures about time: detections, activity over the day, when the cameras worked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trapsort.reports.survey import figures
from trapsort.reports.survey.part import Part
from trapsort.reports.survey.summary import counted, is_threatened, shown, spoken
from trapsort.reports.survey.tables import Column, table_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trapsort.reports.survey.data import Survey

PANELS = 6  # species with an activity curve
ENOUGH_EVENTS = 10  # for an activity curve
RUG = 12  # marks an hour below a curve: every 5 minutes


def detections(survey: Survey) -> Part:
    """Return the bars of events in each day, week or month."""
    import pandas as pd

    heading, events = "Detections over time", survey.events
    if not len(events):
        return Part("detections", heading, "There are no events to draw.")
    first, last = events["time"].min(), events["time"].max()
    code, word = figures.step_of((last - first).days)
    periods = events["time"].dt.to_period(code)
    counts = events.groupby([periods, "iucn"]).size().rename("events").reset_index()
    steps = pd.PeriodIndex(counts["time"])
    frame = pd.DataFrame(
        {
            "from": steps.start_time.to_numpy("datetime64[s]"),
            "to": (steps + 1).start_time.to_numpy("datetime64[s]"),
            "iucn": counts["iucn"],
            "events": counts["events"],
        }
    )
    busiest = frame.groupby("from")["events"].sum()
    when = spoken(busiest.idxmax())
    return Part(
        "detections",
        heading,
        f"Independent events ({survey.study.rule}) in each {word}, by Red List category; a range "
        "has the colour of its worse end, hatched.",
        f"Bars of independent events in each {word}: {counted(len(events), 'event')} in all, most "
        f"({busiest.max():,}) in the {word} of {when}.",
        partial(figures.over_time, frame),
        table_of(
            "detections",
            f"Independent events in each {word}",
            frame,
            (
                Column("from", f"{word} from", "day"),
                Column("iucn", "Red List", "category"),
                Column("events", "events", "number"),
            ),
        ),
    )


def activity(survey: Survey) -> Part:
    """Return the activity curves of the threatened and most frequent species."""
    import numpy as np
    import pandas as pd

    from trapsort.survey.activity import bandwidth, curve, time_of_day

    heading = "When they are active"
    hours_of = {
        label: time_of_day(part["time"]) for label, part in survey.events.groupby("species")
    }
    ready = [
        label
        for label in survey.species.sort_values("events", ascending=False)["species"]
        if len(hours_of[label]) >= ENOUGH_EVENTS and bandwidth(hours_of[label]) is not None
    ]
    threatened = set(survey.species.loc[survey.species["iucn"].map(is_threatened), "species"])
    chosen = sorted(ready, key=lambda label: label not in threatened)[:PANELS]
    few = f"An activity curve takes at least {ENOUGH_EVENTS} independent events at different times"
    if not chosen:
        return Part("activity", heading, f"{few}; no species has so many.")
    curves = pd.concat([curve(hours_of[label]).assign(label=label) for label in chosen])
    times = pd.concat(
        [
            pd.DataFrame({"label": label, "hour": _rug(hours_of[label] * 24 / (2 * np.pi))})
            for label in chosen
        ]
    )
    numbers = {label: len(hours_of[label]) for label in chosen}
    night = _night(survey)
    hour = pd.DataFrame({"hour": [f"{hour:02}:00" for hour in range(24)]})
    for label in chosen:
        place = (hours_of[label] * 24 / (2 * np.pi)).astype(int) % 24
        hour[label] = np.bincount(place, minlength=24)
    drawn = curves.reset_index(drop=True).groupby("label", sort=False)
    peaks = [part.loc[part["density"].idxmax(), "hour"] for _, part in drawn]
    alt = "Activity over the day: " + "; ".join(
        f"{shown(label)} most active about {int(peak) % 24:02}:{int(peak % 1 * 60):02}"
        for label, peak in zip(chosen, peaks, strict=True)
    )
    left = len(survey.species) - len(chosen)
    rest = f" {few}: {counted(left, 'species', 'species')} left out." if left else ""
    band = " Grey: night, sunset to sunrise on average." if night else ""
    return Part(
        "activity",
        heading,
        "Kernel density of the times of independent events (von Mises kernel, bandwidth as in "
        "the R package overlap; Ridout & Linkie 2009), by the cameras' corrected clocks; the "
        f"number of events in brackets, below each curve the events themselves.{band}{rest}",
        alt,
        partial(figures.activity, curves, times, numbers, night),
        table_of(
            "activity",
            "Independent events by hour of the day",
            hour,
            (Column("hour", "from"), *(Column(name, shown(name), "number") for name in chosen)),
        ),
    )


def _rug(hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the different hours to a twelfth: more marks than that cannot be told apart."""
    import numpy as np

    return np.unique(np.round(hours * RUG) / RUG)


def _night(survey: Survey) -> tuple[float, float] | None:
    """Return sunset and sunrise, hours, on average over the survey's months at its middle."""
    import math

    import pandas as pd

    from trapsort.survey.sun import anchors, circular_mean

    placed = survey.deployments.dropna(subset=["latitude", "longitude", "utc_offset"])
    if not len(placed):
        return None
    days = pd.date_range(placed["start"].min(), placed["end"].max(), periods=12).as_unit("s")
    places = pd.DataFrame(
        {
            "time": days,
            "latitude": placed["latitude"].mean(),
            "longitude": placed["longitude"].mean(),
            "utc_offset": placed["utc_offset"].mode().iloc[0],
        }
    )
    sunrise, sunset = (circular_mean(angles) * 24 / math.tau for angles in anchors(places))
    return None if math.isnan(sunrise + sunset) or sunrise > sunset else (sunset, sunrise)


def operation(survey: Survey) -> Part:
    """Return the camera operation chart."""
    import pandas as pd

    heading, deployments = "When the cameras worked", survey.deployments
    if survey.operation is None:
        return Part("operation", heading, "No deployments: trapsort deployments import FILE.csv.")
    days = pd.DataFrame(
        [(each.deployment, each.day, each.photos) for each in survey.photo_days],
        columns=["deployment", "day", "photos"],
    )
    days["day"] = pd.to_datetime(days["day"]).astype("datetime64[s]")
    by_name = days.groupby("deployment")
    table = deployments.assign(
        days=((deployments["end"] - deployments["start"]).dt.total_seconds() / 86_400),
        with_photos=deployments["deployment"].map(by_name.size()).fillna(0),
        photos=deployments["deployment"].map(by_name["photos"].sum()).fillna(0),
    )
    lost = counted(len(survey.problems), "period")
    more = len(deployments) - figures.MOST_ROWS
    tail = f" The first {figures.MOST_ROWS} of {len(deployments):,} are drawn." if more > 0 else ""
    return Part(
        "operation",
        heading,
        "Each line is a deployment, from its start to its end or, where that is not known, to its "
        f"last photo; hatched: periods in which it did not work.{tail}",
        f"Camera operation chart of {counted(len(deployments), 'deployment')}, with {lost} in "
        "which a camera did not work.",
        partial(figures.operation, deployments, survey.problems, days),
        table_of(
            "operation",
            "Deployments",
            table,
            (
                Column("deployment", "deployment"),
                Column("station", "station"),
                Column("start", "from", "day"),
                Column("end", "to", "day"),
                Column("days", "days", "number", 1),
                Column("with_photos", "days with photos", "number"),
                Column("photos", "photos", "number"),
            ),
        ),
    )
