"""Texts, JSON values and files, through the server that a caller speaks with."""

import base64
import json
from contextlib import suppress

import httpx
import jsonschema
import numpy as np
import onnx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1s_runtime.declared import DeclaredSignature, declared_list
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.iotypes import bodies
from so1s_runtime.iotypes.types import types_of
from so1s_runtime.rpc.infer import infer
from so1s_runtime.rpc.messages import ModelInferRequest, ModelInferResponse

PROMPT = {"name": "prompt", "type": "text"}
PROMPTS = {"name": "prompt", "type": "text", "shape": [-1]}
QUERY = {"name": "query", "type": "json"}
DOCUMENT = {"name": "document", "type": "file", "max_bytes": 8}
X = {"name": "x", "dtype": "float32", "shape": [-1, 2]}
ANSWER = {"name": "answer", "type": "json"}

any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcde", max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)
texts = st.text(st.characters(codec="utf-8"))


@pytest.fixture
async def serve(app_around, client_of):
    """Makes a client of a function that is served with inputs and outputs of some types."""
    clients: list[httpx.AsyncClient] = []

    def make(run, inputs, outputs) -> httpx.AsyncClient:
        clients.append(client_of(app_around(run, inputs, outputs)))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


def types(*inputs, outputs=(ANSWER,)):
    return types_of(DeclaredSignature(declared_list(list(inputs)), declared_list(list(outputs))))


def read(made, body, media="application/json"):
    """What the model's code gets of a body."""
    arrays = bodies.decode(made, media, body)
    return {codec.declared.name: codec.to_model(arrays) for codec in made.inputs}


def written(made, *values):
    """The body that the values of the outputs become."""
    arrays = [
        array for codec, value in zip(made.outputs, values, strict=True) for array in codec.from_model(value)
    ]
    return bodies.encode(made, "", arrays).body


def tensor(name, *items, **changes):
    return {"name": name, "datatype": "BYTES", "shape": [len(items)], "data": list(items)} | changes


@given(texts)
def test_a_text_arrives_as_it_was_sent_in_each_way_and_comes_back(text):
    made = types(PROMPT, outputs=[{"name": "reply", "type": "text"}])
    for body in ({"prompt": text}, text):
        assert read(made, orjson.dumps(body)) == {"prompt": text}
    assert read(made, text.encode(), "text/plain") == {"prompt": text}
    assert json.loads(written(made, text)) == {"reply": text}


@given(any_json)
def test_a_json_value_arrives_as_it_was_sent_and_comes_back(value):
    made = types(QUERY)
    assert read(made, orjson.dumps({"query": value})) == {"query": value}
    assert json.loads(written(made, value)) == {"answer": value}


@given(st.binary())
def test_a_file_arrives_with_every_byte_and_comes_back(raw):
    made = types({"name": "document", "type": "file"}, outputs=[{"name": "copy", "type": "file"}])
    text = base64.b64encode(raw).decode()
    assert read(made, orjson.dumps({"document": text})) == {"document": raw}
    assert read(made, raw, "application/octet-stream") == {"document": raw}
    assert json.loads(written(made, raw)) == {"copy": text}


@given(st.lists(texts, min_size=1, max_size=4))
def test_several_texts_are_a_list(given_texts):
    made = types(PROMPTS, outputs=[{"name": "replies", "type": "text", "shape": [-1]}])
    assert read(made, orjson.dumps({"prompt": given_texts}))["prompt"].tolist() == given_texts
    assert json.loads(written(made, given_texts)) == {"replies": given_texts}


async def test_a_single_json_input_is_the_whole_body(serve):
    client = serve(lambda query: [{"seen": query}], [QUERY], [ANSWER])
    for value in ([1, {"a": None}], {"a": 1}, {"query": 1, "more": 2}, 7, None):
        answer = await client.post("/predict", content=json.dumps(value))
        assert answer.json() == {"answer": {"seen": value}}
    assert (await client.post("/predict", json={"query": 1})).json() == {"answer": {"seen": 1}}


