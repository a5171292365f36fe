"""gRPC's messages: every dtype goes there and back, in both forms, and what does not fit is refused."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pool
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so1s_runtime import binary
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from so1s_runtime.model import Model
from so1s_runtime.rpc.details import failure
from so1s_runtime.rpc.infer import infer
from so1s_runtime.rpc.messages import BadRequest, ModelInferRequest, ModelInferResponse, RetryInfo, Status
from so1s_runtime.slots import retry_after

PROTO = Path(__file__).parents[2] / "runtime/proto"


def echo(*specs: TensorSpec) -> Model:
    """A model that answers what it is asked."""
    signature = Signature(specs, specs)
    manifest = Manifest(name="echo", version="1", format="onnx", file="-", signature=signature)
    return Model(manifest, lambda inputs, names: [inputs[name] for name in names])


def spec_of(name: str, dtype: str) -> TensorSpec:
    return TensorSpec(name, DTYPES[dtype], (-1,))


def arrays_of(name):
    if name == "string":
        return hnp.arrays(object, st.integers(1, 5), elements=st.text(max_size=5))
    finite = {"allow_nan": False, "allow_infinity": False} if DTYPES[name].is_float else {}
    return hnp.arrays(name, st.integers(1, 5), elements=finite)


def request(inputs, raw=(), **more) -> bytes:
    asked = ModelInferRequest(model_name="echo", inputs=inputs, raw_input_contents=raw, **more)
    return asked.SerializeToString()


def tensor(spec, shape, **contents):
    head = {"name": spec.name, "datatype": spec.dtype.oip, "shape": shape}
    return head | ({"contents": contents} if contents else {})


def answer(model, body) -> ModelInferResponse:
    return ModelInferResponse.FromString(infer(model, "r1", body).answer())


@pytest.mark.parametrize("name", DTYPES)
@given(data=st.data())
def test_every_element_type_goes_there_and_back_as_raw_bytes(name, data):
    spec, array = spec_of("x", name), data.draw(arrays_of(name))
    said = answer(echo(spec), request([tensor(spec, array.shape)], [binary.encode(spec, array)]))
    (raw,) = said.raw_output_contents
    np.testing.assert_array_equal(binary.decode(spec, raw, array.shape), array)
    assert (said.model_name, said.id, list(said.outputs[0].shape)) == ("echo", "r1", list(array.shape))


FIELDS = {
    "bool": "bool_contents",
    "int8": "int_contents",
    "int16": "int_contents",
    "int32": "int_contents",
    "int64": "int64_contents",
    "uint8": "uint_contents",
    "uint16": "uint_contents",
    "uint32": "uint_contents",
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "string": "bytes_contents",
}


@pytest.mark.parametrize(("name", "field"), FIELDS.items())
@given(data=st.data())
def test_every_element_type_but_fp16_goes_there_and_back_as_values(name, field, data):
    spec, array = spec_of("x", name), data.draw(arrays_of(name))
    values = [word.encode() for word in array] if name == "string" else array.tolist()
    (output,) = answer(echo(spec), request([tensor(spec, array.shape, **{field: values})])).outputs
    assert list(getattr(output.contents, field)) == values


X, NOTE, HALF = spec_of("x", "float32"), spec_of("note", "string"), spec_of("half", "float16")
TINY = spec_of("tiny", "int8")
ONE = np.float32(1).tobytes()


@pytest.mark.parametrize(
    ("specs", "body", "status", "said"),
    [
        ([X], b"\xff\xff", 400, "the request is no inference.ModelInferRequest"),
        ([X], ModelInferRequest(model_name="other").SerializeToString(), 404, "no model 'other' is served"),
        ([X], request([], model_version="2"), 404, "no model 'echo@2' is served; this is echo@1"),
        ([X], request([]), 400, "input 'x' is missing"),
        ([X], request([tensor(X, [1])] * 2), 400, "distinct names"),
        ([X], request([tensor(NOTE, [1])]), 400, "unknown input 'note'"),
        ([X], request([tensor(X, [1]) | {"datatype": "FP64"}]), 400, "has datatype 'FP64', expected 'FP32'"),
        ([X], request([tensor(X, [-1])], [ONE]), 400, r"has shape \[-1\]"),
        ([X], request([tensor(X, [2**62])], [ONE]), 400, "has 4 bytes"),
        ([X], request([tensor(X, [2])], [ONE]), 400, "has 4 bytes"),
        ([X], request([tensor(X, [1])], [ONE, ONE]), 400, "2 raw_input_contents for 1 inputs"),
        ([X], request([tensor(X, [1], fp32_contents=[1])], [ONE]), 400, "only one may be"),
        ([X], request([tensor(X, [2], fp32_contents=[1])]), 400, "has 1 values"),
        ([X], request([tensor(X, [1], fp64_contents=[1])]), 400, "has 0 values"),
        ([X], request([tensor(X, [1], fp32_contents=[np.nan])]), 400, r"at \[0\] has nan"),
        ([X], request([tensor(X, [1])], [np.float32(np.inf).tobytes()]), 400, r"at \[0\] has inf"),
        ([TINY], request([tensor(TINY, [1], int_contents=[128])]), 400, "128, out of range"),
        ([NOTE], request([tensor(NOTE, [1], bytes_contents=[b"\xff"])]), 400, "not UTF-8"),
        ([HALF], request([tensor(HALF, [1])]), 400, "FP16, which is sent in raw_input_contents alone"),
        ([X], request([tensor(X, [1])], [ONE], outputs=[{"name": "y"}]), 400, "unknown output 'y'"),
        ([X], request([tensor(X, [1])], [ONE], outputs=[{"name": "x"}] * 2), 400, "distinct names"),
    ],
    ids=range(21),
)
def test_a_request_that_does_not_fit_is_refused_with_the_reason(specs, body, status, said):
    with pytest.raises(RequestError, match=said) as refused:
        infer(echo(*specs), "r1", body)
    assert refused.value.status == status


@given(st.binary(max_size=80))
def test_any_bytes_are_decoded_or_refused_with_a_reason(noise):
    good = request([tensor(X, [1])], [ONE])
    for body in (noise, good + noise, good[: len(noise)] + noise):
        with suppress(RequestError):
            infer(echo(X), "r1", body)


def test_an_fp16_output_is_raw_also_where_the_request_was_not():
    body = request([tensor(X, [1], fp32_contents=[1])])
    signature = Signature((X,), (HALF, NOTE))
    manifest = Manifest(name="echo", version="1", format="onnx", file="-", signature=signature)
    model = Model(
        manifest, lambda _, names: [np.array([1], np.float16), np.array(["é"], object)][: len(names)]
    )
    said = answer(model, body)
    assert list(said.raw_output_contents) == [np.float16(1).tobytes(), b"\x02\0\0\0\xc3\xa9"]


def test_a_refusal_tells_a_machine_when_to_come_again_and_which_field_is_wrong():
    busy = failure(RequestError("busy", status=429, headers=retry_after(2)))
    status, retry = Status.FromString(dict(busy.trailers)["grpc-status-details-bin"]), RetryInfo()
    assert (busy.code.name, dict(busy.trailers)["grpc-retry-pushback-ms"]) == ("RESOURCE_EXHAUSTED", "2000")
    assert status.details[0].Unpack(retry)
    assert (status.code, retry.retry_delay.seconds) == (8, 2)
    wrong = failure(RequestError("no", field="x", expected="float32[-1]"))
    violation = BadRequest()
    Status.FromString(dict(wrong.trailers)["grpc-status-details-bin"]).details[0].Unpack(violation)
    assert violation.field_violations[0].field == "x"


def test_the_descriptors_are_those_of_the_proto_files():
    subprocess.run([sys.executable, PROTO / "generate.py", "--check"], check=True)


def test_a_models_code_may_have_messages_of_the_same_name():
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")
