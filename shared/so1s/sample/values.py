"""Numbers, strings and bytes: one alone, or in lists."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from so1s.modelfile_tensors import DeclaredTensor
from so1s.sample.misfit import Misfit, name_of

_IMAGE_AXES = 3
"""Height, width and channels."""
_FLOATS = {"float16": "<e", "float32": "<f", "float64": "<d"}
"""What the module `struct` calls them; without the order of bytes it knows no overflow."""
_NOUNS = {"bool": "true or false", "string": "a string"}


def nested(declared: DeclaredTensor, value: Any) -> int:
    """Check nested lists; answers the length of the first axis.

    Raises:
        Misfit: a list has another length, or an item another type.
    """
    level, shape = [value], []
    for length in declared.shape:
        expected = len(level[0]) if length == -1 and isinstance(level[0], list) else length
        for index, each in enumerate(level):
            position = _position(index, shape)
            if not isinstance(each, list):
                raise Misfit.at(declared, position, f"has {name_of(each)} where a list belongs")
            _require_length(declared, position, len(each), expected)
        shape.append(expected)
        level = list(chain.from_iterable(level))
    items(
        level,
        declared.dtype,
        lambda index, what: Misfit.at(declared, _position(index, shape), what),
        nullable=declared.nullable,
    )
    return shape[0] if shape else 1


def items(
    values: Sequence[Any], dtype: str, culprit: Callable[[int, str], Misfit], *, nullable: bool
) -> None:
    """Check values of one type.

    Raises:
        Misfit: made by `culprit` of the first one's index, and of what is wrong.
    """
    for index, value in enumerate(values):
        if problem := "" if value is None and nullable else _problem(value, dtype):
            raise culprit(index, f"has {problem}")


def bodies(declared: DeclaredTensor, value: Any) -> int:
    """Check texts, JSON values, files and images, one alone or a list of them; answers how many there are.

    Raises:
        Misfit: a list has another length, or an item is none.
    """
    shape = _shape_of_list(declared)
    if not shape:
        _item(declared, [], value)
        return 1
    if not isinstance(value, list):
        raise Misfit.at(declared, [], f"has {name_of(value)} where a list belongs")
    _require_length(declared, [], len(value), shape[0])
    for index, each in enumerate(value):
        _item(declared, [index], each)
    return len(value)


def raw(declared: DeclaredTensor, content: bytes) -> None:
    """Check a file whose content is a text, a file or an image.

    Raises:
        Misfit: several belong there, it is too large, or it is no text.
    """
    for length in _shape_of_list(declared):
        _require_length(declared, [], 1, length)
    if declared.type == "text":
        try:
            content.decode()
        except UnicodeDecodeError as error:
            raise Misfit.at(declared, [error.start], "is not UTF-8") from error
    _check_size(declared, [], content)


def counts_rows(declared: DeclaredTensor) -> bool:
    """Whether the first axis is of any length, and one of rows: that of one image is its height."""
    shape = _shape_of_list(declared)
    return shape[:1] == [-1]


def _problem(value: Any, dtype: str) -> str:
    """What is wrong with an item of JSON; empty where nothing is."""
    kind = type(value)
    if dtype in _NOUNS:
        fits = kind is (str if dtype == "string" else bool)
        return "" if fits else f"{name_of(value)} where {_NOUNS[dtype]} belongs"
    if dtype in _FLOATS:
        return _problem_of_float(value, dtype) if kind in {int, float} else _no(value, "a number")
    return _problem_of_integer(value, dtype) if kind is int else _no(value, "an integer")


def _no(value: Any, noun: str) -> str:
    return f"{name_of(value)} where {noun} belongs"


def _problem_of_float(value: float, dtype: str) -> str:
    try:
        struct.pack(_FLOATS[dtype], float(value))
    except OverflowError:
        return f"{value!r:.40}, out of range of {dtype}"
    return "" if math.isfinite(value) else f"{value!r}, which is no finite number"


def _problem_of_integer(value: int, dtype: str) -> str:
    bits = int(dtype.rpartition("int")[2])
    lowest, highest = (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return "" if lowest <= value <= highest else f"{value!r:.40}, out of range of {dtype}"


def _item(declared: DeclaredTensor, position: Sequence[int], value: Any) -> None:
    if declared.type == "json":  # whatever it is; its size is told by who writes it
        return
    if not isinstance(value, str):
        noun = "a string" if declared.type == "text" else "a base64 string"
        raise Misfit.at(declared, position, f"has {_no(value, noun)}")
    content = value.encode()
    if declared.type != "text":
        try:
            content = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Misfit.at(declared, position, f"is not base64: {error}") from error
    _check_size(declared, position, content)


def _check_size(declared: DeclaredTensor, position: Sequence[int], content: bytes) -> None:
    most = declared.max_bytes
    if most is not None and len(content) > most:
        raise Misfit.at(declared, position, f"has {len(content)} bytes, at most {most} are taken")


def _shape_of_list(declared: DeclaredTensor) -> list[int]:
    """The shape of a list of values; empty where there is one alone."""
    return declared.shape[:-_IMAGE_AXES] if declared.type == "image" else declared.shape


def _require_length(declared: DeclaredTensor, position: Sequence[int], length: int, expected: int) -> None:
    if expected not in {-1, length}:
        raise Misfit.at(declared, position, f"has {length} values, expected {expected}")
    if length == 0:
        raise Misfit.at(declared, position, "has no values")


def _position(index: int, shape: Sequence[int]) -> list[int]:
    """Where an item is, axis by axis, in row-major order."""
    position: list[int] = []
    for length in reversed(shape):
        index, place = divmod(index, length)
        position.insert(0, place)
    return position
