"""How large a request may be, by what the model's inputs declare, and how long it may take to come; pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from so1s_runtime.declared import Declared

# How many times its own bytes a text takes within JSON: é is two of them, and as \u00e9 six.
_ESCAPED = 3

# Likewise, bytes as base64.
_ENCODED = 4 / 3

# What stands around values that declare their size: names, shapes, the heads of a form's parts.
_AROUND_BYTES = 64 * 1024

# gRPC counts in 32 bits.
_MOST_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Room:
    """What a request's body may take: beyond `body_bytes` it is refused (413), after `body_seconds` (408)."""

    body_bytes: int
    body_seconds: float


def room_of(inputs: Sequence[Declared], usual: Room) -> Room:
    """The room of a model's requests: the usual one, or as much as values of the declared sizes take.

    Inputs that declare no size, and lists of any length, have the usual room beside these. A larger body has
    more time, in proportion.
    """
    others = usual.body_bytes if any(map(_is_open, inputs)) else _AROUND_BYTES
    needed = others + sum(map(_bytes_of, inputs))
    body_bytes = min(max(usual.body_bytes, needed), _MOST_BYTES)
    return Room(body_bytes, usual.body_seconds * body_bytes / usual.body_bytes)


def _is_open(declared: Declared) -> bool:
    return declared.max_bytes is None or -1 in _counts(declared)


def _bytes_of(declared: Declared) -> int:
    """What the values of a declared size take in a body, of a list of any length one of them."""
    factor = _ENCODED if declared.type in {"file", "image"} else _ESCAPED
    count = math.prod(length for length in _counts(declared) if length != -1)
    return math.ceil((declared.max_bytes or 0) * factor) * count


def _counts(declared: Declared) -> tuple[int, ...]:
    """How many values there are: they are one tensor."""
    return declared.tensors[0].shape
