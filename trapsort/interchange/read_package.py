"""A Camtrap DP package to be imported: a folder or a ZIP file, and the rows of its tables."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from trapsort.errors import InputError
from trapsort.scan import check_root

DESCRIPTION = "datapackage.json"
TABLES = ("deployments", "media", "observations")
_VERSION = re.compile(r"camtrap-dp/([0-9][^/]*)/")
_READ = ("1.0", "1.0.1", "1.0.2")
_LARGEST = 1 << 26  # characters of datapackage.json


@dataclass(frozen=True, slots=True)
class Package:
    """What datapackage.json says: the tables' files beside it, and when (UTC text) it was made."""

    path: Path
    folder: str
    files: dict[str, str]
    created: str

    def rows(self, table: str, needed: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
        """Line and cells of each row of a table, those of no row longer than its header.

        Raises `InputError` where a column is missing or the file is no CSV.
        """
        name = self.files[table]
        line = 1
        try:
            with _open(self.path, self.folder + name) as file:
                reader = csv.DictReader(file, restkey="", strict=True)
                if missing := set(needed) - set(reader.fieldnames or ()):
                    raise InputError(
                        f"{self.path}: {name} has no column {', '.join(sorted(missing))}.",
                        "Have the package written anew, or check it with frictionless.",
                    )
                for row in reader:
                    line = reader.line_num
                    if "" in row or None in row.values():
                        raise ValueError("it has more or fewer cells than the header")
                    if any("\0" in cell for cell in row.values()):
                        raise ValueError("it holds NUL characters")
                    yield line, row
        except (csv.Error, ValueError) as error:
            why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise InputError(
                f"{self.path}: {name}, line {line:,}: {why}.",
                "Have the package written anew; nothing was recorded.",
            ) from error


def read_package(path: Path) -> Package:
    """Read what describes a package: a folder, its datapackage.json, or a ZIP file of them.

    Raises `InputError` for what is none, another version, or tables that are not beside it.
    """
    check_root(path)
    top = path.parent if path.name == DESCRIPTION else path
    folder = _folder_in(top) if top.is_file() else ""
    try:
        with _open(top, folder + DESCRIPTION) as file:
            text = file.read(_LARGEST + 1)
        about = json.loads(text[:_LARGEST])
        return Package(top, folder, _files(about), _made(str(about.get("created"))))
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise InputError(
            f"{top}: {DESCRIPTION} cannot be used: {error}.",
            "Have the package written anew; nothing was recorded.",
        ) from error


def utc_text(time: datetime) -> str:
    """A time with a zone as the record writes it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _made(created: str) -> str:
    """When a package says that it was made; '' where it does not say."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return ""
    return utc_text(time) if time.tzinfo else ""


def _files(about: dict[str, Any]) -> dict[str, str]:
    found = _VERSION.search(str(about.get("profile")))
    version = found[1] if found else "none"
    if version not in _READ:
        raise ValueError(f"its version of Camtrap DP is {version}, trapsort reads {_READ[-1]}")
    paths = {each.get("name"): each.get("path") for each in about.get("resources", [])}
    files = {}
    for table in TABLES:
        name = paths.get(table)
        if not isinstance(name, str) or not name:
            raise ValueError(f"it names no file of {table}")
        if "://" in name or name.startswith("/") or ".." in name.split("/") or "\\" in name:
            raise ValueError(f"the file of {table}, {name!r}, is not beside it")
        files[table] = name
    return files


def _folder_in(path: Path) -> str:
    """The folder in a ZIP file that holds the description: '' or 'name/'."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.rpartition("/")[2] == DESCRIPTION]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is no package: {error}.",
            f"Give the folder, its {DESCRIPTION}, or a ZIP file of them.",
        ) from error
    shallowest = min(names, key=lambda name: name.count("/"), default=DESCRIPTION)
    return shallowest.removesuffix(DESCRIPTION)


@contextmanager
def _open(top: Path, name: str) -> Iterator[TextIO]:
    """A file of the package as text."""
    try:
        if top.is_dir():
            with (top / name).open(encoding="utf-8-sig", newline="") as file:
                yield file
        else:
            with zipfile.ZipFile(top) as archive, archive.open(name) as raw:
                yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except (KeyError, FileNotFoundError) as error:
        raise InputError(
            f"{top} holds no {name}.",
            f"Give a Camtrap DP package: a folder with {DESCRIPTION}, or a ZIP file of one.",
        ) from error
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{top}: {name} cannot be read: {error}.", "Copy it again.") from error
