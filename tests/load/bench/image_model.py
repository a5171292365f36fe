"""A model whose weights are as a training leaves them: new each time, and hard to compress."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

_ROWS, _COLUMNS = 1024, 16_384
MEGABYTES = _ROWS * _COLUMNS * 4 / 1e6


def trained() -> bytes:
    """A model of one dense layer, in ONNX."""
    weights = np.random.default_rng().normal(size=(_ROWS, _COLUMNS)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, _ROWS])
    answered = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, _COLUMNS])
    graph = helper.make_graph([node], "dense", [given], [answered], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph).SerializeToString()
