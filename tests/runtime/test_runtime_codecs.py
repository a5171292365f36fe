"""The two JSON forms of a request: pure functions from bytes to arrays and back."""

import json
from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so1s_runtime import plain, protocol
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Manifest, Signature, TensorSpec

X = TensorSpec("x", DTYPES["float32"], (-1, 2))
N = TensorSpec("n", DTYPES["string"], (-1,))
LABEL = TensorSpec("label", DTYPES["int64"], (-1,))
SCORE = TensorSpec("score", DTYPES["float32"], (-1, 2))
ONE = Signature((X,), (LABEL, SCORE))
TWO = Signature((X, N), (LABEL,))
MANIFEST = Manifest(name="fraud", version="3", format="onnx", file="m", signature=ONE)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(2)), elements=finite)


def tensor(**changes):
    return {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} | changes


def body(*inputs, **fields):
    return json.dumps({"inputs": inputs, **fields}).encode()


def asked(*outputs):
    return protocol.InferRequest(None, {}, outputs, raw_outputs=())


@given(matrices)
def test_rows_survive_predict_by_name_and_bare(rows):
    for value in ({"x": rows.tolist()}, rows.tolist()):
        np.testing.assert_array_equal(plain.decode(orjson.dumps(value), ONE)["x"], rows)


@given(matrices)
def test_rows_survive_infer_flat_and_nested(rows):
    for data in (rows.ravel().tolist(), rows.tolist()):
        request = protocol.decode(body(tensor(shape=list(rows.shape), data=data)), ONE)
        np.testing.assert_array_equal(request.inputs["x"], rows)


@given(matrices)
def test_answers_keep_every_bit(scores):
    labels = np.arange(len(scores))
    answer = json.loads(plain.encode(ONE.outputs, [labels, scores]))
    assert answer["label"] == labels.tolist()
    np.testing.assert_array_equal(np.array(answer["score"], np.float32), scores)
    said = protocol.encode(MANIFEST, asked(*ONE.outputs), "7", [labels, scores])
    outputs = json.loads(said.body)["outputs"]
    np.testing.assert_array_equal(
        np.array(outputs[1]["data"], np.float32).reshape(outputs[1]["shape"]), scores
    )


def test_an_infer_answer_has_the_protocols_form():
    answer = json.loads(protocol.encode(MANIFEST, asked(LABEL), "7", [np.array([1, 0])]).body)
    output = {"name": "label", "shape": [2], "datatype": "INT64", "data": [1, 0]}
    assert answer == {"model_name": "fraud", "model_version": "3", "id": "7", "outputs": [output]}


def test_a_number_that_json_cannot_hold_is_answered_as_null():
    scores = np.array([[np.nan, np.inf]], np.float32)
    assert json.loads(plain.encode([SCORE], [scores])) == {"score": [[None, None]]}


def test_several_inputs_go_by_name():
    arrays = plain.decode(b'{"n": ["a"], "x": [[1, 2]]}', TWO)
    assert list(arrays) == ["x", "n"]
    with pytest.raises(RequestError, match="the model has 2 inputs, so the body must be an object with x, n"):
        plain.decode(b"[[1, 2]]", TWO)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"x": [[NaN, 1]]}', "not valid JSON, which has no NaN or Infinity"),
        (b'{"x": [[1e999, 1]]}', "not valid JSON"),
        (b"[" * 5000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"7", "must be an object with the inputs x"),
        (b"{}", "input 'x' is missing"),
        (b'{"x": [[1, 2]], "y": 1}', "unknown input 'y'"),
        (b'{"x": [[1, 2], [3]]}', "has 1 values, expected 2"),
    ],
)
def test_a_hostile_or_wrong_predict_body_is_refused_with_a_reason(raw, message):
    with pytest.raises(RequestError, match=message) as caught:
        plain.decode(raw, ONE)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[]", 'must be an object with "inputs"'),
        (b"{}", '"inputs" must be a list of objects'),
        (body(7), '"inputs" must be a list of objects'),
        (body({"shape": [1]}), 'each of "inputs" must have a name'),
        (body({"name": ["x"]}), 'each of "inputs" must have a name'),
        (body(tensor(), tensor()), '"inputs" must have distinct names'),
        (body(tensor(), id=7), '"id" must be a string'),
        (body(tensor(name="z")), "unknown input 'z'"),
        (body(tensor(datatype="FP64")), "has datatype 'FP64', expected 'FP32'"),
        (body(tensor(shape=None)), 'needs a "shape"'),
        (body(tensor(shape=[1.0, 2])), 'needs a "shape"'),
        (body(tensor(shape=[-1, 2])), r"has shape \[-1, 2\], expected \[-1, 2\]"),
        (body(tensor(shape=[0, 2], data=[])), r"has shape \[0, 2\]"),
        (body(tensor(shape=[2])), r"has shape \[2\]"),
        (body(tensor(data=None)), 'needs a list "data"'),
        (body(tensor(data=[])), "has 0 values"),
        (body(tensor(data=[1, [2]])), r"at \[0, 1\] has a list"),
        (body(tensor(data=[[1, 2], [3, 4]])), r"has shape \[1, 2\], its data \[2, 2\]"),
        (body(tensor(shape=[2**60, 2])), "has 2 values"),
        (body(tensor(), outputs=[{"name": "z"}]), "unknown output 'z'; the model gives label, score"),
        (body(tensor(), outputs="label"), '"outputs" must be a list'),
    ],
)
def test_a_hostile_or_wrong_infer_body_is_refused_with_a_reason(raw, message):
    with pytest.raises(RequestError, match=message) as caught:
        protocol.decode(raw, ONE)
    assert caught.value.status == 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | finite | st.sampled_from(["x", "FP32", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inputs", "outputs", "name", "shape", "datatype", "data", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {
            "inputs": json_values
            | st.lists(
                st.fixed_dictionaries(
                    {"name": st.just("x")},
                    optional={"shape": json_values, "datatype": st.just("FP32"), "data": json_values},
                )
            )
        }
    )
    | json_values
)
def test_no_infer_body_breaks_the_codec(value):
    with suppress(RequestError):
        protocol.decode(orjson.dumps(value), ONE)


def test_only_the_wanted_outputs_are_asked_of_the_model():
    request = protocol.decode(body(tensor(), outputs=[{"name": "score"}], id="42"), ONE)
    assert request.outputs == [SCORE]
    assert request.id == "42"


def test_metadata_names_shapes_and_protocol_types():
    metadata = protocol.model_metadata(MANIFEST, "onnxruntime_onnx")
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
