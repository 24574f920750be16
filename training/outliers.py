"""Which photos are no use for learning: filters one after another, each with a reason.

Only training photos are ever left out; test photos stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.config import OutlierRecipe, PublishedRecipe
from training.fit import Floats, load_arrays
from training.prepared import Filter, PhotoSet
from trapsort.errors import InputError

BATCH = 16


class ImageTextScorer(Protocol):
    """Something that says how well texts fit photos."""

    def shares(self, photos: NDArray[np.uint8], texts: Sequence[str]) -> Floats:
        """Share of each text (n, texts) for photos (n, height, width, 3); rows sum to 1."""


class PersonDetector(Protocol):
    """Something that says how sure it is of a person in a photo."""

    def scores(self, photos: NDArray[np.uint8]) -> Floats:
        """Score (n,), 0 to 1, of photos (n, height, width, 3)."""


def _session(path: Path) -> Any:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common public base
        raise InputError(f"{path} cannot be run: {error}", "Give an ONNX graph.") from error


def _resized(photos: NDArray[np.uint8], shape: Sequence[Any]) -> NDArray[np.uint8]:
    """Photos at the size (height, width) of a graph's input."""
    from PIL import Image

    from trapsort.decode import resize

    height, width = (int(side) if isinstance(side, int) else 224 for side in shape)
    return np.stack([resize(Image.fromarray(photo), (width, height)) for photo in photos])


class OnnxClip:
    """CLIP's image encoder as ONNX, and its text vectors, in a folder that the user supplies.

    `image.onnx`: float32 (N, 3, height, width), normalised as CLIP's are, to vectors (N, d);
    `texts.npz`: a vector (d,) for each text, made once with CLIP's text encoder.
    """

    MEAN = (0.48145466, 0.4578275, 0.40821073)
    DEVIATION = (0.26862954, 0.26130258, 0.27577711)
    SCALE = 100.0  # what CLIP's logit scale ends at

    def __init__(self, folder: Path) -> None:
        self._session = _session(folder / "image.onnx")
        try:
            self._texts = load_arrays(folder / "texts.npz")
        except OSError as error:
            raise InputError(f"{folder}: {error}", "It needs image.onnx and texts.npz.") from error
        self._folder = folder

    def shares(self, photos: NDArray[np.uint8], texts: Sequence[str]) -> Floats:
        """Softmax over the texts of CLIP's scaled cosine similarity."""
        missing = [text for text in texts if text not in self._texts]
        if missing:
            raise InputError(
                f"{self._folder / 'texts.npz'} has no vector for {missing[0]!r}.",
                "Add it, or take the text out of [outliers].",
            )
        vectors = np.stack([self._texts[text] for text in texts])
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        asked = self._session.get_inputs()[0]
        parts = []
        for start in range(0, len(photos), BATCH):
            shown = _resized(photos[start : start + BATCH], asked.shape[2:]) / 255.0
            x = ((shown - self.MEAN) / self.DEVIATION).transpose(0, 3, 1, 2).astype(np.float32)
            image = self._session.run(None, {asked.name: x})[0]
            image = image / np.linalg.norm(image, axis=1, keepdims=True)
            logits = self.SCALE * image @ vectors.T
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            parts.append(powers / powers.sum(axis=1, keepdims=True))
        shares: Floats = np.concatenate(parts).astype(np.float32)
        return shares


class OnnxPersons:
    """A person detector as ONNX that the user supplies.

    One input, uint8 (N, height, width, 3); its first output is the score of the surest person in
    each photo, (N,) or (N, 1), 0 to 1.
    """

    def __init__(self, path: Path) -> None:
        self._session = _session(path)

    def scores(self, photos: NDArray[np.uint8]) -> Floats:
        """Score (n,) of the surest person."""
        asked = self._session.get_inputs()[0]
        parts = [
            self._session.run(None, {asked.name: _resized(photos[i : i + BATCH], asked.shape[1:3])})
            for i in range(0, len(photos), BATCH)
        ]
        return np.concatenate([np.asarray(part[0], np.float32).reshape(-1) for part in parts])


@dataclass(frozen=True, slots=True)
class Modes:
    """Leaves out files of some modes: grey ones and those in print colours."""

    modes: tuple[str, ...]

    def __call__(self, photos: PhotoSet) -> dict[int, str]:
        """Training photos of these modes."""
        return {
            int(i): f"mode {photos.pictures[i].mode}"
            for i in photos.development
            if photos.pictures[i].mode in self.modes
        }


