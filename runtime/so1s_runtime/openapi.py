"""The page that explains a model to its callers, in OpenAPI 3.1; pure.

Its schemas are the declared inputs and outputs, its example is the sample that came with the model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from so1s_runtime.dtypes import Dtype
from so1s_runtime.manifest import Manifest, TensorSpec

# A page is read by people: a batch of many rows says no more than its first ones.
_EXAMPLE_ROWS = 2

_ERRORS = {
    "400": "the input does not fit: its place and what belongs there",
    "413": "the body is too large",
    "429": "too much waits: come again after the time of Retry-After",
    "503": "the model is loading",
    "504": "no answer in time",
}


def document(manifest: Manifest, sample: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The OpenAPI document of a model; `sample` is a good input."""
    signature, model = manifest.signature, f"/v2/models/{manifest.name}"
    plain = {spec.name: _example(spec, sample[spec.name]).tolist() for spec in signature.inputs}
    tensor_list = [_tensor(spec, sample[spec.name]) for spec in signature.inputs]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.name,
            "version": manifest.version,
            "description": f"A model of format {manifest.format}, served by So1s.",
        },
        "paths": {
            "/predict": {
                "post": _operation("Predict", _named(signature.inputs), _named(signature.outputs), plain)
            },
            f"{model}/infer": {
                "post": _operation(
                    "Predict by the Open Inference Protocol v2",
                    _tensors(signature.inputs, "inputs"),
                    _tensors(signature.outputs, "outputs"),
                    {"inputs": tensor_list},
                )
            },
            model: {"get": _plain_operation("What the model takes and gives")},
            f"{model}/ready": {"get": _plain_operation("Whether the model answers")},
        },
    }


def _operation(summary: str, takes: Any, gives: Any, example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": takes, "example": example}}
    good = {"description": "the outputs", "content": {"application/json": {"schema": gives}}}
    errors = {status: {"description": meaning} for status, meaning in _ERRORS.items()}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": good, **errors},
    }


def _plain_operation(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "yes"}}}


def _named(specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Nested lists by name."""
    properties = {spec.name: _nested(spec) for spec in specs}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _nested(spec: TensorSpec) -> dict[str, Any]:
    schema = _value(spec.dtype)
    for length in reversed(spec.shape):
        limits = {"minItems": 1} if length == -1 else {"minItems": length, "maxItems": length}
        schema = {"type": "array", "items": schema, **limits}
    return {**schema, "description": str(spec)}


def _value(dtype: Dtype) -> dict[str, Any]:
    if dtype.numpy.kind in "iu":
        limits = np.iinfo(dtype.numpy)
        return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}
    return {"type": {"b": "boolean", "f": "number", "O": "string"}[dtype.numpy.kind]}


def _tensors(specs: Sequence[TensorSpec], key: str) -> dict[str, Any]:
    items = [
        {
            "type": "object",
            "properties": {
                "name": {"const": spec.name},
                "datatype": {"const": spec.dtype.oip},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "data": {"type": "array"},
            },
            "required": ["name", "datatype", "shape"],
        }
        for spec in specs
    ]
    listed = {"type": "array", "items": {"oneOf": items}}
    return {"type": "object", "properties": {"id": {"type": "string"}, key: listed}, "required": [key]}


def _tensor(spec: TensorSpec, array: np.ndarray) -> dict[str, Any]:
    rows = _example(spec, array)
    data = rows.reshape(-1).tolist()
    return {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(rows.shape), "data": data}


def _example(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    return array[:_EXAMPLE_ROWS] if spec.has_batch_axis else array
