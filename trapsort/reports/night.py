"""A night in words: a short text for whoever looks at the reports in the morning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from trapsort.reports.csv_file import Cell

Rows = Sequence[Mapping[str, Cell]]
LISTED = 20  # lines of a list


def words(day: date, photos: int, rows: Mapping[str, Rows]) -> Iterator[str]:
    """Yield the lines: threatened species, new ones, events, silent cameras, problems.

    `photos` were recorded on `day`; `rows` are those of the reports events, new-species, silent,
    effort and problems, by name.
    """
    from trapsort.reports.survey.summary import counted, is_threatened, spoken

    events = rows["events"]
    yield f"trapsort, {spoken(day)}\n\n"
    yield f"{counted(photos, 'photo')} recorded, {counted(len(events), 'event')} of species"
    nights = sum(float(row["trap_nights_so_far"] or 0) for row in rows["effort"])
    known = rows["effort"]
    yield (
        f"; {counted(nights, 'trap night')} so far on {counted(len(known), 'deployment')}.\n"
        if known
        else ".\n"
    )
    threatened = [row for row in events if is_threatened(str(row["iucn"] or ""))]
    yield from _listed("Threatened species", list(_by_species(threatened)))
    yield from _listed(
        "New at a station",
        [
            f"{_named(row)}, {_where(row)}, {str(row['first_time']).replace('T', ' ')}{_sure(row)}"
            for row in rows["new-species"]
        ],
    )
    if known:
        yield from _listed("Silent cameras", [_silence(row) for row in rows["silent"]])
    else:
        yield "\nSilent cameras: not known without deployments\n"
    yield from _listed(
        "Files that gave no sighting",
        [f"{row['path']}: {row['reason']}" for row in rows["problems"]],
    )


def _silence(row: Mapping[str, Cell]) -> str:
    from trapsort.reports.survey.summary import counted

    days = counted(int(row["days_silent"] or 0), "day")
    if not row["last_photo"]:
        return f"{row['deployment']}, {_where(row)}: no photo yet, {days} after its start"
    usual = row["photos_per_day"]
    return f"{row['deployment']}, {_where(row)}: no photo for {days}, before that {usual} a day"


def _by_species(events: Rows) -> Iterator[str]:
    """Yield a line a species, in the order given, with its surest event."""
    from trapsort.reports.survey.summary import counted

    grouped: dict[str, list[Mapping[str, Cell]]] = {}
    for row in events:
        grouped.setdefault(_named(row), []).append(row)
    for name, mine in grouped.items():
        best = max(mine, key=lambda row: (bool(row["reviewed"]), float(row["probability"] or 0)))
        stations = counted(len({row["station"] for row in mine}), "station")
        when = str(best["start"]).replace("T", " ")
        yield (
            f"{name}: {counted(len(mine), 'event')} at {stations}, the surest at "
            f"{_where(best)}, {when}{_sure(best)}"
        )


def _named(row: Mapping[str, Cell]) -> str:
    from trapsort.reports.survey.summary import shown

    category = f" ({row['iucn']})" if row["iucn"] else ""
    return shown(str(row["label"])) + category


def _where(row: Mapping[str, Cell]) -> str:
    return f"station {row['station']}" if row["station"] else "no station"


def _sure(row: Mapping[str, Cell]) -> str:
    if row["reviewed"]:
        return ", seen by a person"
    return f", probability {float(row['probability']):.1%}" if row["probability"] else ""


def _listed(heading: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a heading with its number and the lines, of many the first."""
    yield f"\n{heading}: {len(lines) or 'none'}\n"
    for line in lines[:LISTED]:
        # What a terminal would obey, in a file's name, is shown as its escape.
        safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
        yield f"  {safe}\n"
    if len(lines) > LISTED:
        yield f"  and {len(lines) - LISTED:,} more\n"
