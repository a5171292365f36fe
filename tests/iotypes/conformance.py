"""What each IO type promises, of a server and of every gateway before one.

Whoever runs this has the fixtures `doors` and `column`, which is what the table calls them.
"""

import os
from collections.abc import Iterator

import grpc
import pytest

from so1s_runtime.rpc.messages import ModelInferRequest
from tests.iotypes.calls import CALLS, Call
from tests.iotypes.door import Doors
from tests.iotypes.models import ALONE
from tests.iotypes.table import PAGE, with_proven
from tests.iotypes.values import FILE_BYTES, base64_of

_FILE = {"content-type": "application/octet-stream", "accept": "application/octet-stream"}
_MODEL = ALONE["file"].name
_LARGE = b"so1s" * (FILE_BYTES // 4)
_TOO_LARGE = 40_000_000
"""More than a file of that size takes in any way, base64 and all."""


@pytest.fixture(scope="module")
def proven(column: str) -> Iterator[set[Call]]:
    """What was answered as it should be; written to docs/models.md where SO1S_WRITE_MODELS is set."""
    seen: set[Call] = set()
    yield seen
    if os.environ.get("SO1S_WRITE_MODELS"):
        PAGE.write_text(with_proven(PAGE.read_text(), column, seen))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.io_type} as {call.way}")
def test_a_value_of_each_io_type_goes_in_and_comes_out_in_each_way(
    doors: Doors, proven: set[Call], call: Call
):
    assert call.answered(doors) == call.wanted
    proven.add(call)


def test_a_file_of_the_declared_size_goes_in_and_comes_out(doors: Doors):
    door, reversed_file = doors[_MODEL], _LARGE[::-1]
    answer = door.post("/predict", headers=_FILE, content=_LARGE).raise_for_status()
    is_whole = answer.content == reversed_file  # apart, as an assertion would show both
    assert is_whole
    answer = door.post("/predict", json={"file": base64_of(_LARGE)}).raise_for_status()
    is_whole = answer.json() == {"file_out": base64_of(reversed_file)}
    assert is_whole


def _in_pieces(size: int) -> Iterator[bytes]:
    while size > 0:
        yield bytes(min(size, 2**20))
        size -= 2**20


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "in pieces"])
def test_a_body_that_is_too_large_is_answered_and_not_cut_off(doors: Doors, is_told: bool):
    door = doors[_MODEL]
    for _ in range(2):  # what the gateway keeps of the first must not break the second
        body = bytes(_TOO_LARGE) if is_told else _in_pieces(_TOO_LARGE)
        status, said = door.post_whole("/predict", body, _FILE["content-type"])
        assert status == 413
        assert b"the body is larger than" in said
        assert door.post("/predict", headers=_FILE, content=b"ab").content == b"ba"


def test_a_message_that_is_too_large_is_answered_and_not_cut_off(doors: Doors):
    tensor = {"name": "file", "datatype": "BYTES", "shape": [1]}
    asked = ModelInferRequest(model_name=_MODEL, inputs=[tensor], raw_input_contents=[bytes(_TOO_LARGE)])
    with pytest.raises(grpc.RpcError) as refused:
        doors[_MODEL].infer(asked)
    if (
        "request buffer limit" not in refused.value.details()
    ):  # of an Envoy that was about to try another replica
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
