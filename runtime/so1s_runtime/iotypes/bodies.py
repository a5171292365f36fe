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
from so1s_runtime.iotypes import form, media
from so1s_runtime.iotypes.codec import Codec, Tensors
from so1s_runtime.iotypes.media import ANY, JSON
from so1s_runtime.iotypes.types import Types

# What is read as JSON; the last one is what curl says of any data, if it is not told.
_AS_JSON = ("", JSON, "application/x-www-form-urlencoded")

# What says nothing of a part of a form: curl's and browsers' guesses, if a file's name tells them nothing.
_UNSAID = ("", "text/plain", ANY)


def decode(types: Types, content_type: str, body: bytes) -> dict[str, np.ndarray]:
    """The tensors that a body holds. Raises RequestError, which says what does not fit and where."""
    specs = [tensor for codec in types.inputs for tensor in codec.declared.tensors]
    said = media.of_header(content_type)
    if said == form.MEDIA:
        arrays = _from_form(types.inputs, form.parts(content_type, body))
    else:
        arrays = _decode(types.inputs, said, body)
    for spec in specs:
        tensors.check_shape(spec, arrays[spec.name].shape)
    tensors.check_rows(specs, arrays)
    return arrays


def encode(types: Types, accept: str, arrays: Sequence[np.ndarray]) -> Response:
    """The answer as the caller wants it."""
    only = types.outputs[0]
    if len(types.outputs) == 1 and only.media and _is_wanted(only, accept):
        return Response(only.write_raw(arrays), content_type=only.media[0].encode())
    return Response(orjson.dumps(types.written(arrays), option=orjson.OPT_SERIALIZE_NUMPY))


def _decode(codecs: Sequence[Codec], said: str, body: bytes) -> dict[str, np.ndarray]:
    only = codecs[0] if len(codecs) == 1 else None
    if said in _AS_JSON:
        return _from_json(codecs, tensors.load_json(body))
    if only and said in only.media:
        return dict(only.read_raw(said, body))
    raise _unread(said, codecs if only else [])


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


def _from_form(codecs: Sequence[Codec], parts: Sequence[form.Part]) -> dict[str, np.ndarray]:
    by_name: dict[str, list[form.Part]] = {}
    for part in parts:
        by_name.setdefault(part.name, []).append(part)
    tensors.check_names([codec.declared for codec in codecs], by_name)
    return {
        name: array
        for codec in codecs
        for name, array in _from_parts(codec, by_name[codec.declared.name]).items()
    }


def _from_parts(codec: Codec, parts: Sequence[form.Part]) -> Tensors:
    """An input; several parts of one name are its rows, one after another."""
    read = [_from_part(codec, part) for part in parts]
    if len(read) == 1:
        return read[0]
    if not all(tensor.has_batch_axis for tensor in codec.declared.tensors):
        raise codec.misfit("is there more than once")
    try:
        return {name: np.concatenate([each[name] for each in read]) for name in read[0]}
    except ValueError as error:
        raise codec.misfit("has parts of different shapes") from error


def _from_part(codec: Codec, part: form.Part) -> Tensors:
    """By its content type; where that says nothing, by the name of its file, or as its type is written."""
    for guess in _guesses(codec, part):
        if guess in codec.media:
            return codec.read_raw(guess, part.raw)
        if guess == JSON:
            return codec.read(tensors.load_json(part.raw))
    raise _unread(part.media, [codec], f"part {part.name!r} of the form")


def _guesses(codec: Codec, part: form.Part) -> list[str]:
    if part.media not in _UNSAID:
        return [part.media]
    return [media.of_file(part.file_name), *(codec.media[:1] or [JSON])] if part.file_name else [codec.field]


def _unread(content_type: str, codecs: Sequence[Codec], what: str = "the body") -> RequestError:
    known = [JSON, *(each for codec in codecs for each in codec.media if each != JSON)]
    allowed = ", ".join(known if what != "the body" else [*known, form.MEDIA])
    return RequestError(f"{what} is {content_type}; allowed: {allowed}", status=415, expected=allowed)


def _is_wanted(codec: Codec, accept: str) -> bool:
    """Whether an Accept header names a type of the codec, before it names JSON."""
    for each in accept.split(","):
        wanted = media.of_header(each)
        if wanted != JSON and wanted in (codec.media[0], f"{codec.media[0].partition('/')[0]}/*"):
            return True
        if wanted in (JSON, "application/*", "*/*"):
            return False
    return False
