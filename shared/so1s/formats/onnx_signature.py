"""What an ONNX model takes and gives, as its graph declares it; read without a library.

onnx/onnx.proto has the fields, MIT-licensed. Weights are skipped, so that a large model takes no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from so1s.events import Signature, Tensor
from so1s.formats.protobuf import BYTES, Field, fields

_GRAPH = 7  # of ModelProto
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12  # of GraphProto
_TENSOR_NAME = 8  # of TensorProto
_NAME, _TYPE = 1, 2  # of ValueInfoProto
_TENSOR_TYPE = 1  # of TypeProto
_ELEMENT_TYPE, _SHAPE = 1, 2  # of TypeProto.Tensor
_LENGTH = 1  # of TensorShapeProto.Dimension, all of which are fields 1 of the shape
_DTYPES: Mapping[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""`TensorProto.DataType`, of what is served."""
_MOST_BYTES = 1024
"""Of a name."""
_LONGEST = 2**31


def signature(path: Path) -> Signature | None:
    """The inputs and outputs of a model, -1 for a length that varies; None where one cannot be told."""
    with path.open("rb") as file:
        try:
            inputs, outputs = _declared(file)
        except ValueError:
            return None
    return Signature(inputs=inputs, outputs=outputs) if inputs and outputs else None


def _declared(file: IO[bytes]) -> tuple[list[Tensor], list[Tensor]]:
    """Raises ValueError where something cannot be told."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    weights: set[str] = set()
    graph = _only(file, Field(0, BYTES, 0, 0, file.seek(0, 2)), _GRAPH)
    for field in fields(file, graph.start, graph.end):
        if field.number == _INITIALIZER:
            weights.add(_text(file, _only(file, field, _TENSOR_NAME)))
        elif field.number == _INPUT:
            inputs.append(_tensor(file, field))
        elif field.number == _OUTPUT:
            outputs.append(_tensor(file, field))
    return [each for each in inputs if each.name not in weights], outputs


def _tensor(file: IO[bytes], info: Field) -> Tensor:
    of = _only(file, _only(file, info, _TYPE), _TENSOR_TYPE)
    dtype = _DTYPES.get(_only(file, of, _ELEMENT_TYPE).value)
    name = _text(file, _only(file, info, _NAME))
    if dtype is None or not name:
        raise ValueError("another type")
    shape = _only(file, of, _SHAPE)
    return Tensor(
        name=name,
        dtype=dtype,
        shape=[_length(file, each) for each in fields(file, shape.start, shape.end)],
    )


def _length(file: IO[bytes], dimension: Field) -> int:
    """Of an axis; -1 where it bears a name, or nothing is said of it."""
    said = [each.value for each in fields(file, dimension.start, dimension.end) if each.number == _LENGTH]
    return said[0] if said and 1 <= said[0] <= _LONGEST else -1


def _only(file: IO[bytes], message: Field, number: int) -> Field:
    """A field of a message, which is there once."""
    (found,) = [each for each in fields(file, message.start, message.end) if each.number == number]
    return found


def _text(file: IO[bytes], field: Field) -> str:
    if field.end - field.start > _MOST_BYTES:
        raise ValueError("a name without end")
    file.seek(field.start)
    return file.read(field.end - field.start).decode()
