"""A recipe of kind `published`: one published system, whole, read from one TOML file.

`[small]` holds the same keys once more, for a quick demonstration; they apply with `--small`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trapsort.errors import SettingsError

KIND = "published"


@dataclass(frozen=True, slots=True)
class SourceRecipe:
    """Which photos, what is predicted of them, and how they are divided.

    folders: below `--data`, read together where they are there; else `--data` itself is read;
    target: `label`, `endangered`, or a column with taxa such as `family`; test, validation: shares
    of all groups, 0 to 1; folds: of the cross-validation, 0 for none; labels: those that are read,
    none for all; most_photos: of one label, 0 for all; category: label -> IUCN category where the
    Red List mapping has none; endangered: the categories that count as endangered.
    """

    test: float
    validation: float
    target: str = "label"
    folders: tuple[str, ...] = ()
    folds: int = 0
    labels: tuple[str, ...] = ()
    most_photos: int = 0
    red_list: str = "published"
    category: dict[str, str] | None = None
    endangered: tuple[str, ...] = ("EN", "CR", "EW")


@dataclass(frozen=True, slots=True)
class InputRecipe:
    """Pixels of the network's input."""

    width: int = 224
    height: int = 224


@dataclass(frozen=True, slots=True)
class AugmentRecipe:
    """How far photos are changed at random while a network learns; shares of the side, 0 to 1."""

    rotation_degrees: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    flip: bool = False


@dataclass(frozen=True, slots=True)
class FitRecipe:
    """How every network of the recipe is fitted.

    early_stop, reduce_after: epochs without a better validation loss; 0 for never.
    """

    epochs: int
    batch: int
    optimizer: Literal["adam", "adagrad", "sgd", "rmsprop"]
    learning_rate: float
    class_weights: bool = True
    schedule: Literal["constant", "cosine"] = "constant"
    early_stop: int = 0
    reduce_after: int = 0
    reduce_factor: float = 0.2
    least_rate: float = 1e-7


@dataclass(frozen=True, slots=True)
class FinetuneRecipe:
    """A second, slower fit with the backbone's last layers, batch norms left as they are."""

    last_layers: int
    epochs: int
    learning_rate: float


@dataclass(frozen=True, slots=True)
class NetworkRecipe:
    """A backbone of keras.applications and the head on it.

    frozen: `all`, `none`, `first N` or `all but N`, where the last N stay without batch norms;
    weights_file: file of a `--weights` folder.
    """

    name: str
    backbone: str
    frozen: str = "all"
    pooling: Literal["average", "flatten"] = "average"
    batch_norm: bool = False
    dense: tuple[int, ...] = ()
    dropout: float = 0.0
    weights_file: str = ""


@dataclass(frozen=True, slots=True)
class TuneRecipe:
    """What is searched over: ends of ranges, or choices; networks: their names."""

    engine: Literal["optuna", "hyperband"]
    networks: tuple[str, ...]
    epochs: int
    trials: int = 0
    learning_rate: tuple[float, ...] = ()
    dropout: tuple[float, ...] = ()
    units: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()
    optimizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StackRecipe:
    """A meta-learner on out-of-fold probabilities; strength: inverse regularisation.

    distil: share, 0 to 1, of what the networks of `fit` learn that the stack says out of fold of
    their photos, and not the labels.
    """

    strength: float = 1.0
    distil: float = 0.0


@dataclass(frozen=True, slots=True)
class OutlierRecipe:
    """Which training photos are left out, filter after filter.

    modes: of the file as Pillow names them; animal, other: prompts of the image-text scorer, and
    min_animal the least share of the animal ones, 0 to 1; max_person: largest score of the person
    detector; percentiles: of the distance to the class's centroid, one pass for each;
    network: whose pooled features the distance is measured in.
    """

    modes: tuple[str, ...] = ()
    animal: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    min_animal: float = 0.5
    max_person: float = 0.5
    percentiles: tuple[float, ...] = ()
    network: str = ""


@dataclass(frozen=True, slots=True)
class ExportRecipe:
    """The bundle: a network's name or `stack`, the decision, and the ranks that it masks by."""

    network: str
    min_probability: float = 0.0
    ranks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedRecipe:
    """One published system, whole."""

    kind: str
    name: str
    version: str
    title: str
    seed: int
    source: SourceRecipe
    fit: FitRecipe
    networks: tuple[NetworkRecipe, ...]
    export: ExportRecipe
    input: InputRecipe = InputRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    finetune: FinetuneRecipe | None = None
    tune: TuneRecipe | None = None
    stack: StackRecipe | None = None
    outliers: OutlierRecipe | None = None

    @property
    def binary(self) -> bool:
        """Whether one sigmoid answers: endangered or not."""
        return self.source.target == "endangered"

    def network(self, name: str) -> NetworkRecipe:
        """The network of that name; raises `SettingsError` where there is none."""
        for network in self.networks:
            if network.name == name:
                return network
        known = ", ".join(network.name for network in self.networks)
        raise SettingsError(f"The recipe has no network {name!r}.", f"It has: {known}.")


