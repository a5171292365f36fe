"""`model.json` is read strictly, and every problem in it is told at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.manifest import FORMATS, Batching, Manifest, Signature, TensorSpec, parse, read

names = st.text(min_size=1, max_size=8)
labels = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
specs = st.builds(
    TensorSpec,
    names,
    st.sampled_from(list(DTYPES.values())),
    st.lists(st.just(-1) | st.integers(1, 9), max_size=3).map(tuple),
)
spec_lists = st.lists(specs, min_size=1, max_size=3, unique_by=lambda spec: spec.name).map(tuple)

GOOD = {
    "schema": "so1s-model/v1",
    "name": "fraud",
    "version": "3",
    "format": "skops",
    "file": "model.skops",
    "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 30]}],
    "outputs": [{"name": "label", "dtype": "int64", "shape": [-1]}],
}


batchings = st.builds(
    Batching, st.none() | st.integers(1, 100_000), st.none() | st.floats(0, 10_000) | st.integers(0, 10_000)
)


@given(labels, labels, st.sampled_from(FORMATS), st.builds(Signature, spec_lists, spec_lists), batchings)
def test_a_written_manifest_reads_back_the_same(name, version, model_format, signature, batching):
    manifest = Manifest(
        name=name,
        version=version,
        format=model_format,
        file="m",
        signature=signature,
        sample="s",
        batching=batching,
    )
    assert parse(manifest.to_json()) == manifest


def test_unknown_fields_are_ignored_and_a_sample_is_optional():
    manifest = parse(json.dumps(GOOD | {"colour": "red"}).encode())
    assert manifest.sample is None
    assert str(manifest.signature.inputs[0]) == "float32[-1,30]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "so1s-model/v2"}, "schema must be 'so1s-model/v1', is 'so1s-model/v2'"),
        ({"name": "a/b"}, "name must be 1 to 63 of A-Z a-z 0-9 . _ -, is 'a/b'"),
        ({"name": "a\n"}, "name must be 1 to 63 of"),
        ({"batching": [64]}, r"batching must be an object, is [64]"),
        ({"batching": {"max_rows": 0}}, "batching max_rows must be a whole number from 1 to 100000, is 0"),
        (
            {"batching": {"max_rows": True}},
            "batching max_rows must be a whole number from 1 to 100000, is True",
        ),
        ({"batching": {"max_delay_ms": -1}}, "batching max_delay_ms must be a number from 0 to 10000, is -1"),
        ({"version": 3}, "version must be 1 to 63 of A-Z a-z 0-9 . _ -, is 3"),
        ({"format": "coreml"}, f"format must be one of {', '.join(FORMATS)}, is 'coreml'"),
        ({"format": []}, "format must be one of onnx, skops"),
        ({"file": "../etc/passwd"}, "file must lie inside the model directory"),
        ({"sample": "/etc/passwd"}, "sample must lie inside the model directory"),
        ({"inputs": []}, "inputs must be a list of at least one"),
        ({"inputs": ["x"]}, "inputs must hold objects"),
        (
            {"inputs": [{"name": "x", "dtype": "float33", "shape": []}]},
            "inputs has dtype 'float33', must be one of bool",
        ),
        ({"inputs": [{"name": "x", "dtype": [], "shape": []}]}, "inputs has dtype"),
        ({"outputs": [{"name": "x", "dtype": "int8", "shape": [0]}]}, "outputs has shape [0], must be"),
        ({"outputs": [{"name": "x", "dtype": "int8", "shape": [True]}]}, "outputs has shape"),
        ({"outputs": GOOD["outputs"] * 2}, "outputs must have distinct names"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change, message):
    with pytest.raises(ModelError) as caught:
        parse(json.dumps(GOOD | change).encode())
    assert message in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(
        ModelError, match=r"schema .*; name .*; version .*; format .*; file .*; inputs .*; outputs"
    ):
        parse(b"{}")


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b'{"name": NaN}'])
def test_what_is_no_json_object_is_refused(raw):
    with pytest.raises(ModelError, match=r"model\.json"):
        parse(raw)


def test_a_directory_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"cannot read .*model\.json"):
        read(tmp_path)
