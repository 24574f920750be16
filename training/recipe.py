"""A recipe: everything that decides what a training run does, read from one TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trapsort.errors import SettingsError


@dataclass(frozen=True, slots=True)
class SplitRecipe:
    """How photos are divided; groups of near-duplicates are never torn apart."""

    test_fraction: float
    folds: int
    held_out_negatives: tuple[str, ...]
    """Names of negative folders of which no photo is used before the model card is written."""


@dataclass(frozen=True, slots=True)
class TeacherRecipe:
    """A network with published weights whose feature maps an untrained part learns first."""

    backbone: str
    weights: str


@dataclass(frozen=True, slots=True)
class MemberRecipe:
    """One member of the ensemble and how it is fitted.

    distil: share, 0 to 1, of the targets that the members before it say, not the labels.
    """

    name: str
    backbone: str
    weights: str
    epochs: int
    learning_rate: float
    distil: float = 0.0
    pretrain_epochs: int = 0
    teachers: tuple[TeacherRecipe, ...] = ()


@dataclass(frozen=True, slots=True)
class FitRecipe:
    """What all members have in common while they are fitted."""

    batch: int
    views: int
    label_smoothing: float
    dropout: float
    class_weight_range: tuple[float, float]
    noise_below: float
    noise_above: float
    rotation_degrees: float
    shift: float
    zoom: float
    grey_probability: float
    strip_probability: float


@dataclass(frozen=True, slots=True)
class WitnessRecipe:
    """An ImageNet classifier that may speak against a species (see `training.witness`)."""

    weights: str
    quantile: float
    """Share of a species' own photos on which the witness says less than its limit."""
    own: dict[str, list[int]]
    """ImageNet classes that are the species itself, or cannot be told from it."""


@dataclass(frozen=True, slots=True)
class CascadeRecipe:
    """Which members answer first, and what asking the others less often may cost."""

    first: int
    """How many of the members, in their order, are asked of every photo."""
    brier_margin: float
    """Share by which the Brier score out of fold may be above that of asking all members."""


@dataclass(frozen=True, slots=True)
class DecisionRecipe:
    """What the shipped thresholds have to reach on out-of-fold photos."""

    target_accuracy: float
    target_coverage: float
    target_false_species: float
    novelty_dimensions: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """One published system, whole."""

    name: str
    version: str
    title: str
    seed: int
    data: str
    negatives: str
    split: SplitRecipe
    fit: FitRecipe
    members: tuple[MemberRecipe, ...]
    decision: DecisionRecipe
    witness: WitnessRecipe | None = None
    cascade: CascadeRecipe | None = None
    left_out: str = ""
    """Backbone of a published member that the bundle does without: the card says what it costs."""

    @property
    def left_out_cost(self) -> str:
        """Where the metrics keep the CPU milliseconds a photo of `left_out`."""
        return f"{self.left_out.lower()}_cpu_ms"

    @property
    def always_asked(self) -> tuple[MemberRecipe, ...]:
        """The members that are asked of every photo; novelty is measured in their features."""
        return self.members[: self.cascade.first] if self.cascade else self.members


def _typed(kind: type[Any], table: dict[str, Any], where: str) -> Any:
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(table) - known)
    if unknown:
        raise SettingsError(
            f"{where}: unknown key {unknown[0]!r}", f"Known keys: {', '.join(sorted(known))}."
        )
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})
    except TypeError as error:
        raise SettingsError(f"{where}: {error}", "Compare with training/recipes.") from error


def _shrink(table: dict[str, Any], smaller: dict[str, Any]) -> None:
    """Change a recipe to its quick demonstration: `epochs` are each member's, the rest as named."""
    epochs = smaller.pop("epochs", None)
    for member in table.get("members", []):
        for key in ("epochs", "pretrain_epochs"):
            if epochs is not None and member.get(key):
                member[key] = min(member[key], epochs)
    for key, value in smaller.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value


def load_recipe(path: Path, *, small: bool = False) -> Recipe:
    """Read a recipe, or its quick demonstration; raises `SettingsError` naming the wrong key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}", "Give the path of a recipe file.") from error
    smaller = table.pop("small", None)
    if small:
        if smaller is None:
            raise SettingsError(f"{path} has no [small] part.", "Run it without --small.")
        _shrink(table, smaller)
    where = f"{path} [[members]]"
    for member in table.get("members", []):
        member["teachers"] = [
            _typed(TeacherRecipe, teacher, f"{where} teachers")
            for teacher in member.get("teachers", [])
        ]
    table["members"] = [_typed(MemberRecipe, member, where) for member in table.get("members", [])]
    for member in table["members"]:
        if member.pretrain_epochs and not member.teachers:
            raise SettingsError(
                f"{where}: {member.name} has pretrain_epochs and no teachers",
                "Name a backbone and its weights in [[members.teachers]].",
            )
    for key, kind in (("split", SplitRecipe), ("fit", FitRecipe), ("decision", DecisionRecipe)):
        table[key] = _typed(kind, table.get(key, {}), f"{path} [{key}]")
    if "witness" in table:
        table["witness"] = _typed(WitnessRecipe, table["witness"], f"{path} [witness]")
    if "cascade" in table:
        table["cascade"] = _typed(CascadeRecipe, table["cascade"], f"{path} [cascade]")
        if not 0 < table["cascade"].first < len(table["members"]):
            raise SettingsError(
                f"{path} [cascade]: first = {table['cascade'].first} of {len(table['members'])}"
                " members",
                "Ask at least one member first, and leave at least one for later.",
            )
    recipe: Recipe = _typed(Recipe, table, str(path))
    return recipe
