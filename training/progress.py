"""How far a run is and how long it still takes: bars on a terminal, a line an epoch in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import keras

FEW = 8
"""Batches that are over before anyone would read a bar, or Keras has traced a graph for them."""


def verbosity() -> int:
    """What Keras shows: 1, a bar with the time left in each epoch, or 2, a line an epoch."""
    return 1 if sys.stdout.isatty() else 2


def starts(total: int, batch: int, label: str) -> Iterator[int]:
    """0, `batch`, 2 `batch`, ... below `total`, behind a bar with the time left."""
    places = range(0, total, batch)
    if len(places) <= FEW:
        yield from places
        return
    with click.progressbar(places, label=label, file=sys.stderr) as bar:
        yield from bar


def duration(seconds: float) -> str:
    """'45 s', '12 min' or '3 h 20 min'."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class TimeLeft(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Says after each epoch how much longer the fit takes, if nothing stops it before."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock; a resumed fit has fewer epochs before it."""
        self._begun, self._done = time.monotonic(), 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print what is left by the mean time of the epochs so far."""
        self._done += 1
        left = self.params["epochs"] - epoch - 1
        if left:
            seconds = (time.monotonic() - self._begun) / self._done * left
            place = f"epoch {epoch + 1} of {self.params['epochs']}"
            click.echo(f"{place}: at most {duration(seconds)} left", err=True)
