"""What a Keras network says of many photos, batch after batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.progress import FEW, starts
from trapsort.decode import SIDE

Floats = NDArray[np.float32]

_AT_ONCE = 8 * SIDE * SIDE
"""Pixels that a network is run on layer by layer: what all layers say stays in memory till then."""


def answers(
    network: keras.Model,
    inputs: NDArray[Any],
    label: str,
    *,
    batch: int,
    index: NDArray[np.int64] | None = None,
    graph: bool = False,
) -> Iterator[Floats]:
    """Outputs of `network` for `inputs` (n, height, width, channels), behind a bar named `label`.

    index: which of the inputs, all without it; batch: how many at once, at most. For every shape of
    a batch Keras traces a graph of the network, which takes as long as several batches: so the last
    one is filled up, and where there are few the network is run layer by layer. That rounds another
    way, by up to 1e-4: graph asks for the traced graph however few, as comparisons want it.
    """
    count = len(inputs) if index is None else len(index)
    few = min(batch, max(1, _AT_ONCE // math.prod(inputs.shape[1:3])))
    traced = graph or count > FEW * few
    size = min(batch, count) if traced else few
    for start in starts(count, size, label):
        chosen = slice(start, start + size) if index is None else index[start : start + size]
        x = np.asarray(inputs[chosen])
        x = x.astype(np.float32) if x.dtype == np.float16 else x
        if traced:
            filled = np.concatenate([x, np.repeat(x[-1:], size - len(x), axis=0)])
            yield np.asarray(network.predict_on_batch(filled))[: len(x)]
        else:
            yield np.asarray(network(x, training=False))


def both_labels(probabilities: Floats) -> Floats:
    """Probabilities (n, labels) as they are; of a sigmoid's (n, 1) p becomes [1 - p, p]."""
    said = probabilities.astype(np.float32)
    return np.concatenate([1 - said, said], axis=1) if said.shape[1] == 1 else said
