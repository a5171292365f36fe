"""Triton's own client calls a real server, each way it can, and understands what it is told."""

import os

import numpy as np
import pytest

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import read
from tests.runtime.running import started
from tests.runtime.triton.conftest import RefusedError

pytestmark = pytest.mark.clients

HTTP, GRPC = ("json", "binary"), ("grpc", "contents")
# What a status of HTTP is called over gRPC.
CODES = {
    "400": "StatusCode.INVALID_ARGUMENT",
    "404": "StatusCode.NOT_FOUND",
    "413": "StatusCode.RESOURCE_EXHAUSTED",
    "500": "StatusCode.INTERNAL",
    "503": "StatusCode.UNAVAILABLE",
}

each_way = pytest.mark.parametrize("way", [*HTTP, *GRPC])
each_protocol = pytest.mark.parametrize("way", ["json", "grpc"])


def extremes(name: str) -> np.ndarray:
    """The least and the greatest of a type, and two others."""
    dtype = DTYPES[name].numpy
    if dtype.kind == "b":
        return np.array([[True, False], [False, True]])
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return np.array([[limits.min, limits.max], [limits.tiny, -0.1]], dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([[limits.min, limits.max], [0, 1]], dtype)
    return texts("", "größe", "a\0b", "x" * 300)


def texts(*words: str) -> np.ndarray:
    return np.array([word.encode() for word in words], dtype=object).reshape(2, 2)


def asked(**changes) -> dict:
    """A question that the model answers."""
    inputs = {name: extremes(name) for name in DTYPES if name != "float16"}
    return {"model": "same", "inputs": inputs} | changes


def with_input(name: str, values: np.ndarray | None) -> dict:
    """The question with another input; None leaves it out."""
    inputs = asked()["inputs"] | {name: values}
    return asked(inputs={name: each for name, each in inputs.items() if each is not None})


def require_same(given: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
    assert list(outputs) == [f"same_{name}" for name in given]
    for values, came in zip(given.values(), outputs.values(), strict=True):
        assert (came.dtype, came.shape) == (values.dtype, values.shape)
        assert np.vectorize(as_bytes)(came).tolist() == values.tolist()


def as_bytes(value):
    """Strings that come in JSON are no bytes to the client."""
    return value.encode() if isinstance(value, str) else value


def require_refused(triton, way: str, status: str, **question) -> None:
    with pytest.raises(RefusedError) as refused:
        triton(way, "infer", **question)
    assert refused.value.status == (status if way in HTTP else CODES[status]), refused.value


@each_protocol
def test_a_server_that_serves_is_live_and_ready(triton, way):
    assert triton(way, "live")
    assert triton(way, "ready")
    assert triton(way, "model_ready", model="same")
    assert triton(way, "model_ready", model="same", version="7")


def test_a_model_or_version_that_is_not_there_is_not_ready(triton):
    for other in ({"model": "other"}, {"model": "same", "version": "8"}):
        assert not triton("json", "model_ready", **other)
        with pytest.raises(RefusedError) as refused:
            triton("grpc", "model_ready", **other)
        assert refused.value.status == CODES["404"]


@each_protocol
def test_a_server_tells_of_itself_and_its_model(triton, way):
    assert triton(way, "server")["name"] == "so1s-runtime"
    said = triton(way, "model", model="same")
    assert (said["name"], said["versions"]) == ("same", ["7"])
    assert {"name": "int8", "datatype": "INT8", "shape": [-1, 2]} in said["inputs"]
    assert {"name": "same_string", "datatype": "BYTES", "shape": [-1, 2]} in said["outputs"]
    assert triton(way, "index") == [{"name": "same", "version": "7", "state": "READY", "reason": ""}]


@each_way
def test_every_type_comes_back_as_it_was_sent(triton, way):
    require_same(asked()["inputs"], triton(way, "infer", **asked())["outputs"])


@pytest.mark.parametrize("way", ["json", "binary", "grpc"])
def test_half_floats_come_back_as_they_were_sent(same, triton_of, tmp_path, way):
    given = {"float16": extremes("float16")}
    with started(same("float16"), tmp_path / "log") as (_, port):
        answer = triton_of(port)(way, "infer", model="same", inputs=given)
    require_same(given, answer["outputs"])


@each_way
def test_only_the_outputs_that_are_asked_for_come_in_that_order(triton, way):
    wanted = ["same_uint8", "same_string", "same_bool"]
    assert list(triton(way, "infer", **asked(outputs=wanted))["outputs"]) == wanted


@each_way
def test_the_id_of_a_request_is_its_answers_and_one_is_made_where_none_is_given(triton, way):
    assert triton(way, "infer", **asked(request_id="r 7/ü"))["id"] == "r 7/ü"
    assert triton(way, "infer", **asked())["id"]


@each_way
def test_an_answer_tells_which_version_gave_it(triton, way):
    for version in ("", "7"):
        answer = triton(way, "infer", **asked(version=version))
        assert (answer["model"], answer["version"]) == ("same", "7")


@each_way
@pytest.mark.parametrize(
    "question",
    [
        with_input("int8", np.zeros((2, 3), np.int8)),
        with_input("int8", np.zeros((2, 2, 1), np.int8)),
        with_input("int8", np.zeros((1, 2), np.int8)),
        with_input("int8", np.zeros((2, 2), np.int16)),
        with_input("int8", None),
        with_input("other", np.zeros((2, 2), np.int8)),
        with_input("float32", np.full((2, 2), np.nan, np.float32)),
        asked(outputs=["other"]),
    ],
    ids=["columns", "rank", "rows", "type", "missing", "unknown", "nan", "output"],
)
def test_what_does_not_fit_is_the_callers_fault(triton, way, question):
    require_refused(triton, way, "400", **question)


@each_way
@pytest.mark.parametrize("other", [{"model": "other"}, {"version": "8"}], ids=["model", "version"])
def test_a_model_or_version_that_is_not_served_is_not_found(triton, way, other):
    require_refused(triton, way, "404", **asked(**other))


@each_way
def test_a_request_that_is_too_large_is_told_so(triton, way):
    require_refused(triton, way, "413", **with_input("string", texts("", "", "", "x" * 65_536)))


@each_way
def test_a_model_that_fails_is_the_servers_fault(triton, way):
    require_refused(triton, way, "500", **with_input("string", texts("fail", "", "", "")))


@pytest.mark.parametrize("way", ["json", "binary", "grpc"])
def test_what_triton_alone_knows_of_is_passed_over_in_a_request(triton, way):
    options = {"priority": 1, "timeout": 10_000_000, "sequence_id": 9, "parameters": {"mine": "x"}}
    require_same(asked()["inputs"], triton(way, "infer", **asked(**options))["outputs"])


@pytest.mark.parametrize(("way", "status"), [("json", "404"), ("grpc", "StatusCode.UNIMPLEMENTED")])
def test_what_triton_alone_has_is_told_not_to_be_here(triton, way, status):
    with pytest.raises(RefusedError) as refused:
        triton(way, "config", model="same")
    assert refused.value.status == status


def test_a_compressed_message_is_read_over_grpc_and_a_compressed_body_refused_over_http(triton):
    answer = triton("grpc", "infer", **asked(compression_algorithm="gzip"))
    require_same(asked()["inputs"], answer["outputs"])
    require_refused(triton, "binary", "415", **asked(request_compression_algorithm="gzip"))


@each_way
def test_a_forest_answers_as_its_library_does(onnx_model, triton_of, rows, tmp_path, way):
    (x,) = read(onnx_model.directory).signature.inputs
    with started(onnx_model.directory, tmp_path / "log") as (_, port):
        answer = triton_of(port)(way, "infer", model="iris", inputs={x.name: rows})
    label, probability = answer["outputs"].values()
    np.testing.assert_array_equal(label, onnx_model.estimator.predict(rows))
    np.testing.assert_allclose(probability, onnx_model.estimator.predict_proba(rows), atol=1e-6)


@each_protocol
def test_a_server_whose_model_loads_is_live_and_not_ready(same, triton_of, tmp_path, way):
    directory = same("int8")
    os.mkfifo(directory / "wait")
    prepared = directory / "prepared.py"
    prepared.write_text(prepared.read_text().replace("return None", "return open('wait').read()"))
    with started(directory, tmp_path / "log", until="/v2/health/live") as (_, port):
        triton = triton_of(port)
        assert triton(way, "live")
        assert not triton(way, "ready")
        assert not triton(way, "model_ready", model="same")
        assert triton(way, "index")[0]["state"] == "UNAVAILABLE"
        require_refused(triton, way, "503", model="same", inputs={"int8": extremes("int8")})
