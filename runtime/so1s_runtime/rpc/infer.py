"""One `ModelInfer` request to a question, whose answer is a response; pure.

Tensors are raw bytes beside the message, or values in it. The answer has the form of the request, but where
an output is FP16, which has no values in the protocol: then it is raw.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from so1s_runtime import binary, tensors
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Manifest, TensorSpec
from so1s_runtime.model import Model
from so1s_runtime.question import Question
from so1s_runtime.rpc.messages import ModelInferRequest, ModelInferResponse

# The field that holds the values of an element type.
_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def infer(model: Model, request_id: str, body: bytes) -> Question[bytes]:
    """Read a serialized request. Raises RequestError."""
    request = parse(ModelInferRequest, body)
    check_model(model.manifest, request.model_name, request.model_version)
    signature = model.manifest.signature
    inputs = _inputs(request, signature.inputs)
    outputs = tensors.pick(signature.outputs, [output.name for output in request.outputs])
    is_raw = bool(request.raw_input_contents) or any(spec.dtype.oip not in _FIELDS for spec in outputs)
    encode = partial(_encode, model.manifest, request.id or request_id, outputs, is_raw=is_raw)
    return Question(model, inputs, outputs, encode)


def parse(message: Any, body: bytes) -> Any:
    """A message of that class. Raises RequestError."""
    try:
        return message.FromString(body)
    except DecodeError as error:
        raise RequestError(f"the request is no {message.DESCRIPTOR.full_name}: {error}") from error


def check_model(manifest: Manifest, name: str, version: str) -> None:
    """Raise RequestError (404) unless the model is the one that is served; an empty version is any."""
    if name != manifest.name or version not in ("", manifest.version):
        asked = f"{name}@{version}" if version else name
        message = f"no model {asked!r:.160} is served; this is {manifest.name}@{manifest.version}"
        raise RequestError(message, status=404, expected=manifest.name)


def _inputs(request: Any, specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    given = {tensor.name: tensor for tensor in request.inputs}
    if len(given) < len(request.inputs):
        raise RequestError('"inputs" must have distinct names', field="inputs")
    tensors.check_names(specs, given)
    raw = _raw(request)
    arrays = {spec.name: _tensor(spec, given[spec.name], raw) for spec in specs}
    tensors.check_rows(specs, arrays)
    return arrays


def _raw(request: Any) -> dict[str, bytes]:
    """The bytes of each input, where they lie beside the message: of all inputs, or of none."""
    if not request.raw_input_contents:
        return {}
    if len(request.raw_input_contents) != len(request.inputs):
        said = f"{len(request.raw_input_contents)} raw_input_contents for {len(request.inputs)} inputs"
        raise RequestError(f"{said}; each needs one, in their order", field="raw_input_contents")
    for tensor in request.inputs:
        if tensor.HasField("contents"):
            message = f"input {tensor.name!r} has contents, beside raw_input_contents: only one may be"
            raise RequestError(message, field=tensor.name)
    names = (tensor.name for tensor in request.inputs)
    return dict(zip(names, request.raw_input_contents, strict=True))


def _tensor(spec: TensorSpec, tensor: Any, raw: dict[str, bytes]) -> np.ndarray:
    tensors.check_datatype(spec, tensor.datatype)
    shape = tuple(tensor.shape)
    tensors.check_shape(spec, shape)
    if raw:
        return binary.decode(spec, raw[spec.name], shape)
    field = _FIELDS.get(spec.dtype.oip)
    if field is None:
        message = f"input {spec.name!r} is {spec.dtype.oip}, which is sent in raw_input_contents alone"
        raise RequestError(message, field=spec.name, expected=str(spec))
    values = getattr(tensor.contents, field)
    if spec.dtype.name == "string":
        return tensors.from_flat(spec, binary.texts(spec, values), shape)
    return tensors.from_flat(spec, list(values), shape)


def _encode(
    manifest: Manifest,
    request_id: str,
    outputs: Sequence[TensorSpec],
    arrays: Sequence[np.ndarray],
    *,
    is_raw: bool,
) -> bytes:
    answer = ModelInferResponse(model_name=manifest.name, model_version=manifest.version, id=request_id)
    for spec, array in zip(outputs, arrays, strict=True):
        tensor = answer.outputs.add(name=spec.name, datatype=spec.dtype.oip, shape=array.shape)
        if is_raw:
            answer.raw_output_contents.append(binary.encode(spec, array))
        else:
            getattr(tensor.contents, _FIELDS[spec.dtype.oip]).extend(_values(spec, array))
    return answer.SerializeToString()


def _values(spec: TensorSpec, array: np.ndarray) -> list[Any]:
    values = array.reshape(-1).tolist()
    return [binary.word(value) for value in values] if spec.dtype.oip == "BYTES" else values
