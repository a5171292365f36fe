"""Models small enough to be built and started in a moment."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
_OPSET = 17
_IR_VERSION = 8  # both are known to every onnxruntime of the last years


def write_model(path: Path, number: int) -> Path:
    """A linear model of whole numbers, which float32 holds exactly; each number makes another one."""
    weights = numpy_helper.from_array(np.array([[number], [2], [3]], dtype=np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def predicted(path: Path, rows: np.ndarray = ROWS) -> list[list[float]]:
    """What ONNX's own evaluator says of rows."""
    (answer,) = ReferenceEvaluator(str(path)).run(None, {"x": rows})
    return answer.tolist()
