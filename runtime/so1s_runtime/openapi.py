"""The page that explains a model to its callers, in OpenAPI 3.1; pure.

Its schemas are the declared inputs and outputs, its example is the sample that came with the model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from so1s_runtime.iotypes import form
from so1s_runtime.iotypes.codec import Codec, Tensors
from so1s_runtime.iotypes.media import JSON
from so1s_runtime.iotypes.types import EXAMPLE_BYTES, Types, types_of
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from so1s_runtime.schemas import nested
from so1s_runtime.tensors import as_base64

# A page is read by people: a batch of many rows says no more than its first ones.
_EXAMPLE_ROWS = 2

_ERRORS = {
    "400": "the input does not fit: its place and what belongs there",
    "413": "the body is too large",
    "415": "the body is of another content type",
    "429": "too much waits: come again after the time of Retry-After",
    "503": "the model is loading",
    "504": "no answer in time",
}


def document(manifest: Manifest, sample: Tensors | None) -> dict[str, Any]:
    """The OpenAPI document of a model; `sample` is a good input, where there is one."""
    model = f"/v2/models/{manifest.name}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.name,
            "version": manifest.version,
            "description": f"A model of format {manifest.format}, served by So1s.",
        },
        "paths": {
            "/predict": {"post": _predict(manifest, sample)},
            f"{model}/infer": {"post": _infer(manifest.signature, sample)},
            model: {"get": _plain_operation("What the model takes and gives")},
            f"{model}/ready": {"get": _plain_operation("Whether the model answers")},
        },
    }


def _predict(manifest: Manifest, sample: Tensors | None) -> dict[str, Any]:
    if manifest.declared is not None:
        return _predict_typed(types_of(manifest.declared), sample)
    signature = manifest.signature
    example = sample and {spec.name: _example(spec, sample[spec.name]).tolist() for spec in signature.inputs}
    takes, gives = (
        {spec.name: nested(spec) for spec in specs} for specs in (signature.inputs, signature.outputs)
    )
    return _operation("Predict", _json(_named(takes), example), _json(_named(gives)))


def _predict_typed(types: Types, sample: Tensors | None) -> dict[str, Any]:
    takes, gives = (
        {codec.declared.name: codec.schema() for codec in codecs} for codecs in (types.inputs, types.outputs)
    )
    example = sample and types.example(sample)
    return _operation(
        "Predict",
        _json(_named(takes), example) | _raw(types.inputs) | {form.MEDIA: {"schema": _named(takes)}},
        _json(_named(gives)) | _raw(types.outputs),
    )


def _raw(codecs: Sequence[Codec]) -> dict[str, Any]:
    """The content types of a body that is one value itself."""
    return {media: {} for media in codecs[0].media if media != JSON} if len(codecs) == 1 else {}


def _infer(signature: Signature, sample: Tensors | None) -> dict[str, Any]:
    example = sample and {"inputs": [_tensor(spec, sample[spec.name]) for spec in signature.inputs]}
    if example and len(orjson.dumps(example)) > EXAMPLE_BYTES:
        example = None
    takes, gives = _tensors(signature.inputs, "inputs"), _tensors(signature.outputs, "outputs")
    return _operation("Predict by the Open Inference Protocol v2", _json(takes, example), _json(gives))


def _json(schema: Any, example: Any = None) -> dict[str, Any]:
    return {JSON: {"schema": schema} if example is None else {"schema": schema, "example": example}}


def _operation(summary: str, takes: Any, gives: Any) -> dict[str, Any]:
    """`takes` and `gives` are schemas and examples by content type."""
    good = {"description": "the outputs", "content": gives}
    errors = {status: {"description": meaning} for status, meaning in _ERRORS.items()}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": takes},
        "responses": {"200": good, **errors},
    }


def _plain_operation(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "yes"}}}


def _named(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name."""
    return {"type": "object", "properties": properties, "required": list(properties)}


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
    data = as_base64(rows.reshape(-1).tolist())
    return {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(rows.shape), "data": data}


def _example(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    return array[:_EXAMPLE_ROWS] if spec.has_batch_axis else array