async def test_types_and_tensors_stand_side_by_side(serve):
    def run(prompt, document, x):
        return [f"{prompt}: {document!r}", x.sum(axis=1)]

    outputs = [{"name": "reply", "type": "text"}, {"name": "sum", "dtype": "float32", "shape": [-1]}]
    client = serve(run, [PROMPT, DOCUMENT, X], outputs)
    body = {"prompt": "hi", "document": "AAE=", "x": [[1, 2], [3, 4]]}
    answer = await client.post("/predict", json=body)
    assert answer.json() == {"reply": "hi: b'\\x00\\x01'", "sum": [3, 7]}
    inputs = [
        tensor("prompt", "hi"),
        tensor("document", "AAE="),
        {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]},
    ]
    outputs = (await client.post("/v2/models/iris/infer", json={"inputs": inputs})).json()["outputs"]
    assert outputs[0] == tensor("reply", "hi: b'\\x00\\x01'")
    assert outputs[1]["data"] == [3, 7]


def test_a_file_may_be_among_the_values_of_a_message_of_grpc(app_around):
    app = app_around(lambda document: [document[::-1]], [DOCUMENT], [{"name": "copy", "type": "file"}])
    values = ModelInferRequest(model_name="iris")
    values.inputs.add(name="document", datatype="BYTES", shape=[1]).contents.bytes_contents.append(
        b"\xff\x00"
    )
    answer = ModelInferResponse.FromString(infer(app.model, "7", values.SerializeToString()).answer())
    assert list(answer.outputs[0].contents.bytes_contents) == [b"\x00\xff"]


async def test_the_protocol_has_json_as_a_string(serve):
    client = serve(lambda query: [query["a"]], [QUERY], [ANSWER])
    answer = await client.post("/v2/models/iris/infer", json={"inputs": [tensor("query", '{"a": [1]}')]})
    assert answer.json()["outputs"] == [tensor("answer", "[1]")]
    refused = await client.post("/v2/models/iris/infer", json={"inputs": [tensor("query", "{")]})
    assert (refused.status_code, refused.json()["field"]) == (400, "query")
    assert "is a string that is not JSON" in refused.json()["error"]


async def test_an_answer_comes_as_the_caller_accepts_it(serve):
    client = serve(lambda prompt: [prompt.upper()], [PROMPT], [{"name": "reply", "type": "text"}])
    for accept, body in (
        ("text/plain", b"HI"),
        ("text/plain, */*;q=0.5", b"HI"),
        ("*/*", b'{"reply":"HI"}'),
        ("application/json, text/plain", b'{"reply":"HI"}'),
        ("image/png", b'{"reply":"HI"}'),
    ):
        headers = {"accept": accept, "content-type": "text/plain; charset=utf-8"}
        answer = await client.post("/predict", content=b"hi", headers=headers)
        assert answer.content == body
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("declared", "body", "media", "status", "said"),
    [
        (PROMPT, b"7", "", 400, "input 'prompt' has the number 7 where a string belongs"),
        (PROMPT, b"", "", 400, "the body is not valid JSON"),
        (PROMPT, b'{"prompts": "a"}', "", 400, "input 'prompt' has an object where a string belongs"),
        (PROMPT, b"ab\xff", "text/plain", 400, "input 'prompt' at [2] is not UTF-8"),
        (
            PROMPT,
            b"a,b",
            "text/csv",
            415,
            "the body is text/csv; allowed: application/json, text/plain, multipart",
        ),
        (PROMPTS, b'["a", 7]', "", 400, "input 'prompt' at [1] has the number 7 where a string belongs"),
        (PROMPTS, b"[]", "", 400, "input 'prompt' has shape [0], expected [-1]"),
        (PROMPTS, b'"a"', "", 400, "input 'prompt' is no list"),
        (PROMPTS | {"shape": [2]}, b'["a"]', "", 400, "input 'prompt' has shape [1], expected [2]"),
        (QUERY, b"{", "", 400, "the body is not valid JSON"),
        (QUERY, b"[NaN]", "", 400, "the body is not valid JSON, which has no NaN"),
        (DOCUMENT, b'"a"', "", 400, "input 'document' is not base64"),
        (DOCUMENT, b'"\\u00e9"', "", 400, "input 'document' is not base64"),
        (DOCUMENT, b"123456789", "application/octet-stream", 413, "has 9 bytes, at most 8 are taken"),
        (DOCUMENT, b'"MTIzNDU2Nzg5"', "", 413, "has 9 bytes, at most 8 are taken"),
    ],
)
async def test_wrong_input_is_refused_with_its_place_and_what_belongs_there(  # noqa: PLR0917 - a row of a table
    serve, declared, body, media, status, said
):
    client = serve(lambda **_: [None], [declared], [ANSWER])
    answer = await client.post("/predict", content=body, headers={"content-type": media})
    assert answer.status_code == status
    assert said in answer.json()["error"]


