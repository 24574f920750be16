"""A model bundle: a folder that says what its graph answers, and proves that it is whole.

Only the folder passes between training and the field. Everything in `bundle.json` is checked
before the first photo; a bundle that does not add up is refused with its file named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trapsort.decode import SIDE
from trapsort.errors import BundleError

SCHEMA = 1
DEFAULT = "iucn11"
SIDES = range(32, 2049)
"""Pixels that a graph's input may be wide or high."""

SINGLE, INT8 = "single", "int8"
PRECISIONS = (SINGLE, INT8)
"""What a bundle's graphs compute in: single precision, which each has, and 8 bits."""

AUTO = "auto"
"""The precision that is fastest where the photos are classified."""

REASON_OF_REJECTION = ("blank", "vehicle", "other_animal")
"""Labels that are no species: a photo that gets one is reported as unknown with it as reason."""


@dataclass(frozen=True, slots=True)
class Decision:
    """When a species may be named.

    min_probability: smallest calibrated probability, 0..1; min_agreement: how many members must
    put the species first; max_distance: largest distance to the nearest centroid, in units of the
    bundle's whitened features, and centroids: float32 (species, dimensions), both None where the
    bundle has no test of novelty; max_other: float32 (species,), largest share of other animals
    that the bundle's witness may see, 0..1, or None where the bundle has no witness.
    """

    min_probability: float
    min_agreement: int
    max_distance: float | None
    centroids: NDArray[np.float32] | None
    max_other: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle, as it is or as a site profile and a taxon change it.

    digest: sha256 of `bundle.json` in hex, which holds the digests of all other files; labels: in
    the order of the graph's outputs; species: those of them that may be reported; taxa: the
    scientific names behind each species; members: names in the order of the graph's outputs; size:
    width and height of the graph's input, pixels; taxonomy: label -> rank -> name; graphs: file
    name of the graph of each precision, `graph` being that of single precision; margins: of a
    precision, how near the two most probable labels of a photo may be, 0..1, before single
    precision is asked instead (`trapsort.scores.is_close`).

    Room `profile` sets the rest. profile: what changes the bundle, '' for nothing (with it, digest
    is that of both together); temperature: what the logits are divided by; masked: labels that are
    taken for impossible.
    """

    path: Path
    name: str
    version: str
    digest: str
    title: str
    labels: tuple[str, ...]
    species: tuple[str, ...]
    taxa: dict[str, tuple[str, ...]]
    members: tuple[str, ...]
    decision: Decision
    graph: str
    files: dict[str, str]
    size: tuple[int, int]
    taxonomy: dict[str, dict[str, str]]
    graphs: dict[str, str]
    margins: dict[str, float]
    profile: str = ""
    temperature: float = 1.0
    masked: frozenset[str] = frozenset()
    precision: str = AUTO

    @property
    def model_name(self) -> str:
        """Name and version, as predictions carry it."""
        return f"{self.name}-{self.version}"

    def graph_file(self, precision: str = SINGLE) -> Path:
        """The ONNX file of a precision, verified.

        Raises `BundleError` where it is not as recorded, or where there is no such graph.
        """
        if precision not in self.graphs:
            raise BundleError(
                f"{self.model_name} has no graph in {precision} precision.",
                f"It has: {', '.join(self.graphs)}. Set graph_precision to auto.",
            )
        name = self.graphs[precision]
        return _verified(self.path / name, self.files[name])


def homes() -> tuple[Path, ...]:
    """Folders that hold bundles, in the order of their precedence.

    The checkout's `exports`, if this is one, then what the wheel brought.
    """
    package = Path(__file__).resolve().parent
    checkout = [package.parent / "exports"] if (package.parent / "setup.cfg").is_file() else []
    return (*checkout, package / "exports")


def _candidates() -> Iterator[Path]:
    for home in homes():
        if home.is_dir():
            yield from sorted(path.parent for path in home.glob("*/bundle.json"))


def available() -> tuple[Bundle, ...]:
    """All bundles that can be named, the damaged ones left out."""
    found: dict[str, Bundle] = {}
    for folder in _candidates():
        try:
            bundle = read_bundle(folder)
        except BundleError:
            continue
        found.setdefault(bundle.model_name, bundle)
    return tuple(found.values())


def load_bundle(wanted: str | Path | None = None) -> Bundle:
    """The bundle in a folder, or of a name (`iucn11`, newest version) or name and version.

    Every file is verified against its recorded digest. Raises `BundleError`.
    """
    text = str(wanted or DEFAULT)
    folder = Path(text)
    if not (folder / "bundle.json").is_file():
        named = [
            path
            for path in _candidates()
            if path.name == text or path.name.rpartition("-")[0] == text
        ]
        if not named:
            have = ", ".join(sorted({path.name for path in _candidates()})) or "none"
            raise BundleError(
                f"There is no bundle {text!r}.",
                f"Give --bundle the folder that holds bundle.json, or a name. Found: {have}.",
            )
        folder = max(named, key=lambda path: _version_key(path.name.rpartition("-")[2]))
    bundle = read_bundle(folder)
    for name, digest in bundle.files.items():
        _verified(bundle.path / name, digest)
    return bundle


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))


def _verified(path: Path, digest: str) -> Path:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read: {error.strerror}.", "Copy the bundle's folder anew."
        ) from error
    if found != digest:
        raise BundleError(
            f"{path} is not the file that the bundle was made with (its sha256 differs).",
            "It is damaged or was changed: copy the bundle's folder anew.",
        )
    return path


def read_bundle(folder: Path) -> Bundle:
    """What `bundle.json` says, checked for consistency; the other files are not read.

    Raises `BundleError` naming what is wrong.
    """
    path = folder / "bundle.json"
    try:
        data = path.read_bytes()
        table = json.loads(data)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}.", "Copy the bundle anew.") from error
    try:
        if table["schema"] != SCHEMA:
            raise BundleError(
                f"{path} has schema {table['schema']}, this trapsort reads {SCHEMA}.",
                "Install the trapsort that the bundle was made for.",
            )
        bundle = _build(folder, hashlib.sha256(data).hexdigest(), table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} is not complete: {error!r}.", "Copy the bundle anew.") from error
    _check(bundle, path)
    return bundle


def _build(folder: Path, digest: str, table: dict[str, Any]) -> Bundle:
    decision = table["decision"]
    distance = decision["max_distance"]
    size = table.get("input", {"width": SIDE, "height": SIDE})
    return Bundle(
        path=folder,
        name=str(table["name"]),
        version=str(table["version"]),
        digest=digest,
        title=str(table["title"]),
        labels=tuple(table["labels"]),
        species=tuple(table["species"]),
        taxa={label: tuple(names) for label, names in table["taxa"].items()},
        members=tuple(member["name"] for member in table["members"]),
        decision=Decision(
            min_probability=float(decision["min_probability"]),
            min_agreement=int(decision["min_agreement"]),
            max_distance=None if distance is None else float(distance),
            centroids=_floats(decision["centroids"]),
            max_other=_floats(decision.get("max_other")),
        ),
        graph=str(table["graph"]),
        files={name: str(entry["sha256"]) for name, entry in table["files"].items()},
        size=(size["width"], size["height"]),
        taxonomy={
            label: {str(rank): str(name) for rank, name in ranks.items()}
            for label, ranks in table.get("taxonomy", {}).items()
        },
        graphs=_graphs(table),
        margins={str(key): float(value) for key, value in table.get("margins", {}).items()},
    )


def _graphs(table: dict[str, Any]) -> dict[str, str]:
    """File name of each precision's graph; what 8 bits change must have been measured."""
    graphs = {str(key): str(name) for key, name in table.get("graphs", {}).items()}
    for precision in graphs:
        if precision != SINGLE:
            float(table["parity"][precision]["development"]["agreement"])
    return {SINGLE: str(table["graph"]), **graphs}


