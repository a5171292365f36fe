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

from pydantic import Field, model_validator

from so1s.errors import Problem, shown
from so1s.events import Tensor

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
_DTYPES = ", ".join(get_args(Dtype))
_NULLABLE = ("float16", "float32", "float64", "string")


class DeclaredTensor(Tensor):
    """An input or output as the file declares it.

    A text, JSON value or file needs no dtype; without a shape it is one alone, and with `[-1]` several. A
    dataframe has columns instead of both; a series has a dtype; an image has a shape.
    """

    name: Annotated[str, Field(min_length=1)]
    dtype: Dtype
    type: Type = "numpy"

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
        names = [column.name for column in self.columns]
        if len({*names, self.name}) <= len(names) and self.columns:
            raise ValueError("allowed: columns with distinct names, other than the dataframe's")
        if self.type != "series" and self.nullable:
            raise ValueError("allowed: nullable of a series, or of a column")
        _require_nullable(self.dtype, nullable=self.nullable)
        for column in self.columns:
            if column.dtype not in get_args(Dtype):
                raise ValueError(f"column {column.name!r} has dtype {column.dtype!r}; allowed: {_DTYPES}")
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
    columns = said.get("columns")
    if said.get("type") in _VALUES:
        return {"dtype": "string", "shape": []}
    if said.get("type") == "dataframe":
        return {"dtype": "string", "shape": [-1, len(columns) if isinstance(columns, list) else 0]}
    return _IMPLIED.get(said.get("type"), {})


_IMPLIED: dict[Any, dict[str, Any]] = {
    "image": {"dtype": "uint8", "shape": [-1, -1, 3]},
    "series": {"shape": [-1]},
}


def _require_nullable(dtype: str, *, nullable: bool) -> None:
    if nullable and dtype not in _NULLABLE:
        raise ValueError(f"allowed: nullable of {', '.join(_NULLABLE)}, not of {dtype}")
