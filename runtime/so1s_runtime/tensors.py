"""JSON values to checked arrays and back; pure.

Checks run over whole lists at the speed of C; only once one fails is the first culprit looked for.
"""

import math
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import orjson

from so1s_runtime.declared import Declared
from so1s_runtime.dtypes import Dtype
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.manifest import TensorSpec

_LISTS = {list}
_JSON_NAMES = {list: "a list", dict: "an object", str: "a string", bool: "true or false", type(None): "null"}


def load_json(body: bytes | memoryview) -> Any:
    """The value that a request's body holds. Raises RequestError if it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = f"the body is not valid JSON, which has no NaN or Infinity: {error}"
        raise RequestError(reason) from None  # the cause would keep the body


def from_nested(spec: TensorSpec, values: Any) -> np.ndarray:
    """Check nested lists against `spec` and return them as an array.

    Raises RequestError with the position of the first value that does not fit.
    """
    # One row of a matrix, the usual case, needs no look at each level.
    if type(values) is list and len(values) == 1:
        row = values[0]
        if type(row) is list and len(row) == spec.row_length:
            return _array(spec, row, (1, spec.row_length))
    level, shape = [values], ()
    for axis in range(len(spec.shape)):
        shape = (*shape, _common_length(spec, axis, level, shape))
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
    return _array(spec, level, shape)


def from_flat(spec: TensorSpec, values: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Check values in row-major order, for a `shape` that fits, against `spec` and return them as an array.

    Raises RequestError with the position of the first value that does not fit.
    """
    if len(values) != math.prod(shape):
        message = (
            f"input {spec.name!r} has {len(values)} values, its shape {list(shape)} needs {math.prod(shape)}"
        )
        raise RequestError(message, field=spec.name, expected=str(spec))
    return _array(spec, values, shape)


