"""The sample of any model, sent in each way that a server takes; what comes back is as libraries say it."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from so1s_runtime.declared import Declared, DeclaredSignature, as_declared
from so1s_runtime.manifest import Manifest
from tests.iotypes import protocol
from tests.iotypes.door import Door
from tests.iotypes.values import Tensor

_FILES = ("file", "image")

Answer = dict[str, Any]
"""By the names of outputs."""


@dataclass(frozen=True)
class Asked:
    """A model as its image describes it, and the body that `POST /predict` takes of it."""

    manifest: Manifest
    sample: Mapping[str, Any]

    @property
    def signature(self) -> DeclaredSignature:
        return self.manifest.declared or as_declared(self.manifest.signature)

    @property
    def types(self) -> list[str]:
        """The IO types that go in."""
        return list(dict.fromkeys(each.type for each in self.signature.inputs))

    def tensors(self) -> list[Tensor]:
        """The sample to the Open Inference Protocol."""
        return [tensor for each in self.signature.inputs for tensor in _tensors(each, self.sample[each.name])]

    def answer(self, read: Callable[[Tensor], Tensor]) -> Answer:
        """The protocol's outputs, as `POST /predict` writes them."""
        empty = {
            each.name: Tensor(each.name, each.dtype.oip, [], []) for each in self.manifest.signature.outputs
        }
        return {each.name: _plain(each, read(empty[each.name])) for each in self.signature.outputs}


def _json(door: Door, asked: Asked) -> Answer:
    return door.post("/predict", json=asked.sample).raise_for_status().json()


def _form(door: Door, asked: Asked) -> Answer:
    parts = {name: (None, json.dumps(value), "application/json") for name, value in asked.sample.items()}
    return door.post("/predict", files=parts).raise_for_status().json()


def _v2_json(door: Door, asked: Asked) -> Answer:
    said = protocol.in_json(door, asked.manifest.name, asked.tensors())
    return asked.answer(lambda output: output.of_json(said[output.name]))


def _v2_binary(door: Door, asked: Asked) -> Answer:
    said = protocol.in_binary(door, asked.manifest.name, asked.tensors())
    return asked.answer(lambda output: output.of_raw(*said[output.name]))


def _grpc(door: Door, asked: Asked) -> Answer:
    said = protocol.over_grpc(door, asked.manifest.name, asked.tensors())
    return asked.answer(lambda output: output.of_raw(*said[output.name]))


WAYS: dict[str, Callable[[Door, Asked], Answer]] = {
    "JSON": _json,
    "a form": _form,
    "v2 JSON": _v2_json,
    "v2 binary": _v2_binary,
    "gRPC": _grpc,
}


def _tensors(declared: Declared, value: Any) -> list[Tensor]:
    if declared.type == "dataframe":
        return [
            _tensor(each.name, each.dtype.oip, [row[each.name] for row in value]) for each in declared.tensors
        ]
    (tensor,) = declared.tensors
    rows = [value] if declared.type != "numpy" and not declared.shape else value
    if declared.type in _FILES:
        files = [base64.b64decode(each) for each in ([value] if isinstance(value, str) else value)]
        return [Tensor(tensor.name, "BYTES", [len(files)], files, is_file=True)]
    if declared.type == "json":
        rows = [json.dumps(each) for each in rows]
    return [_tensor(tensor.name, tensor.dtype.oip, rows)]


def _tensor(name: str, datatype: str, rows: list[Any]) -> Tensor:
    array = np.array(rows, object if datatype == "BYTES" else None)
    data = array.reshape(-1).tolist()
    words = [each.encode() if isinstance(each, str) else each for each in data]
    return Tensor(name, datatype, list(array.shape), words)


def _plain(declared: Declared, said: Tensor) -> Any:
    """One output of the types that the examples answer with."""
    values = [each.decode() if isinstance(each, bytes) else each for each in said.data]
    if declared.type == "json":
        values = [json.loads(each) for each in values]
    if declared.type != "numpy" and not declared.shape:
        (values,) = values
        return values
    return np.array(values, object).reshape(said.shape).tolist()
