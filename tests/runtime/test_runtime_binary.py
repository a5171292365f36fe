"""The binary tensor extension: every dtype goes there and back, and every wrong length is refused."""

import json
from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so1s_runtime import binary, protocol
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Signature, TensorSpec

WORDS = hnp.arrays(object, st.integers(1, 5), elements=st.text(max_size=5))
FLOATS = {name for name, dtype in DTYPES.items() if dtype.is_float}
SCORE = TensorSpec("score", DTYPES["float32"], (-1,))
X = TensorSpec("x", DTYPES["float32"], (-1, 2))
NOTE = TensorSpec("note", DTYPES["string"], (-1,))
TWO = Signature((X, NOTE), (SCORE,))


def arrays_of(name):
    if name == "string":
        return WORDS
    elements = {"allow_nan": False, "allow_infinity": False} if name in FLOATS else {}
    return hnp.arrays(name, st.integers(1, 5), elements=elements)


@pytest.mark.parametrize("name", DTYPES)
@given(data=st.data())
def test_every_element_type_goes_there_and_back(name, data):
    array = data.draw(arrays_of(name))
    spec = TensorSpec("x", DTYPES[name], (-1,))
    np.testing.assert_array_equal(binary.decode(spec, binary.encode(spec, array), array.shape), array)


def test_numbers_are_read_in_place():
    raw = bytearray(np.ones((2, 2), np.float32).tobytes())
    array = binary.decode(X, memoryview(raw), (2, 2))
    raw[:4] = np.float32(7).tobytes()
    assert array[0, 0] == 7


def message(rows, words, **more):
    """A body, and where its binary data begins."""
    raw = [binary.encode(X, rows), binary.encode(NOTE, words)]
    tensors = [
        {
            "name": spec.name,
            "datatype": spec.dtype.oip,
            "shape": array.shape,
            "parameters": {"binary_data_size": len(part)},
        }
        for spec, array, part in zip(TWO.inputs, (rows, words), raw, strict=True)
    ]
    head = orjson.dumps({"inputs": tensors, **more})
    return b"".join([head, *raw]), len(head)


ROWS, NOTES = np.array([[1, 2], [3, 4]], np.float32), np.array(["a", "é"], object)


def test_inputs_behind_the_json_are_taken_in_their_order():
    body, length = message(ROWS, NOTES)
    request = protocol.decode(body, TWO, length)
    np.testing.assert_array_equal(request.inputs["x"], ROWS)
    assert request.inputs["note"].tolist() == ["a", "é"]


@pytest.mark.parametrize("cut", [1, 4, 7, 20])
def test_a_body_that_is_cut_is_refused(cut):
    body, length = message(ROWS, NOTES)
    with pytest.raises(RequestError, match="bytes of binary data, the body has"):
        protocol.decode(body[:-cut], TWO, length)


def test_json_that_is_longer_than_the_body_is_refused():
    body, _ = message(ROWS, NOTES)
    with pytest.raises(RequestError, match="the header says 9999 bytes of JSON"):
        protocol.decode(body, TWO, 9999)


@given(st.binary(max_size=40), st.integers(0, 50))
def test_any_bytes_are_decoded_or_refused_with_a_reason(raw, length):
    body, start = message(ROWS, NOTES)
    for content, at in ((raw, length), (body[:start] + raw, start), (body, length)):
        with suppress(RequestError):
            protocol.decode(content, TWO, at)


@pytest.mark.parametrize(
    ("spec", "raw", "shape", "said"),
    [
        (X, bytes(12), (2, 2), "has 12 bytes, its shape"),
        (X, bytes(12), (10**9, 10**9), "has 12 bytes, its shape"),
        (X, np.array([[1, np.nan]], np.float32).tobytes(), (1, 2), r"at \[0, 1\] has nan"),
        (TensorSpec("b", DTYPES["bool"], (-1,)), b"\x02", (1,), "neither 0 nor 1"),
        (NOTE, b"\x05\0\0\0ab", (1,), "ends within string 0"),
        (NOTE, b"\x01\0", (1,), "ends within string 0"),
        (NOTE, b"\x01\0\0\0\xff", (1,), "not UTF-8"),
        (NOTE, b"\x01\0\0\0a", (2,), "has 1 strings"),
    ],
)
def test_bytes_that_do_not_fit_are_refused_with_the_reason(spec, raw, shape, said):
    with pytest.raises(RequestError, match=said):
        binary.decode(spec, raw, shape)


def test_an_answer_is_binary_where_it_was_asked_for():
    body, length = message(ROWS, NOTES, outputs=[{"name": "score", "parameters": {"binary_data": True}}])
    assert protocol.decode(body, TWO, length).raw_outputs == ["score"]
    body, length = message(ROWS, NOTES, parameters={"binary_data_output": True})
    assert protocol.decode(body, TWO, length).raw_outputs == ["score"]


async def test_the_server_speaks_it(client, served, rows):
    described = (await client.get("/v2/models/iris")).json()["inputs"][0]
    dtype = {"FP32": np.float32, "FP64": np.float64}[described["datatype"]]
    raw = rows.astype(dtype).tobytes()
    tensor = {**described, "shape": rows.shape, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps(
        {"inputs": [tensor], "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
    )
    headers = {"inference-header-content-length": str(len(head))}
    answer = await client.post("/v2/models/iris/infer", content=head.encode() + raw, headers=headers)
    start = int(answer.raise_for_status().headers["inference-header-content-length"])
    assert json.loads(answer.content[:start])["outputs"][0]["parameters"] == {
        "binary_data_size": 8 * len(rows)
    }
    labels = np.frombuffer(answer.content[start:], np.int64)
    np.testing.assert_array_equal(labels, served.estimator.predict(rows))


async def test_a_length_that_is_no_number_is_refused(client):
    headers = {"inference-header-content-length": "many"}
    answer = await client.post("/v2/models/iris/infer", content=b"{}", headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("asked", [b"", b"{}", b'{"ready": true}'])
async def test_the_repository_holds_the_one_model(client, asked):
    answer = await client.post("/v2/repository/index", content=asked)
    assert answer.json() == [{"name": "iris", "version": "3", "state": "READY", "reason": ""}]


async def test_a_model_that_is_not_ready_is_in_the_repository_unless_ready_ones_are_asked_for(
    served, loaded_app, client_of
):
    app = loaded_app(served.directory)
    app.draining = True
    async with client_of(app) as client:
        (model,) = (await client.post("/v2/repository/index", json={"ready": False})).json()
        assert model["state"] == "UNAVAILABLE"
        assert (await client.post("/v2/repository/index", json={"ready": True})).json() == []


@pytest.mark.parametrize("asked", [b"[]", b"{", b'{"ready": 1}'])
async def test_what_is_no_question_for_the_repository_is_refused(client, asked):
    answer = await client.post("/v2/repository/index", content=asked)
    assert answer.status_code == 400


@pytest.mark.parametrize("change", ["load", "unload"])
async def test_a_server_has_the_model_of_its_image_alone(client, change):
    answer = await client.post(f"/v2/repository/models/iris/{change}")
    assert (answer.status_code, "iris@3 alone" in answer.json()["error"]) == (400, True)
