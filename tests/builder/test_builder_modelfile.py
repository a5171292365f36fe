"""so1s.yaml: read, checked, written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1s.errors import InvalidInput
from so1s.events import AlertRule, DeployOptions, ResourceOptions, Tensor
from so1s.modelfile import ModelFile

WHOLE = b"""\
schema: so1s/v1
format: skops
file: model.skops
inputs:  [{name: x, dtype: float32, shape: [-1, 30]}]
outputs: [{name: label, dtype: int64, shape: [-1]}]
sample: sample.json
deploy: {resources: {memory_mib: 1024}, scaling: {max_replicas: 4}}
alerts: [{availability_below: 0.99, for_seconds: 300}]
"""


def test_a_whole_file_is_read():
    file = ModelFile.parse(WHOLE)

    assert (file.format, file.file, file.sample) == ("skops", "model.skops", "sample.json")
    assert file.signature
    assert file.signature.inputs == [Tensor(name="x", dtype="float32", shape=[-1, 30])]
    assert file.deploy.resources == ResourceOptions(memory_mib=1024)
    assert file.alerts == [AlertRule(availability_below=0.99, for_seconds=300)]


def test_the_schema_alone_is_a_file():
    file = ModelFile.parse(b"schema: so1s/v1")

    assert file.signature is None
    assert file.deploy == DeployOptions()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"format: skops", "schema is missing"),
        (b"schema: so1s/v2", "schema: 'so1s/v2'"),
        (b"schema: so1s/v1\nformat: coreml", "format: 'coreml'"),
        (b"schema: so1s/v1\nfile: ../model", "file: '../model'"),
        (b"schema: so1s/v1\nfile: /model", "file: '/model'"),
        (b"schema: so1s/v1\nfiel: model", "fiel: 'model'"),
        (
            b"schema: so1s/v1\ninputs: [{name: x, dtype: float, shape: [-1]}]\noutputs: []",
            "inputs.0.dtype: 'float'",
        ),
        (b"schema: so1s/v1\ninputs: [{name: x, dtype: int8, shape: [-1]}]", "inputs and outputs together"),
        (b"schema: so1s/v1\nalerts: [{for_seconds: 3}]", "exactly one of"),
        (b"schema: so1s/v1\ndeploy: {resources: {memory_mib: 1}}", "deploy.resources.memory_mib: 1"),
        (b"schema: so1s/v1\ndata: [{uri: s3://a/b}]", "data.0.name is missing"),
        (b"schema: so1s/v1\ndata: [{name: a, uri: 's3://a b'}]", "a URI without spaces"),
        (b"schema: so1s/v1\ndata: [{name: a, sha256: 12}]", "data.0.sha256"),
        (b"schema: so1s/v1\ndata: [{name: a}, {name: a}]", "distinct names"),
        (b"- schema", "a mapping"),
        (b"schema: [", "line 1 column 10"),
        (b"\xff", "so1s.yaml"),
        (b"a: &a [x]\nb: [*a, *a]", "aliases are not allowed"),
        (b"#" * 70_000, "at most 65536 bytes"),
        (b"schema: 2026-13-45", "allowed: YAML without aliases"),
        (b"schema: 0b_", "allowed: YAML without aliases"),
        (b"schema: " + b"[" * 30_000, "allowed: YAML without aliases"),
    ],
)
def test_a_wrong_file_names_the_field_its_value_and_what_is_allowed(text, said):
    with pytest.raises(InvalidInput) as error:
        ModelFile.parse(text)

    assert said in str(error.value)


TENSORS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(min_size=1, max_size=5),
            "dtype": st.sampled_from(["float32", "int64", "string"]),
            "shape": st.lists(st.just(-1) | st.integers(1, 9), max_size=3),
        }
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each["name"],
)


@given(inputs=TENSORS, outputs=TENSORS, memory=st.none() | st.integers(16, 4096))
def test_what_is_written_is_read_again(inputs, outputs, memory):
    file = ModelFile.model_validate(
        {
            "schema": "so1s/v1",
            "inputs": inputs,
            "outputs": outputs,
            "deploy": {"resources": {"memory_mib": memory}},
        }
    )

    assert ModelFile.parse(file.to_yaml().encode()) == file


def test_a_text_and_a_file_need_no_dtype_and_no_shape():
    file = ModelFile.parse(
        b"schema: so1s/v1\ninputs: [{name: a, type: text}, {name: b, type: file, max_bytes: 9}]\n"
        b"outputs: [{name: c, type: json, shape: [-1]}]"
    )
    assert file.signature
    assert [str(each) for each in (*file.signature.inputs, *file.signature.outputs)] == [
        "a text",
        "b file",
        "c json[-1]",
    ]


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ("{name: a, type: [text]}", r"inputs.0.type: \['text'\]"),
        ("{name: a, type: fiel}", "should be 'numpy', 'json', 'text'"),
        (
            "{name: a, type: text, shape: [2, 2]}",
            r"allowed: a text without dtype, and with no shape, \[-1\] or \[N\]",
        ),
        ("{name: a, type: file, dtype: int8}", "allowed: a file without dtype"),
        ("{name: a, type: image, shape: [-1, -1, 2]}", "allowed: an image of"),
        ("{name: a, type: image, dtype: float32}", "allowed: an image of"),
        ("{name: a, type: dataframe}", "allowed: columns of a dataframe, at least one"),
        ("{name: a, type: dataframe, columns: [{name: a, dtype: int8}]}", "distinct names"),
        ("{name: a, type: dataframe, columns: [{name: b, dtype: int}]}", "inputs.0.columns.0.dtype: 'int'"),
        ("{name: a, dtype: int8, shape: [0]}", "allowed: a length of at least 1, or -1 for any"),
        ("{name: a, type: text}, {name: a, type: text}", "allowed: distinct names"),
        ("{name: a, type: series, dtype: int8, nullable: true}", "allowed: nullable of float16"),
        (
            "{name: a, dtype: int8, shape: [-1], max_bytes: 3}",
            "allowed: max_bytes with a type of json, text, file, image",
        ),
    ],
)
def test_a_type_that_does_not_fit_is_refused(declared, problem):
    with pytest.raises(InvalidInput, match=problem):
        ModelFile.parse(f"schema: so1s/v1\ninputs: [{declared}]\noutputs: [{declared}]".encode())
