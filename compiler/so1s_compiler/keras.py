"""Keras' models to ONNX, by way of TensorFlow's graph: https://github.com/onnx/tensorflow-onnx.

Keras' own `model.export(format="onnx")` calls the same converter. It leaves the constants that a layer
brought along, such as the mean of a Normalization, as inputs, and names what comes out itself.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf2onnx
from onnx import ModelProto, helper
from tf2onnx.graph import Graph, Node
from tf2onnx.handler import tf_op

from so1s_compiler.agreement import NETWORKS
from so1s_compiler.errors import CannotCompile, first_line
from so1s_compiler.graph import OPSETS, Way
from so1s_compiler.network import served
from so1s_runtime.loaders.keras import input_names, output_names, packed, read_model
from so1s_runtime.manifest import Signature

ALLOWANCE = NETWORKS
LIBRARY, COMPILER = "keras", "tf2onnx"


def ways(path: Path, signature: Signature) -> Iterator[Way]:
    """The one there is. Raises CannotCompile, which names the operation that has none."""
    yield partial(_translated, path, signature)


@tf_op("Erfc")
class _Complement:
    """`1 - erf(x)`: ONNX has the error function alone, and Keras' exact GELU takes its complement."""

    @classmethod
    def version_9(cls, graph: Graph, node: Node, **_: Any) -> None:
        kind, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
        one = graph.make_const(f"{node.name}/one", np.ones((), helper.tensor_dtype_to_np_dtype(kind)))
        erf = graph.make_node("Erf", node.input[:], dtypes=[kind], shapes=[shape])
        graph.remove_node(node.name)
        graph.make_node(
            "Sub",
            [one.output[0], erf.output[0]],
            name=node.name,
            outputs=node.output,
            dtypes=[kind],
            shapes=[shape],
        )


def _translated(path: Path, signature: Signature) -> ModelProto:
    model = read_model(path)
    function, specs = _function(model)
    try:
        written, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSETS[""])
        # The values that a graph closes over are inputs to the converter.
        captured = function.get_concrete_function().graph.captures
        constants = {
            inside.name: outside.numpy() for outside, inside in captured if outside.dtype != tf.resource
        }
        return served(
            written,
            signature,
            inputs=input_names(model),
            outputs=output_names(model),
            constants=constants,
        )
    except CannotCompile:
        raise
    except Exception as error:  # a dozen types without a common parent
        raise CannotCompile(f"Keras' model cannot be compiled to ONNX: {first_line(error)}") from error


def _function(model: Any) -> tuple[Any, list[Any]]:
    """A model as a function of tensors in the order of its inputs."""
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=f"input_{index}")
        for index, tensor in enumerate(model.inputs)
    ]

    @tf.function(input_signature=specs)
    def call(*tensors: Any) -> dict[str, Any]:
        answer = model(packed(model, list(tensors)), training=False)
        # TensorFlow sorts keys.
        return {f"output_{index:04}": value for index, value in enumerate(tf.nest.flatten(answer))}

    return call, specs
