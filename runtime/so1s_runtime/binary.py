"""Tensors as raw bytes, little-endian and row-major, as the Open Inference Protocol has them; pure.

A string is its length in four bytes and then itself in UTF-8. Numbers are read in place: no copy is made.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from so1s_runtime.dtypes import BYTES
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import TensorSpec
from so1s_runtime.tensors import check_finite

_LENGTH = struct.Struct("<I")


def cut(raw: memoryview, sizes: Mapping[str, int]) -> dict[str, memoryview]:
    """The bytes by name, one part after another."""
    parts, start = {}, 0
    for name, size in sizes.items():
        parts[name] = raw[start : start + size]
        start += size
    return parts


def decode(spec: TensorSpec, raw: bytes | memoryview, shape: tuple[int, ...]) -> np.ndarray:
    """The array that the bytes hold; `shape` fits the spec. Raises RequestError."""
    count = 1
    for length in shape:
        count *= length
    if spec.dtype.oip == "BYTES":
        return _strings(spec, bytes(raw), count).reshape(shape)
    if len(raw) != count * spec.dtype.numpy.itemsize:
        needed = f"{count} * {spec.dtype.numpy.itemsize} bytes"
        raise RequestError(
            f"input {spec.name!r} has {len(raw)} bytes, its shape {list(shape)} needs {needed}",
            field=spec.name,
            expected=str(spec),
        )
    array = np.frombuffer(raw, spec.dtype.numpy.newbyteorder("<")).reshape(shape)
    if spec.dtype.name == "bool" and array.view(np.uint8).max(initial=0) > 1:
        raise RequestError(f"input {spec.name!r} has a byte that is neither 0 nor 1", field=spec.name)
    check_finite(spec, array)
    return array


def encode(spec: TensorSpec, array: np.ndarray) -> bytes:
    """The bytes of an array."""
    if spec.dtype.oip != "BYTES":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    words = [word(value) for value in array.reshape(-1)]
    return b"".join(part for each in words for part in (_LENGTH.pack(len(each)), each))


def texts(spec: TensorSpec, words: Iterable[bytes]) -> list[str]:
    """Strings of UTF-8. Raises RequestError, which tells the first that is none."""
    return [_text(spec, word, index) for index, word in enumerate(words)]


def word(value: Any) -> bytes:
    """The bytes of a string; a missing one has none."""
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()


def _strings(spec: TensorSpec, raw: bytes, count: int) -> np.ndarray:
    words, start = [], 0
    while start < len(raw):
        body = start + _LENGTH.size
        end = body + _LENGTH.unpack_from(raw, start)[0] if body <= len(raw) else body
        if end > len(raw):
            raise RequestError(f"input {spec.name!r} ends within string {len(words)}", field=spec.name)
        inner = raw[body:end]
        words.append(inner if spec.dtype is BYTES else _text(spec, inner, len(words)))
        start = end
    if len(words) != count:
        message = f"input {spec.name!r} has {len(words)} strings, its shape needs {count}"
        raise RequestError(message, field=spec.name, expected=str(spec))
    strings = np.empty(count, dtype=object)
    strings[:] = words
    return strings


def _text(spec: TensorSpec, word: bytes, index: int) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError:
        message = f"input {spec.name!r} has a string that is not UTF-8, number {index}"
        raise RequestError(message, field=spec.name, position=[index], expected="string") from None
