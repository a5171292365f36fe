"""Bodies of `POST /predict` by their content type, and answers by what the caller accepts; pure.

A body is JSON, or the bytes of the model's only input, or a form. So is an answer JSON, or the bytes of the
model's only output where the caller asks for their type. Content types are those of RFC 9110, section 8.3.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from so1s_runtime import tensors
from so1s_runtime.asgi import Response
from so1s_runtime.errors import RequestError
from so1s_runtime.iotypes.codec import Codec, Tensors
from so1s_runtime.iotypes.media import JSON, of_header
from so1s_runtime.iotypes.types import Types

# What is read as JSON; the last one is what curl says of any data, if it is not told.
_AS_JSON = ("", JSON, "application/x-www-form-urlencoded")


def decode(types: Types, media: str, body: bytes) -> dict[str, np.ndarray]:
    """The tensors that a body holds. Raises RequestError, which says what does not fit and where."""
    arrays = _decode(types.inputs, media, body)
    tensors.check_rows([tensor for codec in types.inputs for tensor in codec.declared.tensors], arrays)
    return arrays


def encode(types: Types, accept: bytes, arrays: Sequence[np.ndarray]) -> Response:
    """The answer as the caller wants it."""
    only = types.outputs[0]
    if len(types.outputs) == 1 and only.media and _is_wanted(only, accept):
        return Response(only.write_raw(arrays), content_type=only.media[0].encode())
    return Response(orjson.dumps(types.written(arrays), option=orjson.OPT_SERIALIZE_NUMPY))


def read_as(codec: Codec, media: str, raw: bytes) -> Tensors:
    """One input from bytes of a content type. Raises RequestError."""
    if media in codec.media:
        return codec.read_raw(media, raw)
    if media in _AS_JSON:
        return codec.read(tensors.load_json(raw))
    raise _unread(media, [codec])


def _decode(codecs: Sequence[Codec], media: str, body: bytes) -> dict[str, np.ndarray]:
    only = codecs[0] if len(codecs) == 1 else None
    if media in _AS_JSON:
        return _from_json(codecs, tensors.load_json(body))
    if only and media in only.media:
        return dict(only.read_raw(media, body))
    raise _unread(media, codecs if only else [])


def _from_json(codecs: Sequence[Codec], value: Any) -> dict[str, np.ndarray]:
    if len(codecs) == 1 and codecs[0].is_bare(value):
        return dict(codecs[0].read(value))
    values = _object(codecs, value)
    tensors.check_names([codec.declared for codec in codecs], values)
    return {
        name: array for codec in codecs for name, array in codec.read(values[codec.declared.name]).items()
    }


def _object(codecs: Sequence[Codec], value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    names = ", ".join(codec.declared.name for codec in codecs)
    raise RequestError(f"the model has {len(codecs)} inputs, so the body must be an object with {names}")


def _unread(media: str, codecs: Sequence[Codec]) -> RequestError:
    known = [JSON, *(each for codec in codecs for each in codec.media if each != JSON)]
    allowed = ", ".join(known)
    return RequestError(f"the body is {media}; allowed: {allowed}", status=415, expected=allowed)


def _is_wanted(codec: Codec, accept: bytes) -> bool:
    """Whether an Accept header names a type of the codec, before it names JSON."""
    for each in accept.lower().split(b","):
        media = of_header(each)
        if media in codec.media and media != JSON:
            return True
        if media in (JSON, "application/*", "*/*"):
            return False
    return False
