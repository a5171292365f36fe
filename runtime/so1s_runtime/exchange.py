"""One request body in, one answer body out: the work of a worker thread, JSON included."""

from so1s_runtime import plain, protocol
from so1s_runtime.model import Model


def predict(model: Model, body: bytes) -> bytes:
    """Answer `POST /predict`. Raises RequestError."""
    outputs = model.manifest.signature.outputs
    return plain.encode(outputs, model.run(plain.decode(body, model.manifest.signature), outputs))


def infer(model: Model, request_id: str, body: bytes) -> bytes:
    """Answer `POST /v2/models/{name}/infer`. Raises RequestError."""
    request = protocol.decode(body, model.manifest.signature)
    answer = model.run(request.inputs, request.outputs)
    return protocol.encode(model.manifest, request.id or request_id, request.outputs, answer)
