"""The outermost fields of a protobuf message, without reading what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types: https://protobuf.dev/programming-guides/encoding/"""

_MOST_FIELDS = 100_000


def top_level(file: IO[bytes], known: Mapping[int, int]) -> frozenset[int]:
    """The numbers of the fields of a whole file.

    Args:
        file: a seekable one.
        known: number to wire type of each field that may be there. Where another one is, or a field is not
            whole, the answer is empty.
    """
    size = file.seek(0, 2)
    file.seek(0)
    found: set[int] = set()
    try:
        for field, wire_type in _fields(file, size):
            if known.get(field) != wire_type:
                return frozenset()
            found.add(field)
    except ValueError:
        return frozenset()
    return frozenset(found)


def _fields(file: IO[bytes], size: int) -> Iterator[tuple[int, int]]:
    """Number and wire type of each top-level field; raises ValueError where a field is not whole."""
    for _ in range(_MOST_FIELDS):
        if file.tell() == size:
            return
        field, wire_type = divmod(_varint(file), 8)
        yield field, wire_type
        length = _varint(file) if wire_type in {VARINT, BYTES} else 0
        skipped = {VARINT: 0, BYTES: length, FIXED64: 8, FIXED32: 4}.get(wire_type)
        if skipped is None or file.tell() + skipped > size:
            raise ValueError("not a protobuf message")
        file.seek(skipped, 1)
    raise ValueError("too many fields")


def _varint(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut short")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:  # noqa: PLR2004 - the bit that says whether more follow
            return value
    raise ValueError("no varint")
