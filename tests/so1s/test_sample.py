"""A sample is held against the declared inputs as the inference server holds a request."""

import base64
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from so1s import content_types, sample
from so1s.modelfile import ModelFile
from so1s_runtime import plain
from so1s_runtime.declared import DeclaredSignature, declared_list
from so1s_runtime.errors import RequestError
from so1s_runtime.iotypes import bodies, media
from so1s_runtime.iotypes.types import types_of

NOW_AND_THEN = 12


def described(*inputs: dict, output: str = "numpy") -> ModelFile:
    outputs = [{"name": "y", "type": output} | ({} if output == "text" else {"dtype": "int8", "shape": [-1]})]
    said = {"schema": "so1s/v1", "inputs": list(inputs), "outputs": outputs}
    return ModelFile.parse(yaml.safe_dump(said).encode())


def server_takes(of: ModelFile, name: str, content: bytes) -> bool:
    """Whether the server would, up to what its codecs give to the model; pictures are left out."""
    assert of.signature
    said = of.signature.model_dump()
    declared = DeclaredSignature(declared_list(said["inputs"]), declared_list(said["outputs"]))
    try:
        if declared.is_plain:
            plain.decode(content, declared.tensors)
            return True
        types = types_of(declared)
        arrays = bodies.decode(types, media.of_file(name), content)
        for codec in types.inputs:
            if codec.declared.type in {"text", "file"}:
                codec.to_model(arrays)
    except RequestError:
        return False
    return True


def is_taken(of: ModelFile, name: str, content: bytes) -> bool:
    try:
        sample.check(of, name, content)
    except sample.Misfit:
        return False
    return True


# Inputs, and bodies that fit them but for a place now and then

DTYPES = ["bool", "int8", "uint16", "int64", "uint64", "float16", "float32", "float64", "string"]
ODD = st.sampled_from([None, True, 0, -1, 300, 2**63, 2**64, 0.5, 1e5, 1e39, "", "a", [], [1], {}, {"a": 1}])
OF_DTYPE = {
    "bool": st.booleans(),
    "string": st.text(max_size=3),
    **{name: st.integers(0, 9) for name in DTYPES if "int" in name},
    **{name: st.integers(-3, 3) | st.floats(-9, 9) for name in DTYPES if "float" in name},
}


@st.composite
def columns(draw, of=""):
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    return [draw(column(f"{of}{name}")) for name in names]


@st.composite
def column(draw, name):
    dtype = draw(st.sampled_from(DTYPES))
    nullable = draw(st.booleans()) and (dtype == "string" or "float" in dtype)
    return {"name": name, "dtype": dtype} | ({"nullable": True} if nullable else {})


@st.composite
def declarations(draw, name):
    kind = draw(st.sampled_from(["numpy", "text", "json", "file", "image", "dataframe", "series"]))
    lengths = st.sampled_from([-1, 1, 2])
    if kind == "dataframe":
        return {"name": name, "type": kind, "columns": draw(columns(name))}
    if kind == "series":
        return draw(column(name)) | {"type": kind}
    if kind == "image":
        shape = draw(st.lists(lengths, max_size=1))
        return {"name": name, "type": kind, "shape": [*shape, -1, -1, 3]}
    if kind == "numpy":
        shape = draw(st.lists(lengths, max_size=3))
        return {"name": name, "dtype": draw(st.sampled_from(DTYPES)), "shape": shape}
    limit = {} if kind == "json" else draw(st.sampled_from([{}, {"max_bytes": 2}]))
    return {"name": name, "type": kind, "shape": draw(st.lists(lengths, max_size=1))} | limit


def or_odd(values):
    return st.integers(0, NOW_AND_THEN).flatmap(lambda drawn: ODD if drawn == 0 else values)


def nested(item, shape, rows):
    values = or_odd(item)
    for length in reversed(shape):
        of = rows if length == -1 else length
        values = or_odd(st.lists(values, min_size=of, max_size=of))
    return values


def cells(each, rows):
    item = OF_DTYPE[each["dtype"]]
    return nested(item | st.none() if each.get("nullable") else item, [-1], rows)


