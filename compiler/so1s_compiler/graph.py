"""ONNX graphs, written node by node."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, checker, compose, helper, numpy_helper

from so1s_compiler import COMPILER, __version__
from so1s_runtime.manifest import Signature, TensorSpec

ML = "ai.onnx.ml"
OPSETS: Mapping[str, int] = {"": 18, ML: 5}
_IR_VERSION = 10  # that of ONNX 1.16: no older one knows the newest operators of ML

Way = Callable[[], ModelProto]
"""One of the ways to write a model as ONNX."""


class Graph:
    """A graph under construction; a value is known by its name."""

    def __init__(self, signature: Signature, opsets: Mapping[str, int] = OPSETS) -> None:
        self._signature = signature
        self._opsets = opsets
        self._graph = GraphProto(name="so1s")
        self._graph.input.extend(map(_declared, signature.inputs))

    @property
    def input(self) -> str:
        """The value of the one input."""
        (spec,) = self._signature.inputs
        return spec.name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node; answers its one output."""
        name = f"so1s/{len(self._graph.node)}/{operator}"
        node = helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes)
        self._graph.node.append(node)
        return name

    def constant(self, array: np.ndarray) -> str:
        """Add a constant."""
        name = f"so1s/constant/{len(self._graph.initializer)}"
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def cast(self, value: str, dtype: str) -> str:
        """A value as another element type, by NumPy's name or `string`."""
        return self.add("Cast", value, to=element(dtype))

    def graft(self, model: ModelProto, *values: str) -> list[str]:
        """Add all of a model, whose inputs become `values`; answers its outputs."""
        prefix = f"so1s/{len(self._graph.node)}/"
        part = compose.add_prefix(model, prefix).graph
        for value, given in zip(values, part.input, strict=True):
            node = helper.make_node("Identity", [value], [given.name], name=f"{given.name}/given")
            self._graph.node.append(node)
        self._graph.node.extend(part.node)
        self._graph.initializer.extend(part.initializer)
        return [output.name for output in part.output]

    def finish(self, answer: Mapping[str, str]) -> ModelProto:
        """The model whose outputs are those of the signature, in its types and shapes.

        Args:
            answer: output name to value.

        Raises:
            KeyError: an output of the signature is none of the model.
        """
        for spec in self._signature.outputs:
            value = self.cast(answer[spec.name], spec.dtype.name)
            if len(spec.shape) == 1:  # where a library's column is a row here
                value = self.add("Reshape", value, self.constant(np.array([-1])))
            node = helper.make_node("Identity", [value], [spec.name], name=f"so1s/output/{spec.name}")
            self._graph.node.append(node)
            self._graph.output.append(_declared(spec))
        model = helper.make_model(
            self._graph,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in self._opsets.items()],
            ir_version=_IR_VERSION,
            producer_name=COMPILER,
            producer_version=__version__,
        )
        checker.check_model(model)
        return model


def element(dtype: str) -> int:
    """ONNX's number of an element type, which has NumPy's name or is `string`."""
    return TensorProto.STRING if dtype == "string" else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _declared(spec: TensorSpec) -> Any:
    lengths = [None if length == -1 else length for length in spec.shape]
    return helper.make_tensor_value_info(spec.name, element(spec.dtype.name), lengths)
