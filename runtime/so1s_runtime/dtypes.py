"""The element types of tensors: one table for So1s, NumPy, the Open Inference Protocol and JSON."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Dtype:
    """One element type.

    `name` is NumPy's name, used everywhere in So1s; `oip` is the protocol's name; `json` holds the Python
    types that a JSON value of this type is decoded to, and `noun` is what a person calls such a value.
    """

    name: str
    oip: str
    json: frozenset[type]
    noun: str
    # The type that a tensor has in memory; strings and bytes are Python objects.
    numpy: np.dtype = field(init=False)
    # Whether values can be infinite or no number.
    is_float: bool = field(init=False)
    # What Python's own arrays call a float of this size; empty where they have none, and of other types.
    code: str = field(init=False)

    def __post_init__(self) -> None:
        """Work out once what each request asks."""
        object.__setattr__(self, "numpy", np.dtype(object if self.oip == "BYTES" else self.name))
        object.__setattr__(self, "is_float", self.numpy.kind == "f")
        object.__setattr__(self, "code", {"float32": "f", "float64": "d"}.get(self.name, ""))


_INTEGER = (frozenset({int}), "an integer")
_NUMBER = (frozenset({int, float}), "a number")

DTYPES = {
    dtype.name: dtype
    for dtype in (
        Dtype("bool", "BOOL", frozenset({bool}), "true or false"),
        *(
            Dtype(f"{sign.lower()}int{bits}", f"{sign}INT{bits}", *_INTEGER)
            for sign in ("", "U")
            for bits in (8, 16, 32, 64)
        ),
        *(Dtype(f"float{bits}", f"FP{bits}", *_NUMBER) for bits in (16, 32, 64)),
        Dtype("string", "BYTES", frozenset({str}), "a string"),
    )
}

# What files and images are to the protocol: bytes of any value. In JSON they are base64, and so strings.
BYTES = Dtype("bytes", "BYTES", frozenset({str, bytes}), "a base64 string")
