"""The fields of a protobuf message, without reading what need not be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types: https://protobuf.dev/programming-guides/encoding/"""

_MOST_FIELDS = 100_000


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire_type: int
    value: int
    """Of a `VARINT`."""
    start: int
    """Of its content in the file, where it is not a `VARINT`."""
    end: int


def top_level(file: IO[bytes], known: Mapping[int, int]) -> frozenset[int]:
    """The numbers of the fields of a whole file.

    Args:
        file: a seekable one.
        known: number to wire type of each field that may be there. Where another one is, or a field is not
            whole, the answer is empty.
    """
    found: set[int] = set()
    try:
        for field in fields(file, 0, file.seek(0, 2)):
            if known.get(field.number) != field.wire_type:
                return frozenset()
            found.add(field.number)
    except ValueError:
        return frozenset()
    return frozenset(found)


def fields(file: IO[bytes], start: int, end: int) -> Iterator[Field]:
    """The fields of a message that lies in a part of a seekable file, which may be read meanwhile.

    Raises:
        ValueError: a field is not whole, or there are very many.
    """
    file.seek(start)
    for _ in range(_MOST_FIELDS):
        if file.tell() == end:
            return
        number, wire_type = divmod(_varint(file), 8)
        said = _varint(file) if wire_type in {VARINT, BYTES} else 0
        length = {VARINT: 0, BYTES: said, FIXED64: 8, FIXED32: 4}.get(wire_type)
        at = file.tell()
        if length is None or at + length > end:
            raise ValueError("not a protobuf message")
        yield Field(number, wire_type, said, at, at + length)
        file.seek(at + length)
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
