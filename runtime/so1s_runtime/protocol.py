"""The Open Inference Protocol v2 over REST; pure.

Format: https://github.com/kserve/open-inference-protocol. Tensors are JSON; `data` may be flat, in row-major
order, or nested. The binary tensor extension is not spoken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from so1s_runtime import __version__, tensors
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Manifest, Signature, TensorSpec


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request: its id, if the caller gave one, the inputs by name, and the wanted outputs."""

    id: str | None
    inputs: dict[str, np.ndarray]
    outputs: tuple[TensorSpec, ...]


def decode(body: bytes, signature: Signature) -> InferRequest:
    """Decode the body of `…/infer`. Raises RequestError, which says what does not fit and where."""
    request = tensors.load_json(body)
    if not isinstance(request, dict):
        raise RequestError('the body must be an object with "inputs"')
    request_id = request.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError('"id" must be a string', field="id")
    given = _named_objects(request, "inputs")
    tensors.check_names(signature.inputs, given)
    arrays = {spec.name: _tensor(spec, given[spec.name]) for spec in signature.inputs}
    tensors.check_rows(signature.inputs, arrays)
    return InferRequest(request_id, arrays, _wanted(request, signature.outputs))


def encode(
    manifest: Manifest, request_id: str, specs: Sequence[TensorSpec], arrays: Sequence[np.ndarray]
) -> bytes:
    """The answer to an infer request; `data` is flat."""
    outputs = [
        {
            "name": spec.name,
            "shape": array.shape,
            "datatype": spec.dtype.oip,
            "data": tensors.jsonable(array.reshape(-1)),
        }
        for spec, array in zip(specs, arrays, strict=True)
    ]
    answer = {
        "model_name": manifest.name,
        "model_version": manifest.version,
        "id": request_id,
        "outputs": outputs,
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def server_metadata() -> dict[str, Any]:
    """The answer of `GET /v2`."""
    return {"name": "so1s-runtime", "version": __version__, "extensions": []}


def model_metadata(manifest: Manifest, platform: str) -> dict[str, Any]:
    """The answer of `GET /v2/models/{name}`."""
    return {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": platform,
        "inputs": [_metadata(spec) for spec in manifest.signature.inputs],
        "outputs": [_metadata(spec) for spec in manifest.signature.outputs],
    }


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(spec.shape)}


def _named_objects(request: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """The objects listed under `key`, by their names."""
    values = request.get(key)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise RequestError(f'"{key}" must be a list of objects', field=key)
    if not all(isinstance(value.get("name"), str) for value in values):
        raise RequestError(f'each of "{key}" must have a name', field=key)
    named = {value["name"]: value for value in values}
    if len(named) < len(values):
        raise RequestError(f'"{key}" must have distinct names', field=key)
    return named


def _tensor(spec: TensorSpec, value: Mapping[str, Any]) -> np.ndarray:
    name, data = spec.name, value.get("data")
    if value.get("datatype") != spec.dtype.oip:
        message = f"input {name!r} has datatype {value.get('datatype')!r}, expected {spec.dtype.oip!r}"
        raise RequestError(message, field=name, expected=spec.dtype.oip)
    shape = _shape(spec, value.get("shape"))
    if not isinstance(data, list):
        raise RequestError(f'input {name!r} needs a list "data"', field=name, expected=str(spec))
    if len(shape) == 1 or not data or not isinstance(data[0], list):
        return tensors.from_flat(spec, data, shape)
    array = tensors.from_nested(spec, data)
    if array.shape != shape:
        message = f"input {name!r} has shape {list(shape)}, its data {list(array.shape)}"
        raise RequestError(message, field=name, expected=str(spec))
    return array


def _shape(spec: TensorSpec, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(length) is int for length in value):
        message = f'input {spec.name!r} needs a "shape" that is a list of integers'
        raise RequestError(message, field=spec.name, expected=str(spec))
    tensors.check_shape(spec, tuple(value))
    return tuple(value)


def _wanted(request: Mapping[str, Any], specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs that the request names, or all."""
    if not request.get("outputs"):
        return tuple(specs)
    known = {spec.name: spec for spec in specs}
    names = _named_objects(request, "outputs")
    for name in names:
        if name not in known:
            raise RequestError(f"unknown output {name!r}; the model gives {', '.join(known)}", field=name)
    return tuple(known[name] for name in names)
