"""What converters of neural networks write, under the names, types and shapes of a signature."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, defs

from so1s_compiler.errors import CannotCompile
from so1s_compiler.graph import Graph, element
from so1s_runtime.manifest import Signature


def served(
    written: ModelProto,
    signature: Signature,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray],
) -> ModelProto:
    """A model as its callers know it.

    Args:
        written: what a converter wrote.
        signature: of the model, with some or all of its outputs.
        inputs: the names in the signature of those inputs of `written` that are no constants, in its order.
        outputs: likewise of its outputs.
        constants: the values of its other inputs, by their names in `written`.

    Raises:
        CannotCompile: it holds operations that ONNX does not have.
    """
    require_known(written)
    graph = Graph(signature, {each.domain: each.version for each in written.opset_import})
    names = iter([graph.input] if len(signature.inputs) == 1 else inputs)
    types = {spec.name: element(spec.dtype.name) for spec in signature.inputs}
    values = []
    for given in written.graph.input:
        if given.name in constants:
            values.append(graph.constant(constants[given.name]))
            continue
        name, wanted = next(names), given.type.tensor_type.elem_type
        values.append(name if types[name] == wanted else graph.add("Cast", name, to=wanted))
    answers = dict(zip(outputs, graph.graft(written, *values), strict=True))
    if len(answers) == 1:  # a server takes the one output, whatever its author calls it
        answers = dict.fromkeys((spec.name for spec in signature.outputs), *answers.values())
    return graph.finish(answers)


def require_known(written: ModelProto) -> None:
    """Raise CannotCompile where a converter left operations of its own library."""
    foreign = {node.op_type for node in _nodes(written.graph) if not defs.has(node.op_type, node.domain)}
    if foreign:
        raise cannot(", ".join(sorted(foreign)))


def cannot(operations: str) -> CannotCompile:
    """The refusal that names operations."""
    return CannotCompile(f"the model's operation {operations} cannot be compiled to ONNX")


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Those of the bodies of loops and branches, too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
