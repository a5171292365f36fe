"""The plain JSON of `POST /predict`; pure.

Request: nested lists by input name, `{"x": [[5.1, 3.5]]}`, or the list alone where the model has one input.
Answer: nested lists by output name, `{"label": [1]}`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from so1s_runtime import tensors
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Signature, TensorSpec


def decode(body: bytes, signature: Signature) -> dict[str, np.ndarray]:
    """The inputs by name. Raises RequestError, which says what does not fit and where."""
    values = tensors.load_json(body)
    if not isinstance(values, dict):
        values = _by_name(values, signature.inputs)
    tensors.check_names(signature.inputs, values)
    arrays = {spec.name: tensors.from_nested(spec, values[spec.name]) for spec in signature.inputs}
    tensors.check_rows(signature.inputs, arrays)
    return arrays


def encode(specs: Sequence[TensorSpec], arrays: Sequence[np.ndarray]) -> bytes:
    """The outputs by name."""
    answer = {spec.name: tensors.jsonable(array) for spec, array in zip(specs, arrays, strict=True)}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _by_name(values: Any, specs: Sequence[TensorSpec]) -> dict[str, Any]:
    names = ", ".join(spec.name for spec in specs)
    if not isinstance(values, list):
        raise RequestError(f"the body must be an object with the inputs {names}")
    if len(specs) > 1:
        raise RequestError(f"the model has {len(specs)} inputs, so the body must be an object with {names}")
    return {specs[0].name: values}
