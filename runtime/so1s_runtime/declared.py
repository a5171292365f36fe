"""Inputs and outputs as a model's author declares them: tensors, or what has an IO type of its own.

Each is one tensor, or several, to the Open Inference Protocol and to all that lies between a body and the
model. A text, a JSON value, a file and an image are each a string or bytes; a dataframe is a tensor a column.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from so1s_runtime.dtypes import BYTES, DTYPES, Dtype
from so1s_runtime.signature import Signature, TensorSpec

TYPES = ("numpy", "json", "text", "file", "image", "dataframe", "series")

# Of values that are strings or bytes to the protocol.
_VALUES = {"json": DTYPES["string"], "text": DTYPES["string"], "file": BYTES, "image": BYTES}

_STRING = DTYPES["string"]

# Height, width and channels.
_IMAGE_RANK = 3
_CHANNELS = (-1, 1, 3, 4)


# Columns of a dataframe, where all of them would hide what else is said.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Declared:
    """One input or output.

    `dtype` and `shape` are those of the array that the model gets. `[]` is one value alone where the type is
    json, text or file. `columns` are a dataframe's, in its order; `max_bytes` bounds a value.
    """

    name: str
    type: str
    dtype: Dtype
    shape: tuple[int, ...]
    columns: tuple[TensorSpec, ...] = ()
    nullable: bool = False
    max_bytes: int | None = None
    # What it is to the protocol.
    tensors: tuple[TensorSpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Work out once what each request asks."""
        object.__setattr__(self, "tensors", self._as_tensors())

    def __str__(self) -> str:
        """As people read it: `float32[-1,30]`, `text`, `image[-1,-1,3]`."""
        if self.type == "dataframe":
            more = f", … and {len(self.columns) - _SHOWN}" if len(self.columns) > _SHOWN else ""
            first = ", ".join(column.name for column in self.columns[:_SHOWN])
            return f"dataframe with the columns {first}{more}"
        shape = f"[{','.join(map(str, self.shape))}]" if self.shape else ""
        said = self.dtype.name if self.type == "numpy" else self.type
        return f"series of {self.dtype.name}" if self.type == "series" else f"{said}{shape}"

    def _as_tensors(self) -> tuple[TensorSpec, ...]:
        if self.columns:
            return self.columns
        if self.type not in _VALUES:
            return (TensorSpec(self.name, self.dtype, self.shape, self.nullable),)
        shape = self.shape[:-_IMAGE_RANK] if self.type == "image" else self.shape
        return (TensorSpec(self.name, _VALUES[self.type], shape or (1,)),)

    def to_dict(self) -> dict[str, Any]:
        """The form that `model.json` holds; `declared` reads it."""
        said: dict[str, Any] = {"name": self.name, "dtype": self.dtype.name, "shape": list(self.shape)}
        if self.type != "numpy":
            said["type"] = self.type
        if self.columns:
            said["columns"] = [_column_dict(column) for column in self.columns]
        if self.nullable:
            said["nullable"] = True
        return said if self.max_bytes is None else said | {"max_bytes": self.max_bytes}


@dataclass(frozen=True, slots=True)
class DeclaredSignature:
    """What goes into a model and what comes out, as its author says it."""

    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]

    @property
    def is_plain(self) -> bool:
        """Whether all are plain tensors."""
        return all(each.type == "numpy" for each in (*self.inputs, *self.outputs))

    @property
    def tensors(self) -> Signature:
        """What they are to the protocol."""
        inputs = tuple(tensor for each in self.inputs for tensor in each.tensors)
        return Signature(inputs, tuple(tensor for each in self.outputs for tensor in each.tensors))

    def to_dict(self) -> dict[str, Any]:
        """The two fields as `model.json` holds them."""
        return {
            "inputs": [each.to_dict() for each in self.inputs],
            "outputs": [each.to_dict() for each in self.outputs],
        }


def as_declared(signature: Signature) -> DeclaredSignature:
    """A signature of plain tensors, as its author would declare it."""
    inputs, outputs = (
        tuple(Declared(spec.name, "numpy", spec.dtype, spec.shape) for spec in specs)
        for specs in (signature.inputs, signature.outputs)
    )
    return DeclaredSignature(inputs, outputs)


