"""Heads that hear 8-bit networks as they heard those in single precision.

Rounding moves a network's features a little, and all photos' in a similar way. What is linear in
that is taken back where the features are read, which costs nothing: in each member's last dense
layer and in the whitening, by ridge regressions on training photos towards the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from training.fit import Floats
from training.graph import initializers, replace_constants
from trapsort.scores import Scores

STRENGTH = 10.0
"""Of the ridge; features have a variance near 1, and hundreds of photos stand against it."""

LEAST = 1e-37
"""Probabilities below are taken for it: about the least that single precision holds in full."""


def towards(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """The matrix and offset that bring `after` (n, d) nearest to `before` (n, d) by least squares.

    The penalty is on the matrix's distance from the identity.
    """
    wide = np.hstack([after, np.ones((len(after), 1))]).astype(np.float64)
    ridge = np.eye(wide.shape[1]) * STRENGTH
    ridge[-1, -1] = 0
    change = np.linalg.solve(wide.T @ wide + ridge, wide.T @ (before - after))
    matrix = np.eye(after.shape[1]) + change[:-1]
    return matrix.astype(np.float32), change[-1].astype(np.float32)


def _logits(probabilities: Floats) -> Floats:
    """The logits (n, labels) behind softmax probabilities, each photo's moved to the mean 0."""
    logs = np.log(np.maximum(probabilities, LEAST))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


def restore_heads(
    model: onnx.ModelProto, members: Sequence[str], before: Scores, after: Scores
) -> None:
    """Correct the dense layers and the whitening of a graph in 8 bits, in place.

    before, after: what the graph in single precision and `model` say of the same training photos
    where every member is asked of each.
    """
    constants: dict[str, NDArray[Any]] = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in initializers(model.graph)
    }
    found: dict[str, NDArray[Any]] = {}
    for place, name in enumerate(members):
        last = max(key for key in constants if key.startswith(f"{name}/dense") and key[-2:] == "/W")
        said, now = (_logits(scores.members[:, place]) for scores in (before, after))
        matrix, offset = towards(said, now)
        labels = len(offset)
        centred = (np.eye(labels) - 1 / labels) @ matrix
        found[last] = constants[last] @ centred
        bias = f"{last[:-2]}/b"
        found[bias] = constants[bias] @ centred + offset
    if "white/W" in constants:
        matrix, offset = towards(before.features, after.features)
        found["white/W"] = constants["white/W"] @ matrix
        found["white/b"] = constants["white/b"] @ matrix + offset
    replace_constants(model, found)
