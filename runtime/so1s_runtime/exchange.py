"""One request body to a question, whose answer is an HTTP answer; pure, JSON included."""

from functools import partial

from so1s_runtime import plain, protocol
from so1s_runtime.asgi import Response
from so1s_runtime.iotypes import bodies
from so1s_runtime.iotypes.types import Types
from so1s_runtime.model import Model
from so1s_runtime.question import Question


def predict(model: Model, body: bytes) -> Question[Response]:
    """Read the body of `POST /predict`. Raises RequestError."""
    signature = model.manifest.signature
    outputs = signature.outputs
    inputs = plain.decode(body, signature)
    return Question(model, inputs, outputs, lambda arrays: Response(plain.encode(outputs, arrays)))


def predict_typed(
    model: Model, types: Types, content_type: str, accept: str, body: bytes
) -> Question[Response]:
    """Read the body of `POST /predict` of a model whose inputs or outputs are no plain tensors.

    `content_type` is the body's, `accept` what the caller wants to get. Raises RequestError.
    """
    inputs = bodies.decode(types, content_type, body)
    return Question(model, inputs, model.manifest.signature.outputs, partial(bodies.encode, types, accept))


def infer(model: Model, request_id: str, json_length: int | None, body: bytes) -> Question[Response]:
    """Read the body of `POST /v2/models/{name}/infer`.

    `json_length` is where its binary data begins, if it has any. Raises RequestError.
    """
    request = protocol.decode(body, model.manifest.signature, json_length)
    encode = partial(protocol.encode, model.manifest, request, request_id)
    return Question(model, request.inputs, request.outputs, encode)
