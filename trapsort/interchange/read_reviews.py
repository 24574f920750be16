"""What people said of photos, from a CSV file: path or sha256, label, count, reviewer, time, note.

All of the file is checked before a line of it is recorded.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from trapsort.errors import InputError
from trapsort.interchange.detected import LeftOut, label_of, name_in
from trapsort.interchange.matching import Matcher, NoMatch
from trapsort.interchange.read_package import utc_text
from trapsort.labelled import NEGATIVES
from trapsort.redlist import red_list
from trapsort.reports.csv_file import FORMULA_STARTS
from trapsort.scan import check_root
from trapsort.store import Store
from trapsort.store.imported import ReviewRow

BATCH = 500  # lines in one transaction
COLUMNS = ("path", "sha256", "label", "count", "reviewer", "time", "note")
UNDECIDED = ("unknown", "none")  # nobody can tell
PERSON = "person"
NEAREST = 3
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: the photo by `sha256` (b'' for none) or `path`, and what was said."""

    path: str
    sha256: bytes
    review: ReviewRow


@dataclass(slots=True)
class Account:
    """What became of the lines; `new` is what the record did not hold yet."""

    lines: int = 0
    photos: int = 0
    new: int = 0


class Labels:
    """The labels that a reviewer may give, in upper or lower case."""

    def __init__(self, known: Iterable[str], *, any_other: bool = False) -> None:
        named = (*NEGATIVES, PERSON, "human", *red_list().entries, *known)
        self._known = {_plain(label): label for label in named}
        self._any_other = any_other

    def label(self, text: str) -> str | None:
        """The label that is meant, None for `unknown`; raises ValueError naming the nearest."""
        meant = label_of(text)
        found = self._known.get(_plain(meant), meant if self._any_other else "")
        if not found:
            near = get_close_matches(_plain(text), self._known, n=NEAREST, cutoff=0.5)
            like = ", ".join(self._known[each] for each in near)
            raise ValueError(f"{text!r} is no label" + (f"; the nearest: {like}" if near else ""))
        if found in UNDECIDED:
            return None
        return PERSON if found == "human" else found


def import_reviews(
    store: Store,
    path: Path,
    matcher: Matcher,
    labels: Labels,
    *,
    reviewer: str = "",
    on_left_out: Callable[[LeftOut], None],
    on_progress: Callable[[int], None],
) -> Account:
    """Check a file, then append its reviews; those that are there already stay as they are.

    `reviewer` is who said what names nobody. Raises `InputError` with the line that is wrong,
    before anything is written.
    """
    account = Account(lines=sum(1 for _ in read_reviews(path, labels, reviewer)))
    lines, done = read_reviews(path, labels, reviewer), 0
    while batch := list(islice(lines, BATCH)):
        known = store.photo_ids(each.sha256 for each in batch if each.sha256)
        by_path = matcher.match(each.path for each in batch if not each.sha256)
        rows = []
        for each in batch:
            photo = known.get(each.sha256) if each.sha256 else by_path[each.path]
            if photo is None:
                name = each.path or each.sha256.hex()
                on_left_out(LeftOut(name, "unknown", "no photo has that sha256"))
            elif isinstance(photo, NoMatch):
                on_left_out(LeftOut(each.path, photo.reason, photo.detail))
            else:
                said = each.review
                told = (said.label, said.count, said.reviewer, said.time, said.note)
                rows.append(ReviewRow(photo, *told))
        account.photos += len({row.photo_id for row in rows})
        account.new += store.import_reviews(rows)
        done += len(batch)
        on_progress(done)
    return account


def read_reviews(path: Path, labels: Labels, reviewer: str = "") -> Iterator[Line]:
    """The lines of a file, each checked; a review has no photo id yet, but 0."""
    check_root(path)
    reader = csv.reader(())
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            delimiter = max(",;\t", key=head.count)
            columns = next(csv.reader(io.StringIO(head), delimiter=delimiter), [])
            columns = [name.strip().lower() for name in columns]
            _check_columns(path, columns)
            reader = csv.reader(file, delimiter=delimiter)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    texts = map(_unescaped, cells)
                    yield _line(dict(zip(columns, texts, strict=False)), labels, reviewer)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check it.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8.", "Save it as CSV UTF-8.") from error
    except (csv.Error, ValueError) as error:
        hint = "Correct the line; nothing was recorded."
        if "is no label" in str(error):
            hint += " For a species that the bundle does not know: --new-labels."
        line = reader.line_num + 1  # the reader does not see the header
        raise InputError(f"{path}, line {line:,}: {error}.", hint) from error


def _check_columns(path: Path, columns: Collection[str]) -> None:
    missing = "label" if "label" not in columns else ""
    missing = missing or ("" if {"path", "sha256"} & set(columns) else "path or sha256")
    if missing:
        raise InputError(
            f"{path} has no column {missing}.",
            f"Its first line names the columns: {', '.join(COLUMNS)}; path or sha256 and label"
            " are needed.",
        )


def _unescaped(cell: str) -> str:
    """A cell as it was before trapsort's own CSV made it harmless for spreadsheets."""
    cell = cell.strip()
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


def _line(cells: dict[str, str], labels: Labels, reviewer: str) -> Line:
    if any("\0" in cell for cell in cells.values()):
        raise ValueError("it holds NUL characters")
    path, sha256 = cells.get("path", ""), cells.get("sha256", "")
    if sha256 and not _DIGEST.fullmatch(sha256):
        raise ValueError(f"{sha256[:80]!r} is no sha256: 64 hexadecimal digits")
    if not path and not sha256:
        raise ValueError("it names no photo")
    if not cells.get("label"):
        raise ValueError("there is no label; write unknown where nobody can tell")
    count = cells.get("count") or "1"
    if not (count.isascii() and count.isdigit() and int(count) < 1 << 31):
        raise ValueError(f"count is {count[:40]!r}, not a whole number")
    who = cells.get("reviewer") or reviewer
    if not who:
        raise ValueError("it has no reviewer; name who said it with --reviewer NAME")
    label = labels.label(name_in(cells["label"], "label"))
    said = ReviewRow(0, label, int(count), who, _time(cells.get("time", "")), cells.get("note", ""))
    return Line(path, bytes.fromhex(sha256), said)


def _time(text: str) -> str:
    """UTC text; a time without a zone is taken for UTC, a date for its beginning."""
    if not text:
        return ""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time is {text[:40]!r}: write 2026-05-01T12:30:00+02:00") from None
    return utc_text(time if time.tzinfo else time.replace(tzinfo=UTC))


def _plain(label: str) -> str:
    return label.casefold().replace("_", " ")