@dataclass(frozen=True, slots=True)
class Semantics:
    """Leaves out what a scorer takes for something else than an animal."""

    scorer: ImageTextScorer
    animal: tuple[str, ...]
    other: tuple[str, ...]
    least: float

    def __call__(self, photos: PhotoSet) -> dict[int, str]:
        """Training photos whose animal texts together have too small a share."""
        index = photos.development
        shares = self.scorer.shares(photos.pixels[index], (*self.animal, *self.other))
        animal = shares[:, : len(self.animal)].sum(axis=1)
        return {
            int(i): f"animal only {share:.2f}"
            for i, share in zip(index, animal, strict=True)
            if share < self.least
        }


@dataclass(frozen=True, slots=True)
class Persons:
    """Leaves out photos with a person in them."""

    detector: PersonDetector
    most: float

    def __call__(self, photos: PhotoSet) -> dict[int, str]:
        """Training photos with a person surer than `most`."""
        index = photos.development
        scores = self.detector.scores(photos.pixels[index])
        return {
            int(i): f"person {score:.2f}"
            for i, score in zip(index, scores, strict=True)
            if score > self.most
        }


class Centroids:
    """Leaves out photos far from the centroid of their class, in a backbone's pooled features.

    features: of all photos (n, channels), computed once by `compute`.
    """

    def __init__(self, compute: Any, percentile: float) -> None:
        self._compute, self._percentile = compute, percentile

    def __call__(self, photos: PhotoSet) -> dict[int, str]:
        """Training photos beyond the percentile of all distances to their own centroid."""
        index = photos.development
        features, label = self._compute(photos, index), photos.label[index]
        distance = centroid_distance(features, label)
        limit = float(np.percentile(distance, self._percentile))
        return {
            int(i): f"distance {d:.2f} above {limit:.2f}, the {self._percentile:g}th percentile"
            for i, d in zip(index, distance, strict=True)
            if d > limit
        }


def centroid_distance(features: Floats, label: NDArray[np.int64]) -> Floats:
    """Euclidean distance (n,) of features (n, channels) to the mean of their own class."""
    distance = np.zeros(len(label), np.float32)
    for k in np.unique(label):
        own = label == k
        distance[own] = np.linalg.norm(features[own] - features[own].mean(axis=0), axis=1)
    return distance


class PooledFeatures:
    """Pooled features of a backbone, each photo's computed once."""

    def __init__(self, recipe: PublishedRecipe, name: str, weights: str) -> None:
        self._recipe, self._name, self._weights = recipe, name, weights
        self._known: dict[int, Floats] = {}

    def __call__(self, photos: PhotoSet, index: NDArray[np.int64]) -> Floats:
        """Features (n, channels) of the photos `index`."""
        new = [int(i) for i in index if int(i) not in self._known]
        if new:
            from training.answers import answers
            from training.networks import build_network, feature_map

            network = feature_map(
                build_network(
                    self._recipe.network(self._name), self._recipe.input, 2, weights=self._weights
                )
            )
            found = answers(network, photos.pixels, "features", batch=BATCH, index=np.array(new))
            pooled = np.concatenate([maps.mean(axis=(1, 2)) for maps in found])
            self._known |= dict(zip(new, pooled, strict=True))
        return np.stack([self._known[int(i)] for i in index])


def chain(
    recipe: PublishedRecipe,
    starts: dict[str, str],
    scorer: ImageTextScorer | None,
    detector: PersonDetector | None,
) -> list[tuple[str, Filter]]:
    """The recipe's filters in order; those whose model nobody supplied are not among them."""
    wanted = recipe.outliers
    if wanted is None:
        return []
    filters: list[tuple[str, Filter]] = []
    if wanted.modes:
        filters.append(("modes", Modes(wanted.modes)))
    if scorer is not None and wanted.animal:
        filters.append(("semantics", _semantics(scorer, wanted)))
    if detector is not None:
        filters.append(("persons", Persons(detector, wanted.max_person)))
    if wanted.percentiles:
        compute = PooledFeatures(recipe, wanted.network, starts[wanted.network])
        filters += [(f"centroid {p:g}", Centroids(compute, p)) for p in wanted.percentiles]
    return filters


def _semantics(scorer: ImageTextScorer, wanted: OutlierRecipe) -> Semantics:
    return Semantics(scorer, wanted.animal, wanted.other, wanted.min_animal)