@st.composite
def values(draw, declared, rows):
    kind = declared.get("type", "numpy")
    if kind == "dataframe":
        by_column = {each["name"]: draw(cells(each, rows)) for each in declared["columns"]}
        if not all(isinstance(each, list) for each in by_column.values()):
            return by_column
        matrix = [list(row) for row in zip(*by_column.values(), strict=False)]
        forms = [
            by_column,
            [dict(zip(by_column, row, strict=True)) for row in matrix],
            {"columns": list(by_column), "data": matrix},
        ]
        return draw(or_odd(st.sampled_from(forms)))
    if kind == "series":
        return draw(cells(declared, rows))
    if kind == "numpy":
        return draw(nested(OF_DTYPE[declared["dtype"]], declared["shape"], rows))
    items = {
        "text": st.text(max_size=4),
        "json": ODD,
        "file": st.binary(max_size=4).map(lambda raw: base64.b64encode(raw).decode()),
        "image": st.just(""),
    }
    shape = declared["shape"][:-3] if kind == "image" else declared["shape"]
    return draw(nested(items[kind], shape, rows))


@st.composite
def samples(draw):
    inputs = [draw(declarations(name)) for name in draw(st.sampled_from(["x", "xz"]))]
    rows = draw(st.integers(1, 3))
    body = {each["name"]: draw(values(each, rows)) for each in inputs}
    forms = [body, body, body | {"w": 1}, *([next(iter(body.values()))] if len(body) == 1 else [{}, [1]])]
    return inputs, draw(st.sampled_from(forms))


@given(made=samples(), output=st.sampled_from(["numpy", "text"]))
@example(made=([{"name": "x", "dtype": "float16", "shape": [-1]}], [65519.9]), output="numpy")
@example(made=([{"name": "x", "dtype": "float16", "shape": [-1]}], [65520]), output="numpy")
@example(made=([{"name": "x", "dtype": "float32", "shape": [-1]}], [3.4028235677973366e38]), output="numpy")
@example(made=([{"name": "x", "dtype": "int8", "shape": [-1, 2]}], [[1, 128]]), output="numpy")
@example(made=([{"name": "x", "dtype": "int8", "shape": []}], 3), output="text")
@example(made=([{"name": "x", "dtype": "int8", "shape": []}], 3), output="numpy")
def test_the_check_refuses_what_the_server_refuses_and_nothing_else(made, output):
    inputs, body = made
    of, content = described(*inputs, output=output), json.dumps(body).encode()
    assert is_taken(of, "sample.json", content) is server_takes(of, "sample.json", content)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("sign", ["", "u"])
def test_the_bounds_of_integers_are_those_of_the_server(sign, bits):
    of = described({"name": "x", "dtype": f"{sign}int{bits}", "shape": [-1]})
    lowest = 0 if sign else -(2 ** (bits - 1))
    numbers = [lowest, lowest - 1, lowest + 2**bits - 1, lowest + 2**bits]
    contents = [json.dumps([number]).encode() for number in numbers]
    assert [is_taken(of, "x.json", content) for content in contents] == [True, False, True, False]
    assert [server_takes(of, "x.json", content) for content in contents] == [True, False, True, False]


CELLS = st.sampled_from(
    ["", "1", "-1", "300", "1_0", "0.5", "1e39", "nan", "inf", "true", "FALSE", "a", " 2"]
)


@given(
    declared=columns().map(lambda found: {"name": "rows", "type": "dataframe", "columns": found})
    | column("rows").map(lambda found: found | {"type": "series"}),
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=3),
    names=st.none() | st.lists(st.sampled_from(["a", "b", "rows"]), max_size=3),
)
def test_tables_of_csv_are_refused_as_by_the_server(declared, rows, names):
    known = [each["name"] for each in declared.get("columns", [declared])]
    lines = [known if names is None else names, *rows]
    of, content = described(declared), "\n".join(",".join(line) for line in lines).encode()
    assert is_taken(of, "rows.csv", content) is server_takes(of, "rows.csv", content)


ARRAY = {"name": "x", "dtype": "float32", "shape": [-1, 2]}
TEXT = {"name": "prompt", "type": "text", "max_bytes": 4}
FRAME = {"name": "rows", "type": "dataframe", "columns": [{"name": "a", "dtype": "int8"}]}


