"""Inputs and outputs as `so1s.yaml` declares them: arrays, or what has a type of its own.

{name: x, dtype: float32, shape: [-1, 30]}
{name: prompt, type: text}
{name: document, type: file, max_bytes: 1000000}
{name: rows, type: dataframe, columns: [{name: amount, dtype: float64, nullable: true}]}
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from so1s.errors import Problem, shown
from so1s.events import Tensor
from so1s.events.workload import Column

Dtype = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "string",
]
"""The element types that are served: numpy's names, and `string`."""


Type = Literal["numpy", "json", "text", "file", "image", "dataframe", "series"]
"""An array, any JSON value, text, bytes, pixels, rows of named columns, or one column."""

INPUT_BYTES = 128 * 2**20
"""What all inputs of a request may declare together, where a builder's operator says nothing else."""

MOST_INPUT_BYTES = 2**30
"""What an operator may say at most: in base64 it is still below the 2 GiB of a message of gRPC."""

_VALUES = ("json", "text", "file")
_BOUNDED = (*_VALUES, "image")
_TABLES = ("dataframe", "series")
_IMAGE_RANKS = (3, 4)
_PIXEL_AXES = 3
_CHANNELS = (-1, 1, 3, 4)
_NULLABLE = ("float16", "float32", "float64", "string")


def _some(length: int) -> int:
    if length == 0:
        raise ValueError("allowed: a length of at least 1, or -1 for any")
    return length


Length = Annotated[int, Field(ge=-1, json_schema_extra={"not": {"const": 0}}), AfterValidator(_some)]
"""Of an axis: -1 is any."""


class DeclaredColumn(Column):
    """A column of a dataframe as the file declares it."""

    name: Annotated[str, Field(min_length=1)]
    """The column's name; callers may give columns in any order."""
    dtype: Dtype
    """Of its values, as NumPy calls it, or `string`."""


def _as_its_type_says(schema: dict[str, Any]) -> None:
    """What `DeclaredTensor` asks of each type, for those who read its schema."""

    def fields_of(types: Iterable[str], then: dict[str, Any]) -> dict[str, Any]:
        """Rules for the inputs and outputs of some types; of `numpy` where nothing is said, too."""
        is_said = {} if "numpy" in types else {"required": ["type"]}
        return {"if": {"properties": {"type": {"enum": [*types]}}} | is_said, "then": then}

    def only_of(types: Iterable[str], field: str, absent: Any) -> dict[str, Any]:
        others = [each for each in get_args(Type) if each not in types]
        return fields_of(others, {"properties": {field: absent}})

    schema["required"] = ["name"]
    schema["allOf"] = [
        fields_of(["numpy"], {"required": ["dtype", "shape"]}),
        fields_of(["series"], {"required": ["dtype"]}),
        fields_of(["dataframe"], {"required": ["columns"], "properties": {"columns": {"minItems": 1}}}),
        fields_of(_VALUES, {"properties": {"dtype": {"const": "string"}, "shape": {"maxItems": 1}}}),
        fields_of(
            ["image"],
            {
                "properties": {
                    "dtype": {"const": "uint8"},
                    "shape": {"minItems": min(_IMAGE_RANKS), "maxItems": max(_IMAGE_RANKS)},
                }
            },
        ),
        only_of(["dataframe"], "columns", {"maxItems": 0}),
        only_of(["series"], "nullable", {"const": False}),
        only_of(_BOUNDED, "max_bytes", {"type": "null"}),
    ]


