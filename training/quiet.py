"""Keras started without the lines that TensorFlow prints before anybody can ask it not to."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

STDERR = 2


@cache
def start_keras() -> None:
    """Import Keras and let its backend look for accelerators: nothing on the screen if all is well.

    Later it prints errors alone, unless TF_CPP_MIN_LOG_LEVEL says else.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with unless_it_fails():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_logical_devices()  # says at length where there is no GPU
            tf.get_logger().setLevel(logging.ERROR)  # it warns of each fold's own network


@contextmanager
def unless_it_fails() -> Iterator[None]:
    """Hold back what libraries write to the standard error, and show it only after an exception."""
    sys.stderr.flush()
    shown = os.dup(STDERR)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, STDERR)
            os.close(shown)
