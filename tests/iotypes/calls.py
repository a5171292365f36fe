"""The ways in which a model of IO types is called, each by one request with whatever the model takes."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import httpx

from tests.iotypes import protocol
from tests.iotypes.door import Door, Doors
from tests.iotypes.models import ALONE, EVERY, Model
from tests.iotypes.values import VALUES, Tensor, pixels

_PNG = (b"\x89PNG", "iVBORw0KGgo")  # and as base64


class Call(NamedTuple):
    """An IO type and a way to send it."""

    io_type: str
    way: str

    def answered(self, doors: Doors) -> Any:
        """What comes back for a type's value."""
        if self == IN_PARTS:
            return _as_seen(_in_parts(doors[EVERY.name], EVERY))
        if self.way in BODIES:
            return _as_seen(_in_a_body(doors[ALONE[self.io_type].name], self.io_type))
        return _as_seen(WAYS[self.way](doors[EVERY.name], EVERY)[self.io_type])

    @property
    def wanted(self) -> Any:
        """What should come back."""
        if self == IN_PARTS:
            return _as_seen({each: value.answer for each, value in VALUES.items()})
        value = VALUES[self.io_type]
        if self.way in BODIES:
            return _as_seen(value.answer_raw)
        return _as_seen(value.answer_tensors if self.way in _PROTOCOL else value.answer)


def _in_json(door: Door, model: Model) -> dict[str, Any]:
    answer = door.post("/predict", json={each: VALUES[each].json for each in model.types})
    return _outputs(answer)


def _in_a_form(door: Door, model: Model) -> dict[str, Any]:
    return _outputs(door.post("/predict", files={each: VALUES[each].part for each in model.types}))


def _in_parts(door: Door, model: Model) -> dict[str, Any]:
    """A part for each row of an array."""
    whole = [(each, VALUES[each].part) for each in model.types if each != "numpy"]
    rows = [("numpy", (None, json.dumps([row]).encode(), "application/json")) for row in VALUES["numpy"].json]
    return _outputs(door.post("/predict", files=[*rows, *whole]))


def _in_a_body(door: Door, io_type: str) -> bytes:
    value = VALUES[io_type]
    headers = {"content-type": value.media, "accept": value.media}
    answer = door.post("/predict", headers=headers, content=value.raw).raise_for_status()
    assert answer.headers["content-type"] == value.media
    return answer.content


def _in_v2_json(door: Door, model: Model) -> dict[str, Any]:
    said = protocol.in_json(door, model.name, _tensors(model))
    return _by_type(model, lambda tensor: tensor.of_json(said[tensor.name]))


def _in_v2_binary(door: Door, model: Model) -> dict[str, Any]:
    said = protocol.in_binary(door, model.name, _tensors(model))
    return _by_type(model, lambda tensor: tensor.of_raw(*said[tensor.name]))


def _over_grpc(door: Door, model: Model) -> dict[str, Any]:
    said = protocol.over_grpc(door, model.name, _tensors(model))
    return _by_type(model, lambda tensor: tensor.of_raw(*said[tensor.name]))


WAYS: dict[str, Callable[[Door, Model], dict[str, Any]]] = {
    "JSON": _in_json,
    "a form": _in_a_form,
    "v2 JSON": _in_v2_json,
    "v2 binary": _in_v2_binary,
    "gRPC": _over_grpc,
}
_PROTOCOL = ("v2 JSON", "v2 binary", "gRPC")
BODIES = {f"`{value.media}`" for value in VALUES.values() if value.media}
"""Content types of bodies that are one value, and so is the answer."""

IN_PARTS = Call("multipart", "a form of all types, with a part for each row of an array")
CALLS = [
    *(
        Call(io_type, way)
        for io_type, value in VALUES.items()
        for way in (*WAYS, *([f"`{value.media}`"] if value.media else []))
    ),
    IN_PARTS,
]


def _tensors(model: Model) -> list[Tensor]:
    return [tensor for each in model.types for tensor in VALUES[each].tensors]


def _outputs(answer: httpx.Response) -> dict[str, Any]:
    said = answer.raise_for_status().json()
    return {name.removesuffix("_out"): value for name, value in said.items()}


def _by_type(model: Model, read: Callable[[Tensor], Tensor]) -> dict[str, list[Tensor]]:
    return {each: [read(tensor) for tensor in VALUES[each].answer_tensors] for each in model.types}


def _as_seen(said: Any) -> Any:
    """With the pixels of images in their place, as one picture may be written as many files."""
    if isinstance(said, list):
        return [_as_seen(each) for each in said]
    if isinstance(said, Tensor):
        return replace(said, data=_as_seen(said.data))
    if isinstance(said, str | bytes) and said.startswith(_PNG[isinstance(said, str)]):
        return pixels(base64.b64decode(said) if isinstance(said, str) else said)
    return said
