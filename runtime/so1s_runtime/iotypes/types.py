"""The codecs of a model's whole signature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import orjson

from so1s_runtime.declared import Declared, DeclaredSignature
from so1s_runtime.errors import ModelError
from so1s_runtime.iotypes.codec import Codec, Tensor, Tensors
from so1s_runtime.iotypes.frame import Frame, Series
from so1s_runtime.iotypes.image import Image, check_pixels
from so1s_runtime.iotypes.values import File, Json, Text
from so1s_runtime.loaders import Predictor

_CODECS: Mapping[str, type[Codec]] = {
    "numpy": Tensor,
    "text": Text,
    "json": Json,
    "file": File,
    "image": Image,
    "dataframe": Frame,
    "series": Series,
}

# What only code can take that is called with any value; a loader of arrays alone serves the other types.
_NEEDS_VALUES = ("json", "file")
_OF_PANDAS = ("dataframe", "series")


# Of an example that a person reads.
EXAMPLE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Types:
    """The codecs of a signature, in its order."""

    inputs: tuple[Codec, ...]
    outputs: tuple[Codec, ...]

    def around(self, predictor: Predictor, *, pandas: bool) -> Predictor:
        """A predictor from tensors to tensors, around one that takes and gives what is declared.

        With `pandas`, dataframes and series are pandas' own; without, they are arrays.
        """
        takes = [
            (codec.declared.name, codec.to_pandas if pandas else codec.to_model) for codec in self.inputs
        ]
        images = [codec for codec in self.inputs if isinstance(codec, Image)]
        output_of = {tensor.name: codec for codec in self.outputs for tensor in codec.declared.tensors}

        def predict(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Sequence[Any]:
            if len(images) > 1:
                check_pixels(images, inputs)
            taken = {name: take(inputs) for name, take in takes}
            wanted = list(dict.fromkeys(output_of[name] for name in outputs))
            values = predictor(taken, [codec.declared.name for codec in wanted])
            found: dict[str, np.ndarray] = {}
            for codec, value in zip(wanted, values, strict=True):
                names = (tensor.name for tensor in codec.declared.tensors)
                found |= zip(names, codec.from_model(value), strict=True)
            return [found[name] for name in outputs]

        return predict

    def blank(self) -> Tensors | None:
        """Inputs to try a model with that came without a sample; None where none would mean anything."""
        blanks = [codec.blank() for codec in self.inputs]
        if any(blank is None for blank in blanks):
            return None
        return {name: array for blank in blanks if blank for name, array in blank.items()}

    def example(self, sample: Tensors) -> Any:
        """A body that a caller may send; None where it would be too long to read."""
        said = {
            codec.declared.name: codec.write([sample[tensor.name] for tensor in codec.declared.tensors])
            for codec in self.inputs
        }
        written = orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)
        return orjson.loads(written) if len(written) <= EXAMPLE_BYTES else None

    def written(self, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
        """The outputs by name, as orjson writes them; `arrays` are all their tensors in order."""
        said, start = {}, 0
        for codec in self.outputs:
            end = start + len(codec.declared.tensors)
            said[codec.declared.name] = codec.write(arrays[start:end])
            start = end
        return said


@cache
def types_of(signature: DeclaredSignature) -> Types:
    """The codecs of a signature, made once."""
    inputs, outputs = (tuple(map(_codec, each)) for each in (signature.inputs, signature.outputs))
    return Types(inputs, outputs)


def check_served(signature: DeclaredSignature, *, values: bool, pandas: bool) -> None:
    """Raise ModelError for a type that a model of its format cannot have.

    `values` says whether its loader calls code with any value, and not with arrays alone; `pandas`, whether
    that takes pandas' DataFrames.
    """
    for each in (*signature.inputs, *signature.outputs):
        if not values:
            _require_arrays(each)
        if each.type == "image" and find_spec("PIL") is None:
            raise ModelError(f"{each.name!r} is an image, which needs Pillow in the model's image")
    for each in signature.inputs:
        if each.type not in _OF_PANDAS:
            continue
        if pandas and find_spec("pandas") is None:
            raise ModelError(f"{each.name!r} is a {each.type}, which needs pandas among the requirements")
        if not pandas and len({column.dtype.name == "string" for column in each.tensors}) > 1:
            problem = f"{each.name!r} has strings beside numbers, but the model takes it as one array"
            raise ModelError(f"{problem}; a category is served by its number")


def _require_arrays(each: Declared) -> None:
    alone = each.type == "text" and not each.shape
    if each.type in _NEEDS_VALUES or alone:
        instead = "; declare its shape as [-1]" if alone else ", which only code of one's own takes"
        raise ModelError(f"{each.name!r} is of type {each}, but the model takes arrays{instead}")


def _codec(declared: Declared) -> Codec:
    return _CODECS[declared.type](declared)
