"""A run of a published system: where it reads and writes, and what its steps have left there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.config import PublishedRecipe
from trapsort.errors import InputError

if TYPE_CHECKING:
    from training.prepared import PhotoSet
    from training.tune import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRun:
    """Where a run reads and writes; see `python -m training --help`."""

    recipe: Path
    data: Path
    weights: str
    out: Path
    resume: bool = False
    small: bool = False
    clip: Path | None = None
    persons: Path | None = None
    exports: Path | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A run with its recipe read, and where each network's weights come from."""

    run: PublishedRun
    recipe: PublishedRecipe
    starts: dict[str, str]

    def folder(self, step: str) -> Path:
        """Where a step's outputs are."""
        return self.run.out / step

    def photos(self) -> PhotoSet:
        """The prepared photos."""
        from training.prepared import load_photos

        return load_photos(self.folder("prepare"))

    def settings(self) -> dict[str, Settings]:
        """What the search found, by network; nothing without one."""
        if self.recipe.tune is None:
            return {}
        text = (self.folder("tune") / "settings.json").read_text(encoding="utf-8")
        found: dict[str, Settings] = json.loads(text)
        return found

    def stack(self) -> dict[str, Any] | None:
        """The fitted meta-learner, or None for a recipe without one."""
        from training.fit import load_arrays

        return load_arrays(self.folder("stack") / "stack.npz") if self.recipe.stack else None


def starting_weights(recipe: PublishedRecipe, weights: str) -> dict[str, str]:
    """`imagenet`, `none` or a file for each network, from what `--weights` says.

    A folder gives each network the file that the recipe names, where it is there. Raises
    `InputError`.
    """
    if weights in ("imagenet", "none"):
        return {network.name: weights for network in recipe.networks}
    path = Path(weights)
    if path.is_file():
        return {network.name: weights for network in recipe.networks}
    if not path.is_dir():
        raise InputError(f"{weights} does not exist.", "Give --weights imagenet, none or FILE.")
    starts = {}
    for network in recipe.networks:
        file = path / network.weights_file
        starts[network.name] = str(file) if network.weights_file and file.is_file() else "none"
    return starts


def write_table(path: Path, table: dict[str, Any]) -> None:
    """Keep figures as JSON."""
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
