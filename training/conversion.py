"""Keras networks as ONNX graphs; the only home of tf2onnx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from training.graph import OPSET

if TYPE_CHECKING:
    import keras
    import onnx


def to_onnx(network: keras.Model) -> onnx.ModelProto:
    """The graph of a network, uint8 photos (N, height, width, 3) in under the name `image`.

    Raises what tf2onnx raises.
    """
    # Set, whatever to, it stops tf2onnx from copying the whole graph before each of its three dozen
    # passes, so as to go on where one fails: that is most of the time of a conversion, most of its
    # memory, and would hide a fault.
    os.environ["TF2ONNX_CATCH_ERRORS"] = "FALSE"
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name="image")]
    model: onnx.ModelProto = tf2onnx.convert.from_keras(network, signature, opset=OPSET)[0]
    return model
