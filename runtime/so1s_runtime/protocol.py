"""The Open Inference Protocol v2 over REST; pure.

Format: https://github.com/kserve/open-inference-protocol. Tensors are JSON, where `data` may be flat, in
row-major order, or nested; or binary, as the binary tensor data extension says: the body is JSON of the
length that a header tells, then the bytes of the tensors that have `binary_data_size`, in their order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from so1s_runtime import __version__, binary, tensors
from so1s_runtime.asgi import Response
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Manifest, Signature, TensorSpec

JSON_LENGTH = b"inference-header-content-length"

_BINARY = b"application/octet-stream"

# What JSON is read as; to look for these is quicker than to ask each value.
_OBJECT, _STRING, _INTEGER = frozenset({dict}), frozenset({str}), frozenset({int})

_NOTHING = memoryview(b"")


@dataclass(slots=True)
class InferRequest:
    """A decoded request: its id, if the caller gave one, the inputs by name, and the wanted outputs.

    The answer holds the outputs that `raw_outputs` names as bytes, and the others as JSON.
    """

    id: str | None
    inputs: dict[str, np.ndarray]
    outputs: Sequence[TensorSpec]
    raw_outputs: Collection[str]


def decode(body: bytes, signature: Signature, json_length: int | None = None) -> InferRequest:
    """Decode the body of `…/infer`. Raises RequestError, which says what does not fit and where."""
    if json_length is not None and json_length > len(body):
        message = f"the header says {json_length} bytes of JSON, the body has {len(body)}"
        raise RequestError(message, field=JSON_LENGTH.decode())
    request = tensors.load_json(body if json_length is None else memoryview(body)[:json_length])
    if not isinstance(request, dict):
        raise RequestError('the body must be an object with "inputs"')
    request_id = request.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError('"id" must be a string', field="id")
    given = _named_objects(request, "inputs")
    tensors.check_names(signature.inputs, given)
    raw = _raw(given, memoryview(body)[json_length:] if json_length is not None else _NOTHING)
    arrays = {spec.name: _tensor(spec, given[spec.name], raw) for spec in signature.inputs}
    tensors.check_rows(signature.inputs, arrays)
    return InferRequest(request_id, arrays, *_wanted(request, signature.outputs))


def encode(
    manifest: Manifest, request: InferRequest, request_id: str, arrays: Sequence[np.ndarray]
) -> Response:
    """The answer to an infer request, which `request_id` names where the caller did not; `data` is flat."""
    said, raw = [], []
    for spec, array in zip(request.outputs, arrays, strict=True):
        tensor: dict[str, Any] = {"name": spec.name, "shape": array.shape, "datatype": spec.dtype.oip}
        if spec.name in request.raw_outputs:
            raw.append(binary.encode(spec, array))
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = tensors.jsonable(array.reshape(-1))
        said.append(tensor)
    answer = {
        "model_name": manifest.name,
        "model_version": manifest.version,
        "id": request.id or request_id,
        "outputs": said,
    }
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not raw:
        return Response(head)
    return Response(b"".join([head, *raw]), headers=[(JSON_LENGTH, b"%d" % len(head))], content_type=_BINARY)


def server_metadata() -> dict[str, Any]:
    """The answer of `GET /v2`."""
    return {
        "name": "so1s-runtime",
        "version": __version__,
        "extensions": ["binary_tensor_data", "model_repository"],
    }


def model_metadata(manifest: Manifest, platform: str) -> dict[str, Any]:
    """The answer of `GET /v2/models/{name}`."""
    return {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": platform,
        "inputs": [_metadata(spec) for spec in manifest.signature.inputs],
        "outputs": [_metadata(spec) for spec in manifest.signature.outputs],
    }


def repository_index(manifest: Manifest, *, ready: bool, only_ready: bool) -> list[dict[str, str]]:
    """The answer of `POST /v2/repository/index`: the one model that is served, if that is asked for."""
    state, reason = (
        ("READY", "") if ready else ("UNAVAILABLE", "it is loading, or the server is about to stop")
    )
    model = {"name": manifest.name, "version": manifest.version, "state": state, "reason": reason}
    return [model] if ready or not only_ready else []


def asks_for_ready(body: bytes) -> bool:
    """Whether the body of `POST /v2/repository/index` asks for ready models alone. Raises RequestError."""
    request = tensors.load_json(body or b"{}")
    if not isinstance(request, dict):
        raise RequestError("the body must be an object")
    only_ready = request.get("ready", False)
    if not isinstance(only_ready, bool):
        raise RequestError('"ready" must be true or false', field="ready")
    return only_ready


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(spec.shape)}


def _named_objects(request: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """The objects listed under `key`, by their names."""
    values = request.get(key)
    if not isinstance(values, list) or not _OBJECT.issuperset(map(type, values)):
        raise RequestError(f'"{key}" must be a list of objects', field=key)
    names = [value.get("name") for value in values]
    if not _STRING.issuperset(map(type, names)):
        raise RequestError(f'each of "{key}" must have a name', field=key)
    named = dict(zip(names, values, strict=True))
    if len(named) < len(values):
        raise RequestError(f'"{key}" must have distinct names', field=key)
    return named


def _parameters(value: Mapping[str, Any], field: str) -> dict[str, Any]:
    parameters = value.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError('"parameters" must be an object', field=field)
    return parameters


def _raw(given: Mapping[str, Mapping[str, Any]], rest: memoryview) -> dict[str, memoryview]:
    """The bytes of each input that has its data behind the JSON, in the order of their mention."""
    sizes: dict[str, int] = {}
    for name, value in given.items():
        if "parameters" not in value:
            continue
        size = _parameters(value, name).get("binary_data_size")
        if size is None:
            continue
        if type(size) is not int or size < 0:
            raise RequestError(f'"binary_data_size" must be a number of bytes, is {size!r:.40}', field=name)
        sizes[name] = size
    if sum(sizes.values()) != len(rest):
        message = f"inputs have {sum(sizes.values())} bytes of binary data, the body has {len(rest)}"
        raise RequestError(message, field="binary_data_size")
    return binary.cut(rest, sizes)


def _tensor(spec: TensorSpec, value: Mapping[str, Any], raw: Mapping[str, memoryview]) -> np.ndarray:
    name, data = spec.name, value.get("data")
    tensors.check_datatype(spec, value.get("datatype"))
    shape = _shape(spec, value.get("shape"))
    if name in raw:
        return binary.decode(spec, raw[name], shape)
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
    if not isinstance(value, list) or not _INTEGER.issuperset(map(type, value)):
        message = f'input {spec.name!r} needs a "shape" that is a list of integers'
        raise RequestError(message, field=spec.name, expected=str(spec))
    shape = tuple(value)
    tensors.check_shape(spec, shape)
    return shape


def _wanted(
    request: Mapping[str, Any], specs: Sequence[TensorSpec]
) -> tuple[Sequence[TensorSpec], Collection[str]]:
    """The outputs that the request names, or all; and the names of those that are to be bytes."""
    all_binary = _parameters(request, "parameters").get("binary_data_output", False) is True
    if not request.get("outputs"):
        return specs, [spec.name for spec in specs] if all_binary else ()
    named = _named_objects(request, "outputs")
    picked = tensors.pick(specs, list(named))
    raw = [
        name
        for name, value in named.items()
        if _parameters(value, name).get("binary_data", all_binary) is True
    ]
    return picked, raw