@pytest.mark.parametrize(
    ("inputs", "name", "content"),
    [
        ([TEXT], "prompt.txt", b"hi"),
        ([TEXT], "prompt.txt", b"too long"),
        ([TEXT], "prompt.txt", b"\xff"),
        ([TEXT], "prompt.csv", b"hi"),
        ([TEXT, ARRAY], "prompt.txt", b"hi"),
        ([TEXT | {"shape": [2]}], "prompt.txt", b"hi"),
        ([{"name": "f", "type": "file", "max_bytes": 2}], "a.bin", b"ab"),
        ([{"name": "f", "type": "file", "max_bytes": 2}], "a.bin", b"abc"),
        ([{"name": "q", "type": "json"}], "q.json", b'{"a": [1]}'),
        ([ARRAY], "x.csv", b"[[1, 2]]"),
        ([ARRAY], "x.csv", b"1,2"),
        ([ARRAY], "x.json", b"[]"),
        ([ARRAY], "x.json", b"[[]]"),
        ([ARRAY], "x.json", b"[[1, 2], 3]"),
        ([ARRAY], "x.json", b"[[1, NaN]]"),
        ([ARRAY], "x.json", b"[[1, 1e999]]"),
        ([ARRAY], "x.json", b"\xef\xbb\xbf[[1, 2]]"),
        ([ARRAY], "x.json", "[[1, 2]]".encode("utf-16")),
        ([ARRAY], "x.json", b"[" * 100_000),
        ([TEXT], "x.json", b'"\\ud800"'),
        ([FRAME], "rows.csv", b""),
        ([FRAME], "rows.csv", b'a\n"1'),
        ([FRAME], "rows.csv", b"\xff"),
    ],
)
def test_other_bodies_are_refused_as_by_the_server(inputs, name, content):
    of = described(*inputs)
    assert is_taken(of, name, content) is server_takes(of, name, content)


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [
        ([ARRAY], [[1, 2], [3, "4"]], "input 'x' at [1, 1] has a string where a number belongs"),
        ([ARRAY], [[1, 2], [3]], "input 'x' at [1] has 1 values, expected 2"),
        ([ARRAY], {"z": [[1, 2]]}, "allowed: an object with x float32[-1,2]; no input is called 'z'"),
        ([ARRAY, TEXT], {"x": [[1, 2]]}, "input 'prompt' is missing"),
        (
            [ARRAY],
            [[1, 1e39]],
            "allowed: x float32[-1,2]; input 'x' at [0, 1] has 1e+39, out of range of float32",
        ),
        ([TEXT], "hello", "input 'prompt' has 5 bytes, at most 4 are taken"),
        (
            [FRAME],
            [{"a": 1}, {"a": 2.5}],
            "input 'rows' at [1, 'a'] has the number 2.5 where an integer belongs",
        ),
        ([FRAME], {"b": [1]}, "input 'rows' lacks the column 'a'"),
        (
            [ARRAY, {"name": "z", "dtype": "bool", "shape": [-1]}],
            {"x": [[1, 2]], "z": [True, True]},
            "{'x': 1, 'z': 2}",
        ),
    ],
)
def test_the_message_names_the_input_the_place_and_what_is_allowed(inputs, body, message):
    with pytest.raises(sample.Misfit) as raised:
        sample.check(described(*inputs), "sample.json", json.dumps(body).encode())
    assert message in str(raised.value)


def test_without_declared_inputs_a_json_file_is_json_and_others_are_anything():
    of = ModelFile.parse(b"schema: so1s/v1")
    assert is_taken(of, "a.json", b"[1]")
    assert not is_taken(of, "a.json", b"x,y")
    assert is_taken(of, "a.csv", b"x,y")


def test_the_command_line_and_the_server_know_the_same_suffixes():
    assert content_types._OF_SUFFIX == media._OF_SUFFIX


def test_the_sample_of_the_example_fits_its_description():
    directory = Path(__file__).parents[2] / "examples/pipeline"
    of = ModelFile.parse((directory / "so1s.yaml").read_bytes())
    assert is_taken(of, "sample.json", json.dumps({"x": [[0.5] * 30]}).encode())
    assert not is_taken(of, "sample.json", json.dumps({"x": [[0.5] * 29]}).encode())