class DeclaredTensor(Tensor):
    """An input or output as the file declares it.

    A text, JSON value or file needs no dtype; without a shape it is one alone, and with `[-1]` several. A
    dataframe has columns instead of both; a series has a dtype; an image has a shape.
    """

    model_config = ConfigDict(json_schema_extra=_as_its_type_says)

    name: Annotated[str, Field(min_length=1)]
    """Its name in the body of a request or an answer."""
    dtype: Dtype
    """Of an array's or a series' values, as NumPy calls it, or `string`."""
    shape: list[Length]
    """-1 is any length; the first axis is the batch. A text, JSON value or file without one is one alone, and
    `[-1]` is several; an image without one is `[-1, -1, 3]`; a dataframe and a series have none."""
    type: Type = "numpy"
    """An array, a text, any JSON value, bytes, pixels, rows of named columns, or one column."""
    columns: list[DeclaredColumn] = []  # ty: ignore[incompatible-attribute-override] - values are frozen
    """Of a dataframe alone, in its order."""
    nullable: bool = False
    """Of a series of floats or strings alone: whether a value may be missing."""
    max_bytes: Annotated[int, Field(ge=1)] | None = None
    """Of one text, JSON value, file or image; without it, the server's limit on bodies alone holds."""

    @model_validator(mode="before")
    @classmethod
    def _with_what_a_type_implies(cls, said: Any) -> Any:
        implied = _implied(said) if isinstance(said, dict) else {}
        return implied | said if implied else said

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type in _VALUES and (self.dtype != "string" or len(self.shape) > 1):
            raise ValueError(f"allowed: a {self.type} without dtype, and with no shape, [-1] or [N]")
        if self.type not in _BOUNDED and self.max_bytes is not None:
            raise ValueError(f"allowed: max_bytes with a type of {', '.join(_BOUNDED)}")
        if self.type == "image" and not self._is_of_pixels:
            raise ValueError("allowed: an image of [height, width, 1, 3 or 4], or several, without dtype")
        self._check_table()
        return self

    @property
    def _is_of_pixels(self) -> bool:
        return self.dtype == "uint8" and len(self.shape) in _IMAGE_RANKS and self.shape[-1] in _CHANNELS

    def _check_table(self) -> None:
        if (self.type == "dataframe") != bool(self.columns):
            raise ValueError("allowed: columns of a dataframe, at least one: [{name: a, dtype: float64}]")
        if self.type in _TABLES and self.shape != ([-1, len(self.columns)] if self.columns else [-1]):
            raise ValueError(f"allowed: a {self.type} without shape")
        if self.type != "series" and self.nullable:
            raise ValueError("allowed: nullable of a series, or of a column")
        _require_nullable(self.dtype, nullable=self.nullable)
        for column in self.columns:
            _require_nullable(column.dtype, nullable=column.nullable)


def oversize(inputs: Iterable[DeclaredTensor], most_bytes: int) -> Problem | None:
    """The first input whose `max_bytes` is more than those before it leave of `most_bytes`.

    A list of N values counts N times, one of any length once. None where all fit.
    """
    left = most_bytes
    for each in inputs:
        counts = each.shape[:-_PIXEL_AXES] if each.type == "image" else each.shape
        size = (each.max_bytes or 0) * math.prod(length for length in counts if length != -1)
        if size > left:
            allowed = f"allowed: {most_bytes} bytes for all inputs of a request together"
            return Problem(f"inputs.{each.name}.max_bytes", shown(each.max_bytes), allowed)
        left -= size
    return None


def _implied(said: dict[str, Any]) -> dict[str, Any]:
    of, columns = said.get("type"), said.get("columns")
    if of in _VALUES:
        return {"dtype": "string", "shape": []}
    if of == "dataframe":
        width = len(columns) if isinstance(columns, list) and columns else -1
        return {"dtype": "string", "shape": [-1, width]}
    return _IMPLIED.get(of, {}) if isinstance(of, str) else {}


_IMPLIED: dict[str, dict[str, Any]] = {
    "image": {"dtype": "uint8", "shape": [-1, -1, 3]},
    "series": {"shape": [-1]},
}


def _require_nullable(dtype: str, *, nullable: bool) -> None:
    if nullable and dtype not in _NULLABLE:
        raise ValueError(f"allowed: nullable of {', '.join(_NULLABLE)}, not of {dtype}")
