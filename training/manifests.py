"""What each step wrote, and from what: so that a run can be resumed and told apart from another."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from training.config import PublishedRecipe
from training.recipe import Recipe
from trapsort import __version__
from trapsort.errors import InputError, SettingsError

MANIFEST = "manifest.json"
PACKAGES = (
    "keras", "keras-tuner", "matplotlib", "numpy", "onnx", "onnxruntime", "optuna", "pillow",
    "scikit-learn", "scipy", "seaborn", "tensorflow", "tensorflow-cpu", "tf2onnx",
)  # fmt: skip


def sha256_of(path: Path) -> str:
    """Digest of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of trapsort and of those packages that are installed and decide about figures."""
    found = {"trapsort": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a run: its folder, and what it was made from.

    needs: the steps whose outputs it reads.
    """

    name: str
    out: Path
    recipe: PublishedRecipe
    needs: tuple[str, ...]
    options: dict[str, str]

    @property
    def folder(self) -> Path:
        """Where the step writes everything."""
        return self.out / self.name

    def inputs(self) -> dict[str, str]:
        """Digests of the recipe, the options and the steps before; raises `InputError`."""
        recipe = json.dumps(asdict(self.recipe), sort_keys=True)
        digests = {"recipe": hashlib.sha256(recipe.encode()).hexdigest(), **self.options}
        for need in self.needs:
            manifest = self.out / need / MANIFEST
            if not manifest.is_file():
                raise not_there(self.name, need)
            digests[need] = sha256_of(manifest)
        return digests

    def whole(self) -> bool:
        """Whether the step has run on these very inputs, and every file is as it left it."""
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
            return bool(
                manifest["inputs"] == self.inputs()
                and all(
                    sha256_of(self.folder / name) == digest
                    for name, digest in manifest["outputs"].items()
                )
            )
        except (OSError, ValueError, KeyError):
            return False

    def begin(self, *, resume: bool) -> None:
        """Make the folder; what an interrupted run left stays only with `resume`.

        What was begun from other inputs never stays.
        """
        begun = self.folder / "begun.json"
        inputs = json.dumps(self.inputs(), indent=1)
        same = begun.is_file() and begun.read_text(encoding="utf-8") == inputs
        if not (resume and same):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        begun.write_text(inputs, encoding="utf-8")

    def finish(self) -> None:
        """Write the manifest over all that is in the folder."""
        files = [p for p in self.folder.rglob("*") if p.is_file() and p.name != "begun.json"]
        outputs = {str(p.relative_to(self.folder)): p for p in files}
        path = self.folder / MANIFEST
        write_manifest(path, self.name, self.recipe.seed, self.inputs(), outputs)
        (self.folder / "begun.json").unlink()


def absent_step(recipe: str, step: str, why: str, have: Iterable[str]) -> SettingsError:
    """That a recipe has no such step, and which it has."""
    return SettingsError(f"{recipe} has no step {step}: {why}.", f"It has: {', '.join(have)}.")


def not_there(step: str, need: str) -> InputError:
    """That a step cannot run before another has."""
    return InputError(
        f"The step {step} reads what {need} makes, which is not there.",
        f"Run the step {need} first, or the step all.",
    )


def write_manifest(
    path: Path, step: str, seed: int, inputs: Mapping[str, str], outputs: Mapping[str, Path]
) -> None:
    """Write what a step was made from, with what, and the digests of what it made, by name."""
    manifest: dict[str, Any] = {
        "step": step,
        "inputs": dict(inputs),
        "seed": seed,
        "versions": versions(),
        "outputs": {name: sha256_of(outputs[name]) for name in sorted(outputs)},
    }
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


FLAT_NEEDS = {
    "explore": ("prepare",),
    "fit": ("prepare",),
    "stack": ("fit",),
    "export": ("stack",),
    "explain": ("export",),
    "quantise": ("export",),
    "refit": ("stack",),
}
"""The steps whose outputs a step of a recipe without a kind reads; nearly all share one folder."""

FLAT_FOLDERS = ("explore", "explain")
"""Those that have a folder of their own."""


def record_flat(step: str, out: Path, recipe: Recipe, more: Mapping[str, str]) -> None:
    """Write `manifest-STEP.json` for a step whose files lie beside those of others, below `out`.

    Its outputs are the files of its own folder, or those that no other step's manifest names.
    Arrays (`.npy`) that only spare time are left out; what they come from is not. more: digests of
    other inputs.
    """
    path = out / f"manifest-{step}.json"
    outputs = _flat_outputs(step, out)
    write_manifest(path, step, recipe.seed, _flat_inputs(step, out, recipe, more), outputs)


def flat_is_whole(step: str, out: Path, recipe: Recipe, more: Mapping[str, str]) -> bool:
    """Whether such a step has run on these very inputs, and every file is as it left it."""
    try:
        manifest = json.loads((out / f"manifest-{step}.json").read_text(encoding="utf-8"))
        return bool(
            manifest["inputs"] == _flat_inputs(step, out, recipe, more)
            and all(sha256_of(out / name) == digest for name, digest in manifest["outputs"].items())
        )
    except (OSError, ValueError, KeyError):
        return False


def _flat_outputs(step: str, out: Path) -> dict[str, Path]:
    path = out / f"manifest-{step}.json"
    if step in FLAT_FOLDERS:
        return {str(p.relative_to(out)): p for p in (out / step).rglob("*") if p.is_file()}
    others: set[str] = set()
    for each in out.glob("manifest-*.json"):
        if each != path:
            others |= set(json.loads(each.read_text(encoding="utf-8"))["outputs"])
    files = {
        str(p.relative_to(out)): p
        for p in out.rglob("*")
        if p.is_file() and p.suffix != ".npy" and not p.name.startswith("manifest-")
    }
    return {
        name: file
        for name, file in files.items()
        if name not in others and Path(name).parts[0] not in FLAT_FOLDERS
    }


def _flat_inputs(step: str, out: Path, recipe: Recipe, more: Mapping[str, str]) -> dict[str, str]:
    text = json.dumps(asdict(recipe), sort_keys=True)
    inputs = {"recipe": hashlib.sha256(text.encode()).hexdigest(), **more}
    for need in FLAT_NEEDS.get(step, ()):
        manifest = out / f"manifest-{need}.json"
        inputs[need] = sha256_of(manifest) if manifest.is_file() else ""
    return inputs