def _floats(values: list[Any] | None) -> NDArray[np.float32] | None:
    return None if values is None else np.array(values, np.float32)


def _check(bundle: Bundle, path: Path) -> None:
    decision, centroids = bundle.decision, bundle.decision.centroids
    faults = {
        "labels are not unique": len(set(bundle.labels)) != len(bundle.labels),
        "species are not all labels": not set(bundle.species) <= set(bundle.labels),
        "a label is neither a species nor a known rejection": not (
            set(bundle.labels) - set(bundle.species) <= set(REASON_OF_REJECTION)
        ),
        "there is no species": not bundle.species,
        "there is no member": not bundle.members,
        "its graph is not among its files": bundle.graph not in bundle.files,
        "a graph of another precision is not among its files": not (
            set(bundle.graphs.values()) <= set(bundle.files)
        ),
        f"graphs names a precision that is none of {', '.join(PRECISIONS)}": not (
            set(bundle.graphs) <= set(PRECISIONS)
        ),
        "graph is not the graph in single precision": bundle.graphs[SINGLE] != bundle.graph,
        "two precisions have the same graph": len(set(bundle.graphs.values()))
        != len(bundle.graphs),
        "margins names a precision that has no graph of its own": not (
            set(bundle.margins) <= set(bundle.graphs) - {SINGLE}
        ),
        "a margin is not in 0..1": not all(0 <= each <= 1 for each in bundle.margins.values()),
        "a file name leads out of the folder": any(Path(f).name != f for f in bundle.files),
        "min_probability is not in 0..1": not 0 <= decision.min_probability <= 1,
        "min_agreement is more than there are members": not (
            0 <= decision.min_agreement <= len(bundle.members)
        ),
        "max_distance and centroids are not both there or both null": (
            (decision.max_distance is None) != (centroids is None)
        ),
        "max_distance is not a positive number": decision.max_distance is not None
        and not 0 < decision.max_distance < np.inf,
        "centroids are not one row a species": centroids is not None
        and (centroids.ndim != 2 or len(centroids) != len(bundle.species)),
        "max_other is not one limit a species": decision.max_other is not None
        and decision.max_other.shape != (len(bundle.species),),
        "max_other is not in 0..1": decision.max_other is not None
        and not ((decision.max_other >= 0) & (decision.max_other <= 1)).all(),
        f"input is not {SIDES.start} to {SIDES.stop - 1} pixels wide and high": not all(
            isinstance(side, int) and side in SIDES for side in bundle.size
        ),
        "taxonomy names what is no label": not set(bundle.taxonomy) <= set(bundle.labels),
    }
    for fault, found in faults.items():
        if found:
            raise BundleError(f"{path}: {fault}.", "Export the bundle anew.")
