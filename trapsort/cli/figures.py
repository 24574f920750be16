"""The figures of an evaluation: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trapsort.cli.listing import NARROWEST, shown
from trapsort.reports.csv_file import Cell, csv_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from trapsort.evaluate import Answers, Evaluation
    from trapsort.measures import RiskCoverage, Share
    from trapsort.thresholds import Fit

PHOTO_COLUMNS = (
    "path", "label", "most_probable", "right", "probability", "named", "reason", "group", "site",
    "split",
)  # fmt: skip
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
LARGEST_MATRIX = 20  # labels; of more only the most frequent mistakes are shown
CURVE_POINTS = 200  # at most so many in JSON


def photo_lines(answers: Answers, found: Evaluation) -> Iterator[str]:
    """Yield CSV, a line a photo, those that were left out last.

    `right`: the most probable label is the photo's; of a negative: no species was named.
    """
    yield csv_line(PHOTO_COLUMNS)
    for photo, said in zip(answers.photos, found.predictions, strict=True):
        best, probability = said.top[0]
        negative = photo.label not in found.species
        right = said.label is None if negative else best == photo.label
        row: Sequence[Cell] = (photo.name, photo.label, best, right, round(probability, 6))
        yield csv_line((*row, said.label, said.reason, photo.group, photo.site, photo.split))
    for each in answers.left_out:
        photo = each.photo
        row = (photo.name, photo.label, None, None, None, None, each.reason)
        yield csv_line((*row, photo.group, photo.site, photo.split))


def as_json(model: dict[str, Any], answers: Answers, found: Evaluation) -> str:
    """Return every figure as one JSON object that begins with `model`."""
    table = {
        **model,
        "photos": found.photos,
        "negatives": found.negatives,
        "left_out": [
            {"path": each.photo.name, "reason": each.reason, "detail": each.detail}
            for each in answers.left_out
        ],
        **summary(found),
        "reasons": found.reasons,
        "risk_coverage": _curve(found.risk_coverage),
        "labels": [
            {
                "label": each.label,
                "photos": each.photos,
                "precision": _rounded(each.precision),
                "recall": _rounded(each.recall),
                "f1": _rounded(each.f1),
                "named": each.named,
            }
            for each in found.labels
        ],
        "confusion": {
            "true": found.rows,
            "most_probable": found.columns,
            "photos": found.confusion.tolist(),
        },
    }
    return json.dumps(table, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def summary(found: Evaluation) -> dict[str, Any]:
    """Return the figures that are one number, shares with their counts and 95 % interval."""
    return {
        "top1": _share(found.top1),
        "coverage": _share(found.coverage),
        "accuracy_of_accepted": _share(found.accepted),
        "accuracy_of_all_named": _share(found.named_right),
        "negatives_named_a_species": _share(found.false_species),
        "ece": _rounded(found.calibration_error),
        "aurc": _rounded(found.risk_coverage.area),
    }


def fit_summary(fit: Fit) -> dict[str, Any]:
    """Return what was fitted, and on what."""
    return {
        "temperature": fit.temperature,
        "min_probability": fit.min_probability,
        "wanted_precision": fit.precision,
        "photos": fit.photos,
        "negatives": fit.negatives,
        "accuracy_of_all_named": _share(fit.named_right),
        "coverage": _share(fit.coverage),
    }


def _share(share: Share) -> dict[str, Any]:
    interval = None if share.interval is None else [round(end, 6) for end in share.interval]
    return {
        "share": _rounded(share.value),
        "photos": share.count,
        "of": share.of,
        "interval": interval,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _curve(curve: RiskCoverage) -> list[dict[str, float]]:
    last = len(curve.coverage) - 1
    points = min(last, CURVE_POINTS - 1)
    places = sorted({round(k * last / max(points, 1)) for k in range(points + 1)})
    return [
        {
            "coverage": round(float(curve.coverage[place]), 6),
            "risk": round(float(curve.risk[place]), 6),
            "min_probability": round(float(curve.probability[place]), 6),
        }
        for place in places
    ]


def as_tables(title: str, found: Evaluation, *, terminal: bool) -> str:
    """Return the tables for people, as wide as the terminal (100 without one)."""
    parts: list[tuple[str, RenderableType]] = [
        (title, _figures(found)),
        ("Labels, by the most probable one of every photo", _labels(found)),
        ("If only the surest photos were named", _surest(found.risk_coverage)),
    ]
    if len(found.columns) <= LARGEST_MATRIX:
        parts.append(("Confusion: true label below, most probable one across", _matrix(found)))
    elif mistakes := _mistakes(found):
        parts.append(("The most frequent mistakes", mistakes))
    return _rendered(parts, terminal=terminal)


def comparison(rules: Sequence[tuple[str, Evaluation]], *, terminal: bool) -> str:
    """Return what each of several rules makes of the same photos, a line a rule."""
    table = _table("", "coverage", "right among named", "with negatives", "ECE", numbers=4)
    for name, found in rules:
        shares = (found.coverage, found.accepted, found.named_right)
        cells = [_percent(share.value) for share in shares]
        table.add_row(_plain(name), *cells, f"{found.calibration_error:.4f}")
    return _rendered([("What the profile changes", table)], terminal=terminal)


def _rendered(parts: Iterable[tuple[str, RenderableType]], *, terminal: bool) -> str:
    from rich.console import Console
    from rich.text import Text

    width = max(NARROWEST, shutil.get_terminal_size((100, 24)).columns) if terminal else 100
    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=terminal and sys.stdout.isatty())
    for number, (title, part) in enumerate(parts):
        console.print(Text(("\n" if number else "") + title, style="bold"))
        console.print(part)
    return "".join(line.rstrip() + "\n" for line in page.getvalue().splitlines())


def _table(*columns: str, numbers: int) -> Table:
    """Return an empty table whose last `numbers` columns stand right."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 2))
    for place, column in enumerate(columns):
        right = place >= len(columns) - numbers
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    return table