def declared_list(values: Any) -> tuple[Declared, ...]:
    """Read `inputs` or `outputs`. Raises ValueError, which says what is wrong."""
    if not isinstance(values, list) or not values:
        raise ValueError("must be a list of at least one {name, dtype, shape}")
    found = tuple(declared(value) for value in values)
    names = [tensor.name for each in found for tensor in each.tensors]
    names += [each.name for each in found if each.columns]
    if len(set(names)) < len(names):
        raise ValueError("must have distinct names, columns included")
    return found


def declared(value: Any) -> Declared:
    """Read one input or output. Raises ValueError, which says what is wrong."""
    if not isinstance(value, dict):
        raise ValueError(f"must hold objects {{name, dtype, shape}}, holds {value!r}")  # noqa: TRY004 - gathered with the other problems
    of = value.get("type", "numpy")
    if of not in TYPES:
        raise ValueError(f"has type {of!r}, must be one of {', '.join(TYPES)}")
    name = _name(value.get("name"))
    limit = value.get("max_bytes")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"has max_bytes {limit!r}, must be a number of bytes")
    if of == "dataframe":
        columns = _columns(value.get("columns"))
        return Declared(name, of, _STRING, (-1, len(columns)), columns)
    check = _SHAPES.get(of, _any_shape)
    dtype = DTYPES["uint8"] if of == "image" else _STRING if of in _VALUES else _dtype(value.get("dtype"))
    shape = (-1,) if of == "series" else check(value.get("shape", [] if of in _VALUES else None))
    return Declared(name, of, dtype, shape, nullable=_nullable(value, of, dtype), max_bytes=limit)


def _columns(values: Any) -> tuple[TensorSpec, ...]:
    if not isinstance(values, list) or not values or not all(isinstance(value, dict) for value in values):
        raise ValueError("has no columns, must have a list of at least one {name, dtype}")
    return tuple(_column(value) for value in values)


def _column(value: dict[str, Any]) -> TensorSpec:
    dtype = _dtype(value.get("dtype"))
    return TensorSpec(_name(value.get("name")), dtype, (-1,), _nullable(value, "dataframe", dtype))


def _column_dict(column: TensorSpec) -> dict[str, Any]:
    said: dict[str, Any] = {"name": column.name, "dtype": column.dtype.name}
    return said | {"nullable": True} if column.nullable else said


def _nullable(value: dict[str, Any], of: str, dtype: Dtype) -> bool:
    said = value.get("nullable", False)
    if type(said) is not bool:
        raise ValueError(f"has nullable {said!r}, must be true or false")
    if said and (of not in ("dataframe", "series") or not (dtype.is_float or dtype is _STRING)):
        raise ValueError("is nullable, which only columns and series of floats or strings can be")
    return said


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a non-empty string, is {value!r}")
    return value


def _dtype(value: Any) -> Dtype:
    if not isinstance(value, str) or value not in DTYPES:
        raise ValueError(f"has dtype {value!r}, must be one of {', '.join(DTYPES)}")
    return DTYPES[value]


def _any_shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(_is_length(length) for length in value):
        raise ValueError(f"has shape {value!r}, must be a list of lengths ≥ 1, or -1 for any")
    return tuple(value)


def _value_shape(value: Any) -> tuple[int, ...]:
    shape = _any_shape(value)
    if len(shape) > 1:
        raise ValueError(f"has shape {value!r}, must be [] for one value, or [-1] for several")
    return shape


def _image_shape(value: Any) -> tuple[int, ...]:
    shape = _any_shape(value or [-1, -1, 3])
    if len(shape) not in (_IMAGE_RANK, _IMAGE_RANK + 1) or shape[-1] not in _CHANNELS:
        raise ValueError(f"has shape {value!r}, must be [height, width, 1, 3 or 4], or several of these")
    return shape


_SHAPES: dict[str, Callable[[Any], tuple[int, ...]]] = {
    "json": _value_shape,
    "text": _value_shape,
    "file": _value_shape,
    "image": _image_shape,
}


def _is_length(value: Any) -> bool:
    return type(value) is int and (value == -1 or value >= 1)
