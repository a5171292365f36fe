"""What is wrong with a sample, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from so1s.modelfile_tensors import DeclaredTensor

_NAMES = {list: "a list", dict: "an object", str: "a string", bool: "true or false", type(None): "null"}


class Misfit(ValueError):
    """A sample is refused: what is allowed, the input, the position in it, and what is there instead."""

    @classmethod
    def at(cls, declared: DeclaredTensor, position: Sequence[int | str], what: str) -> Misfit:
        """Make the error of a value at a position within an input."""
        where = f" at {list(position)}" if position else ""
        return cls(f"allowed: {declared}; input {declared.name!r}{where} {what}")


def name_of(value: Any) -> str:
    """What a person calls a value of JSON."""
    return _NAMES.get(type(value), f"the number {value!r:.40}")