def _plain(name: str) -> Text:
    """Return a name as it is, whatever a terminal or rich would make of it."""
    from rich.text import Text

    return Text(shown(name))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _figures(found: Evaluation) -> Table:
    table = _table("", "share", "photos", "95 % interval", numbers=3)
    for name, share in (
        ("most probable label right (top-1)", found.top1),
        ("species named (coverage)", found.coverage),
        ("right among the named", found.accepted),
        ("right among all named, with negatives", found.named_right if found.negatives else None),
        ("negatives named a species", found.false_species),
    ):
        if share is not None and share.interval is not None:
            low, high = share.interval
            interval = f"{low:.1%} to {high:.1%}"
            table.add_row(name, _percent(share.value), f"{share.count:,} of {share.of:,}", interval)
    table.add_row("calibration error (ECE)", f"{found.calibration_error:.4f}", "", "")
    table.add_row("area under risk-coverage (AURC)", f"{found.risk_coverage.area:.4f}", "", "")
    for reason, count in found.reasons.items():
        share_of = f"{count:,} of {found.photos:,}"
        table.add_row(f"not named: {reason}", _percent(count / found.photos), share_of, "")
    return table


def _labels(found: Evaluation) -> Table:
    table = _table("label", "photos", "precision", "recall", "F1", "named", numbers=5)
    for each in found.labels:
        style = "" if each.label in found.species else "dim"
        values = (each.precision, each.recall, each.f1)
        cells = ("" if value is None else f"{value:.3f}" for value in values)
        table.add_row(
            _plain(each.label), f"{each.photos:,}", *cells, f"{each.named:,}", style=style
        )
    return table


def _surest(curve: RiskCoverage) -> Table:
    table = _table("share of photos", "least probability", "wrong", numbers=3)
    rows = {int((curve.coverage < wanted - 1e-9).sum()) for wanted in COVERAGES}
    for place in sorted(rows):
        risk = float(curve.risk[place])
        table.add_row(
            _percent(float(curve.coverage[place])),
            f"{curve.probability[place]:.4f}",
            _percent(risk),
        )
    return table


def _matrix(found: Evaluation) -> Table:
    """Columns are numbered as the labels are; rows carry the number before the name."""
    used = [
        k
        for k, label in enumerate(found.columns)
        if label in found.rows or found.confusion[:, k].any()
    ]
    table = _table("", *(str(place + 1) for place in range(len(used))), numbers=len(used))
    table.padding = (0, 1, 0, 1)
    names = {found.columns[k]: place + 1 for place, k in enumerate(used)}
    for row, label in zip(found.confusion, found.rows, strict=True):
        cells = [_cell(int(row[k]), label, found.columns[k], found.species) for k in used]
        table.add_row(_plain(f"{names.get(label, ''):>2} {label}"), *cells)
    for label, number in names.items():
        if label not in found.rows:
            table.add_row(_plain(f"{number:>2} {label}"), style="dim")
    return table


def _cell(count: int, label: str, best: str, species: Sequence[str]) -> str:
    """Return a count: green where right, red where a species was missed or wrongly said."""
    if not count:
        return "[dim].[/]"
    if label == best:
        return f"[green]{count}[/]"
    return f"[bold red]{count}[/]" if label in species or best in species else str(count)


def _mistakes(found: Evaluation) -> Table | None:
    wrong = sorted(
        (
            (-int(count), label, found.columns[k])
            for row, label in zip(found.confusion, found.rows, strict=True)
            for k, count in enumerate(row)
            if count and found.columns[k] != label
        ),
    )
    if not wrong:
        return None
    table = _table("true label", "most probable", "photos", numbers=1)
    for count, label, best in wrong[:LARGEST_MATRIX]:
        table.add_row(_plain(label), _plain(best), f"{-count:,}")
    return table