@given(
    st.binary(max_size=30),
    st.sampled_from(["", "text/plain", "application/octet-stream", "image/png", "text/csv"]),
)
def test_no_body_breaks_a_codec(raw, media):
    for declared in (PROMPT, PROMPTS, QUERY, DOCUMENT):
        with suppress(RequestError):
            read(types(declared), raw, media)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"name": "a", "type": "text"}, 7),
        ({"name": "a", "type": "text", "shape": [-1]}, "word"),
        ({"name": "a", "type": "file"}, "word"),
        ({"name": "a", "type": "json"}, object()),
    ],
    ids=["text", "texts", "file", "json"],
)
def test_an_answer_of_another_type_is_the_models_error(declared, value):
    (codec,) = types(PROMPT, outputs=[declared]).outputs
    with pytest.raises(ModelError, match="output 'a'"):
        codec.from_model(value)


def test_a_json_answer_may_hold_numpys_values():
    assert json.loads(written(types(QUERY), {1: np.float32(0.5), "b": np.arange(2)})) == {
        "answer": {"1": 0.5, "b": [0, 1]}
    }


async def test_the_page_has_the_content_types_and_a_schema_that_refuses_what_the_server_refuses(serve):
    client = serve(lambda prompt: [prompt], [PROMPT], [{"name": "reply", "type": "text"}])
    operation = (await client.get("/openapi.json")).json()["paths"]["/predict"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {"application/json", "text/plain", "multipart/form-data"}
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/plain"}
    described = content["application/json"]
    jsonschema.validate(described["example"], described["schema"])
    assert (await client.post("/predict", json=described["example"])).json() == {"reply": ""}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"prompt": 7}, described["schema"])


def _twice(directory):
    """An ONNX model that says everything twice."""
    node = onnx.helper.make_node("StringConcat", ["prompt", "prompt"], ["reply"])
    string = onnx.TensorProto.STRING
    inputs, outputs = (
        [onnx.helper.make_tensor_value_info(name, string, [None])] for name in ("prompt", "reply")
    )
    graph = onnx.helper.make_graph([node], "twice", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, str(directory / "model.onnx"))


def _manifest(directory, declared):
    fields = {
        "schema": "so1s-model/v1",
        "name": "twice",
        "version": "1",
        "format": "onnx",
        "file": "model.onnx",
    }
    outputs = [{"name": "reply", "type": "text", "shape": [-1]}]
    (directory / "model.json").write_text(json.dumps(fields | {"inputs": [declared], "outputs": outputs}))


async def test_a_model_of_arrays_takes_texts_as_an_array(tmp_path, loaded_app, client_of):
    _twice(tmp_path)
    _manifest(tmp_path, PROMPTS)
    async with client_of(loaded_app(tmp_path)) as client:
        answer = await client.post("/predict", content="né", headers={"content-type": "text/plain"})
    assert answer.json() == {"reply": ["néné"]}


@pytest.mark.parametrize(
    "declared", [DOCUMENT | {"name": "prompt"}, PROMPT, QUERY | {"name": "prompt"}], ids=str
)
def test_a_model_of_arrays_cannot_have_a_type_that_is_none(tmp_path, loaded_app, declared):
    _twice(tmp_path)
    _manifest(tmp_path, declared)
    with pytest.raises(ModelError, match=r"'prompt' is of type .*, but the model takes arrays"):
        loaded_app(tmp_path)
