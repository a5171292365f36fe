"""The Open Inference Protocol's ways to send tensors, and what comes back by the outputs' names."""

import json
from collections.abc import Sequence
from typing import Any

from so1s_runtime.rpc.messages import ModelInferRequest
from tests.iotypes.door import Door
from tests.iotypes.values import Tensor

_JSON_LENGTH = "inference-header-content-length"

Raw = tuple[list[int], bytes]
"""A tensor's shape and its binary data."""


def in_json(door: Door, model: str, tensors: Sequence[Tensor]) -> dict[str, dict[str, Any]]:
    """With the data as lists; each output as the answer says it."""
    body = {"inputs": [each.json for each in tensors]}
    answer = door.post(f"/v2/models/{model}/infer", json=body).raise_for_status().json()
    return {each["name"]: each for each in answer["outputs"]}


def in_binary(door: Door, model: str, tensors: Sequence[Tensor]) -> dict[str, Raw]:
    """With the data behind the JSON, both ways."""
    inputs = [each.head | {"parameters": {"binary_data_size": len(each.raw)}} for each in tensors]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    answer = door.post(
        f"/v2/models/{model}/infer",
        headers={_JSON_LENGTH: str(len(head)), "content-type": "application/octet-stream"},
        content=b"".join([head, *(each.raw for each in tensors)]),
    ).raise_for_status()
    start = int(answer.headers[_JSON_LENGTH])
    said = {}
    for each in json.loads(answer.content[:start])["outputs"]:
        end = start + each["parameters"]["binary_data_size"]
        said[each["name"]] = (each["shape"], answer.content[start:end])
        start = end
    return said


def over_grpc(door: Door, model: str, tensors: Sequence[Tensor]) -> dict[str, Raw]:
    """With raw contents, both ways."""
    inputs, raw = [each.head for each in tensors], [each.raw for each in tensors]
    answer = door.infer(ModelInferRequest(model_name=model, inputs=inputs, raw_input_contents=raw))
    outputs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {each.name: (list(each.shape), raw) for each, raw in outputs}
