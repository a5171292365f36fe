"""Tensors as they are seen from outside: what goes into a model and what comes out."""

from dataclasses import dataclass, field
from typing import Any

from so1s_runtime.dtypes import Dtype


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, element type and shape of one input or output; -1 in `shape` is any length ≥ 1.

    Where `nullable` is set, a number may be missing, as NaN, and a string, as None.
    """

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    nullable: bool = False
    # The length of a row, where it is known and one row alone fits; else -1. Each request asks for it.
    row_length: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out what the shape tells."""
        match self.shape:
            case (-1 | 1, columns):
                length = columns
            case _:
                length = -1
        object.__setattr__(self, "row_length", length)

    def __str__(self) -> str:
        """As people read it: `float32[-1,30]`."""
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"

    @property
    def has_batch_axis(self) -> bool:
        """Whether axis 0 takes any number of rows."""
        return self.shape[:1] == (-1,)

    def to_dict(self) -> dict[str, Any]:
        """The form that `model.json` holds."""
        return {"name": self.name, "dtype": self.dtype.name, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes into a model and what comes out, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_dict(self) -> dict[str, Any]:
        """The two fields as `model.json` holds them."""
        return {
            "inputs": [spec.to_dict() for spec in self.inputs],
            "outputs": [spec.to_dict() for spec in self.outputs],
        }