def check_shape(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    """Raise RequestError if an array of `shape` does not fit `spec`."""
    if not _fits(spec, shape) or min(shape, default=1) < 1:
        message = f"input {spec.name!r} has shape {list(shape)}, expected {list(spec.shape)}"
        raise RequestError(message, field=spec.name, expected=str(spec))


def check_datatype(spec: TensorSpec, given: Any) -> None:
    """Raise RequestError unless `given` is the protocol's name of the type of `spec`."""
    if given != spec.dtype.oip:
        message = f"input {spec.name!r} has datatype {given!r:.40}, expected {spec.dtype.oip!r}"
        raise RequestError(message, field=spec.name, expected=spec.dtype.oip)


def pick(specs: Sequence[TensorSpec], names: Sequence[str]) -> Sequence[TensorSpec]:
    """The outputs of those names in their order, or all where none is named. Raises RequestError."""
    known = {spec.name: spec for spec in specs}
    for name in names:
        if name not in known:
            raise RequestError(f"unknown output {name!r}; the model gives {', '.join(known)}", field=name)
    if len(set(names)) < len(names):
        raise RequestError('"outputs" must have distinct names', field="outputs")
    return [known[name] for name in names] or specs


def check_finite(spec: TensorSpec, array: np.ndarray) -> None:
    """Raise RequestError, with its position, for a value that is infinite or no number."""
    if spec.dtype.is_float and not _all(_are_finite(spec, array)):
        position = [int(place) for place in np.argwhere(~_are_finite(spec, array))[0]]
        raise _misfit(spec, position, str(array[tuple(position)]), f"a finite {spec.dtype.name}")


def check_names(specs: Sequence[TensorSpec] | Sequence[Declared], names: Iterable[str]) -> None:
    """Raise RequestError unless `names` are the names of `specs`, in any order."""
    given = set(names)
    if len(specs) == 1 and given == {specs[0].name}:  # the usual case
        return
    known = {spec.name for spec in specs}
    if given == known:
        return
    takes = f"the model takes {', '.join(sorted(known))}"
    for name in sorted(given - known):
        raise RequestError(f"unknown input {name!r}; {takes}", field=name)
    for spec in specs:
        if spec.name not in given:
            raise RequestError(
                f"input {spec.name!r} is missing; {takes}", field=spec.name, expected=str(spec)
            )


def check_rows(specs: Sequence[TensorSpec], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise RequestError if inputs that share the batch axis have different numbers of rows."""
    if len(specs) == 1:
        return
    rows = {spec.name: len(arrays[spec.name]) for spec in specs if spec.has_batch_axis}
    if len(set(rows.values())) > 1:
        raise RequestError(
            f"inputs have different numbers of rows: {rows}", field=min(rows, key=lambda name: rows[name])
        )


def conform(spec: TensorSpec, value: Any) -> np.ndarray:
    """Bring what a model answered to the declared type, row-major.

    Raises ModelError if it cannot be that output.
    """
    array = np.asarray(value)
    if not _fits(spec, array.shape):
        raise ModelError(f"output {spec.name!r} has shape {list(array.shape)}, the manifest says {spec}")
    dtype = array.dtype
    if dtype == spec.dtype.numpy and not dtype.hasobject and array.flags.c_contiguous:
        return array
    if spec.dtype.name == "string" and array.dtype.kind not in "UO":
        raise ModelError(f"output {spec.name!r} is {array.dtype}, the manifest says {spec}")
    try:
        return array.astype(spec.dtype.numpy, order="C", casting="same_kind", copy=False)
    except TypeError as error:
        raise ModelError(f"output {spec.name!r} is {array.dtype}, the manifest says {spec}") from error


def jsonable(array: np.ndarray) -> Any:
    """The array as orjson writes it fastest; NaN and infinity become null, and bytes become base64."""
    if array.dtype.hasobject:
        return as_base64(array.tolist())
    return array.tolist() if array.ndim == 0 else array


def as_base64(values: Any) -> Any:
    """Nested lists, with base64 for bytes."""
    if isinstance(values, list):
        return [as_base64(value) for value in values]
    return b64encode(values).decode() if isinstance(values, bytes) else values


def _fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    wanted = spec.shape
    if len(shape) != len(wanted):
        return False
    if shape[1:] == wanted[1:]:  # rows of what is declared: the usual case
        return not shape or wanted[0] in (-1, shape[0])
    return all(want in (-1, length) for want, length in zip(wanted, shape, strict=True))


def _common_length(spec: TensorSpec, axis: int, level: list[Any], shape: tuple[int, ...]) -> int:
    """The length that every list of `level` has; `shape` is the shape of `level` itself."""
    if set(map(type, level)) != _LISTS:
        index = _first(level, lambda value: type(value) is not list)
        raise _misfit(
            spec, _position(index, shape), f"{name_of(level[index])} where a list belongs", str(spec)
        )
    want = spec.shape[axis] if spec.shape[axis] != -1 else len(level[0])
    if set(map(len, level)) != {want}:
        index = _first(level, lambda value: len(value) != want)
        raise _misfit(
            spec, _position(index, shape), f"{len(level[index])} values, expected {want}", str(spec)
        )
    if want == 0:
        raise _misfit(spec, _position(0, shape), "no values", str(spec))
    return want


def _array(spec: TensorSpec, flat: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    dtype = spec.dtype
    if not dtype.json.issuperset(map(type, flat)):
        allowed = dtype.json | {type(None)} if spec.nullable else dtype.json
        if not allowed.issuperset(map(type, flat)):
            index = _first(flat, lambda value: type(value) not in allowed)
            raise _misfit(
                spec,
                _position(index, shape),
                f"{name_of(flat[index])} where {dtype.noun} belongs",
                dtype.name,
            )
        flat = [math.nan if value is None else value for value in flat] if dtype.is_float else flat
    try:
        array = _packed(dtype, flat, shape) if dtype.code else _converted(dtype, flat, shape)
    except (OverflowError, struct.error):  # the latter of a whole number that no float holds
        array = None
    if array is None or not _is_finite(spec, flat, array):
        index = _first(flat, lambda value: not _is_in_range(spec, value))
        raise _misfit(spec, _position(index, shape), f"{flat[index]!r:.40}, out of range", dtype.name)
    return array


def _packed(dtype: Dtype, flat: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """The floats as an array, in half of NumPy's time. Raises OverflowError or struct.error, out of range."""
    array = np.empty(shape, dtype.numpy)
    _floats(dtype.code, len(flat)).pack_into(array.data, 0, *flat)
    return array


@lru_cache
def _floats(code: str, count: int) -> struct.Struct:
    return struct.Struct(f"={count}{code}")  # its standard sizes heed the range, native ones do not


def _converted(dtype: Dtype, flat: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """The values as an array; a float that is too large becomes infinite. Raises OverflowError."""
    with np.errstate(over="ignore"):
        return np.array(flat, dtype=dtype.numpy).reshape(shape)


def _is_finite(spec: TensorSpec, flat: list[Any], array: np.ndarray) -> bool:
    """Whether the array, made of those values, has none that is infinite, or that is missing but must not."""
    if not spec.dtype.is_float:
        return True
    # What was packed is in range, so that a finite sum tells of each value.
    return (bool(spec.dtype.code) and math.isfinite(sum(flat, 0.0))) or _all(_are_finite(spec, array))


def _all(flags: np.ndarray) -> bool:
    """`flags.all()`, in a fifth of the time for the few flags of a row."""
    return b"\0" not in flags.tobytes()


def _are_finite(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    """Where an array of floats has a number; a missing one is a NaN."""
    return ~np.isinf(array) if spec.nullable else np.isfinite(array)


def _is_in_range(spec: TensorSpec, value: float) -> bool:
    try:
        with np.errstate(over="ignore"):
            return bool(_are_finite(spec, np.array(value, dtype=spec.dtype.numpy)))
    except OverflowError:
        return False


def _first(values: list[Any], is_culprit: Callable[[Any], bool]) -> int:
    return next(index for index, value in enumerate(values) if is_culprit(value))


def _position(index: int, shape: tuple[int, ...]) -> list[int]:
    return [int(place) for place in np.unravel_index(index, shape)] if shape else []


def _misfit(spec: TensorSpec, position: list[int], what: str, expected: str) -> RequestError:
    where = f" at {position}" if position else ""
    message = f"input {spec.name!r}{where} has {what}"
    return RequestError(message, field=spec.name, position=position, expected=expected)


def name_of(value: Any) -> str:
    """What a person calls a value of JSON."""
    return _JSON_NAMES.get(type(value), f"the number {value!r:.40}")
