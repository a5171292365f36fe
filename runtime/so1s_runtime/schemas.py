"""JSON schemas of tensors; pure."""

from typing import Any

import numpy as np

from so1s_runtime.dtypes import Dtype
from so1s_runtime.signature import TensorSpec


def nested(spec: TensorSpec) -> dict[str, Any]:
    """The schema of nested lists."""
    schema = value(spec.dtype)
    for length in reversed(spec.shape):
        limits = {"minItems": 1} if length == -1 else {"minItems": length, "maxItems": length}
        schema = {"type": "array", "items": schema, **limits}
    return {**schema, "description": str(spec)}


def value(dtype: Dtype) -> dict[str, Any]:
    """The schema of one value."""
    if dtype.numpy.kind in "iu":
        limits = np.iinfo(dtype.numpy)
        return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}
    return {"type": {"b": "boolean", "f": "number", "O": "string"}[dtype.numpy.kind]}
