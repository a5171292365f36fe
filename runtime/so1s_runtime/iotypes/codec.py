"""What every IO type can do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from so1s_runtime import tensors
from so1s_runtime.declared import Declared
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.iotypes.media import JSON
from so1s_runtime.schemas import nested
from so1s_runtime.signature import TensorSpec

Tensors = Mapping[str, np.ndarray]


class Codec(ABC):
    """Reads and writes one input or output, as it is declared."""

    # Content types of a body, or of a part of a form, that is one value of this type; the first is written.
    media: ClassVar[tuple[str, ...]] = ()

    # How a field of a form that is no file is written.
    field: ClassVar[str] = JSON

    def __init__(self, declared: Declared) -> None:
        self.declared = declared

    @abstractmethod
    def read(self, value: Any) -> Tensors:
        """The tensors that a value of JSON stands for. Raises RequestError."""

    def read_raw(self, media: str, raw: bytes) -> Tensors:  # noqa: ARG002 - others do
        """The tensors that bytes of one of `media` stand for. Raises RequestError."""
        raise RequestError(f"input {self.declared.name!r} is not read from {media}", status=415)

    @abstractmethod
    def write(self, arrays: Sequence[np.ndarray]) -> Any:
        """What orjson writes for these tensors, in the order of `declared.tensors`."""

    def write_raw(self, arrays: Sequence[np.ndarray]) -> bytes:  # noqa: ARG002 - others do
        """These tensors as bytes of the first of `media`; it is asked of types that have one alone."""
        raise AssertionError(f"{type(self).__name__} has no bytes of its own")

    @abstractmethod
    def to_model(self, arrays: Tensors) -> Any:
        """What the model's code is called with. Raises RequestError."""

    def to_pandas(self, arrays: Tensors) -> Any:
        """What code that takes pandas' values is called with. Raises RequestError."""
        return self.to_model(arrays)

    @abstractmethod
    def from_model(self, value: Any) -> Sequence[np.ndarray]:
        """The tensors that the model's answer stands for. Raises ModelError."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The JSON schema of what `read` takes and `write` gives."""

    def blank(self) -> Tensors | None:
        """A value to try a model with that came without a sample; None where none would mean anything."""
        return None

    def is_bare(self, value: Any) -> bool:
        """Whether a body of JSON is the only input's value itself, and not an object of values by name."""
        return not (isinstance(value, dict) and value.keys() == {self.declared.name})

    def misfit(self, what: str, position: Sequence[int | str] = (), *, status: int = 400) -> RequestError:
        """The error of a value that does not fit."""
        where = f" at {list(position)}" if position else ""
        name = self.declared.name
        return RequestError(
            f"input {name!r}{where} {what}",
            status=status,
            field=name,
            position=list(position) or None,
            expected=str(self.declared),
        )

    def broken(self, value: Any) -> ModelError:
        """The error of an answer that is not what was declared."""
        said = f"{value!r:.60}" if isinstance(value, str | int | float | None) else type(value).__name__
        return ModelError(f"output {self.declared.name!r} is {said}, the manifest says {self.declared}")


class Tensor(Codec):
    """A plain tensor beside other types."""

    @property
    def _spec(self) -> TensorSpec:
        return self.declared.tensors[0]

    def read(self, value: Any) -> Tensors:
        """From nested lists."""
        return {self._spec.name: tensors.from_nested(self._spec, value)}

    def write(self, arrays: Sequence[np.ndarray]) -> Any:
        """As nested lists."""
        return tensors.jsonable(arrays[0])

    def to_model(self, arrays: Tensors) -> Any:
        """As it is."""
        return arrays[self._spec.name]

    def from_model(self, value: Any) -> Sequence[np.ndarray]:
        """What can be that array."""
        return [tensors.conform(self._spec, value)]

    def schema(self) -> dict[str, Any]:
        """Of nested lists."""
        return nested(self._spec)

    def blank(self) -> Tensors:
        """Zeros, or empty strings."""
        return {self._spec.name: zeros(self._spec)}


def zeros(spec: TensorSpec) -> np.ndarray:
    """A row of zeros, or of empty strings."""
    shape = [1 if length == -1 else length for length in spec.shape]
    return np.full(shape, "" if spec.dtype.name == "string" else 0, dtype=spec.dtype.numpy)


def objects(values: Sequence[Any], shape: Sequence[int]) -> np.ndarray:
    """An array that holds Python objects, whatever they are: NumPy would look into lists and bytes."""
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array.reshape(shape)
