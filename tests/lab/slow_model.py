"""A model that takes as long as its caller says."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 17
_IR_VERSION = 8
_SIZE = 256
"""A product of two such matrices takes a core about a millisecond."""


def write_slow_model(path: Path) -> Path:
    """The identity, after as many products of matrices as the largest number of `x`."""
    square = [_SIZE, _SIZE]
    identity = np.eye(_SIZE, dtype=np.float32)
    multiply = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("MatMul", ["before", "one"], ["after"]),
        ],
        "multiply",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, square),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["times"], keepdims=0),
            helper.make_node("Loop", ["times", "", "one"], ["product"], body=multiply),
            helper.make_node("ReduceMax", ["product"], ["factor"], keepdims=0),
            helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["real", "factor"], ["y"]),
        ],
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["rows"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(identity, "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
