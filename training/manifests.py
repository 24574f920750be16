"""What each step wrote, and from what: so that a run can be resumed and told apart from another."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from training.config import PublishedRecipe
from trapsort.errors import InputError

MANIFEST = "manifest.json"
PACKAGES = (
    "keras", "keras-tuner", "numpy", "onnx", "onnxruntime", "optuna", "scikit-learn",
    "tensorflow", "tensorflow-cpu", "tf2onnx",
)  # fmt: skip


def sha256_of(path: Path) -> str:
    """Digest of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of those packages that are installed and decide about figures."""
    found = {}
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
                raise InputError(
                    f"The step {self.name} reads what {need} makes, which is not there.",
                    f"Run the step {need} first, or the step all.",
                )
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
        files = sorted(p for p in self.folder.rglob("*") if p.is_file() and p.name != "begun.json")
        manifest: dict[str, Any] = {
            "step": self.name,
            "inputs": self.inputs(),
            "seed": self.recipe.seed,
            "versions": versions(),
            "outputs": {str(p.relative_to(self.folder)): sha256_of(p) for p in files},
        }
        text = json.dumps(manifest, indent=1) + "\n"
        (self.folder / MANIFEST).write_text(text, encoding="utf-8")
        (self.folder / "begun.json").unlink()