def recipe_kind(path: Path) -> str:
    """The `kind` that a recipe says it is, '' where it says none; raises `SettingsError`."""
    return str(_read(path).get("kind", ""))


def load_published(path: Path, *, small: bool = False) -> PublishedRecipe:
    """Read a recipe of this kind; raises `SettingsError` naming the key that is wrong."""
    table = _read(path)
    smaller = table.pop("small", {})
    if table.get("kind") != KIND:
        raise SettingsError(f"{path}: kind is not {KIND!r}", f'Write kind = "{KIND}".')
    recipe: PublishedRecipe = typed(
        PublishedRecipe, _merged(table, smaller) if small else table, str(path)
    )
    _check(recipe, path)
    return recipe


def frozen_layers(frozen: str) -> tuple[str, int]:
    """`all`, `none`, `first` or `all but`, with its number; raises `SettingsError`."""
    match = re.fullmatch(r"(all|none)|(first|all but) (\d+)", frozen)
    if match is None:
        raise SettingsError(
            f"frozen = {frozen!r} means nothing.", "Write all, none, first N or all but N."
        )
    return match[1] or match[2], int(match[3] or 0)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}", "Give the path of a recipe file.") from error


def _merged(table: dict[str, Any], smaller: dict[str, Any]) -> dict[str, Any]:
    """`table` with the values of `smaller`, tables within tables joined."""
    joined = dict(table)
    for key, value in smaller.items():
        both = isinstance(value, dict) and isinstance(table.get(key), dict)
        joined[key] = _merged(table[key], value) if both else value
    return joined


def typed(kind: type[Any], table: dict[str, Any], where: str) -> Any:
    """A dataclass from a TOML table, nested ones too; raises `SettingsError` naming the key."""
    hints = get_type_hints(kind)
    needed = {f.name for f in fields(kind) if f.default is MISSING}
    for key in sorted(set(table) - set(hints)):
        raise SettingsError(
            f"{where}: unknown key {key!r}", f"Known keys: {', '.join(sorted(hints))}."
        )
    for key in sorted(needed - set(table)):
        raise SettingsError(f"{where}: the key {key!r} is missing", "See training/recipes.")
    return kind(
        **{key: _value(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    )


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if type(None) in arguments:
        return _value(arguments[0], value, where)
    if origin is Literal:
        if value not in arguments:
            known = ", ".join(arguments)
            raise SettingsError(f"{where} is {value!r}", f"It may be: {known}.")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise SettingsError(f"{where} is {value!r}", "It must be a list.")
        return tuple(_value(arguments[0], each, where) for each in value)
    if is_dataclass(hint) and isinstance(value, dict):
        return typed(hint, value, where)  # type: ignore[arg-type]  # a class, not an instance
    wanted = origin or hint
    if wanted is float and type(value) is int:
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        name = "table" if is_dataclass(hint) or wanted is dict else wanted.__name__
        raise SettingsError(f"{where} is {value!r}", f"Its type must be {name}.")
    return value


def _check(recipe: PublishedRecipe, path: Path) -> None:
    """What single keys cannot say; raises `SettingsError`."""
    for network in recipe.networks:
        frozen_layers(network.frozen)
    wanted = [] if recipe.export.network == "stack" else [recipe.export.network]
    wanted += recipe.tune.networks if recipe.tune else []
    wanted += [recipe.outliers.network] if recipe.outliers and recipe.outliers.percentiles else []
    for name in wanted:
        recipe.network(name)
    faults = {
        "export.network is stack, but there is no [stack]": recipe.export.network == "stack"
        and recipe.stack is None,
        "[stack] needs source.folds of 2 or more": recipe.stack is not None
        and recipe.source.folds < 2,
        "source.test and source.validation leave nothing to learn from": recipe.source.test
        + recipe.source.validation
        >= 1,
        "[stack] has no place in a recipe with one sigmoid": recipe.stack is not None
        and recipe.binary,
        "stack.distil is a share from 0 to 1": recipe.stack is not None
        and not 0 <= recipe.stack.distil <= 1,
    }
    for fault, found in faults.items():
        if found:
            raise SettingsError(f"{path}: {fault}", "See docs/howto/recipes.md.")
