"""The JSON schema of so1s.yaml says what its parser does, and its page names every field."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from so1s.contracts import golden, modelfile
from so1s.errors import InvalidInput
from so1s.modelfile import ModelFile

ROOT = Path(__file__).parents[2]
SCHEMA = modelfile.schema()
VALIDATOR = Draft202012Validator(SCHEMA)
WRITTEN = [
    *(path for path in ROOT.glob("examples/**/so1s.yaml") if ".so1s" not in path.parts),
    *(ROOT / "shared/so1s/cli/templates").rglob("so1s.yaml"),
]
HEAD = "schema: so1s/v1\n"


def parses(text: str) -> bool:
    try:
        ModelFile.parse(text.encode())
    except InvalidInput:
        return False
    return True


def in_page() -> list[str]:
    return [block for block in re.findall(r"```yaml\n(.*?)```", modelfile.page(), re.DOTALL) if HEAD in block]


def in_training_scripts() -> list[str]:
    """What the examples' scripts write: literals."""
    paths = (ROOT / "examples/models").glob("*/train.py")
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and HEAD in node.value
    ]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(modelfile.schema())


@pytest.mark.parametrize("path", WRITTEN, ids=str)
def test_every_file_in_the_tree_passes_the_schema_and_the_parser(path):
    VALIDATOR.validate(yaml.safe_load(path.read_text()))
    assert parses(path.read_text())


@pytest.mark.parametrize(
    "text",
    dict.fromkeys([*in_page(), *(text.encode().decode("unicode_escape") for text in in_training_scripts())]),
)
def test_every_file_that_is_shown_or_written_by_an_example_passes_both(text):
    VALIDATOR.validate(yaml.safe_load(text))
    assert parses(text)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.just(0.5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)
WORDS = st.sampled_from(["abc", "A.json", "a/b", "numpy>=2", "/a", "../a", ".", "", "a\\b"])


def near(node: dict) -> st.SearchStrategy:
    """Values that a node of the schema takes, and one time in twenty any other."""
    return st.integers(0, 19).flatmap(lambda drawn: ANY if drawn == 0 else fitting(node))


def fitting(node: dict) -> st.SearchStrategy:
    if "$ref" in node:
        return fitting(SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return st.one_of(*map(fitting, node["anyOf"]))
    if "properties" in node:
        return objects_of(node)
    if "enum" in node or "const" in node:
        return st.sampled_from(node.get("enum", [node.get("const")]))
    if node["type"] == "array":
        return st.lists(near(node["items"]), min_size=node.get("minItems", 0), max_size=3)
    kinds = {
        "integer": st.integers(node.get("minimum", -1), node.get("maximum", 9)),
        "number": st.floats(0.1, node.get("maximum", 9)) | st.just(1),
        "boolean": st.booleans(),
        "null": st.none(),
        "string": WORDS | st.text(max_size=4),
    }
    return kinds[node["type"]]


def objects_of(node: dict) -> st.SearchStrategy:
    fields = {name: near(each) for name, each in node["properties"].items()}
    required = {name: fields.pop(name) for name in node.get("required", ())}
    return st.sets(st.sampled_from(sorted(fields)), max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries(required | {name: fields[name] for name in chosen})
    )


def described(declared: dict) -> dict:
    return {"schema": "so1s/v1", "inputs": [declared], "outputs": [{"name": "out", "type": "text"}]}


@given(said=near(SCHEMA) | objects_of(SCHEMA["$defs"]["DeclaredTensor"]).map(described))
def test_what_the_schema_refuses_the_parser_refuses(said):
    if not VALIDATOR.is_valid(said):
        assert not parses(yaml.safe_dump(said))


@pytest.mark.parametrize(
    "lines",
    [
        "fromat: skops",
        "format: coreml",
        "format: [skops]",
        "file: /model",
        "file: a\\\\b",
        "inputs: []",
        "inputs: [{name: x, dtype: int8, shape: [-1]}]",
        "sample: 3",
        "requirements: numpy",
        "optimize: trt",
        "deploy:",
        "deploy: {resources: {memory_mib: 1}}",
        "deploy: {scaling: {max_replicas: 1001}}",
        "deploy: {endpoint: No}",
        "deploy: {strategy: fast}",
        "alerts: [{availability_below: 2}]",
        "alerts: {availability_below: 0.9}",
    ],
)
def test_what_breaks_a_rule_of_one_field_is_refused_by_both(lines):
    assert not VALIDATOR.is_valid(yaml.safe_load(HEAD + lines))
    assert not parses(HEAD + lines)


@pytest.mark.parametrize(
    ("said", "is_allowed"),
    [
        ("dtype: float32, shape: [-1, 3]", True),
        ("type: numpy, dtype: float32, shape: []", True),
        ("shape: [-1]", False),
        ("dtype: float32", False),
        ("dtype: float32, shape: [0]", False),
        ("dtype: float32, shape: [-2]", False),
        ("dtype: float32, shape: [-1], columns: [{name: a, dtype: int8}]", False),
        ("dtype: float32, shape: [-1], nullable: true", False),
        ("dtype: float32, shape: [-1], max_bytes: 3", False),
        ("type: text", True),
        ("type: json, shape: [-1]", True),
        ("type: file, max_bytes: 9", True),
        ("type: file, shape: [2, 2]", False),
        ("type: text, dtype: int8", False),
        ("type: image", True),
        ("type: image, shape: [-1, 224, 224, 3], max_bytes: 9", True),
        ("type: image, shape: [3]", False),
        ("type: image, dtype: float32", False),
        ("type: series, dtype: float32, nullable: true", True),
        ("type: series", False),
        ("type: series, dtype: int8, max_bytes: 1", False),
        ("type: dataframe, columns: [{name: a, dtype: float64, nullable: true}]", True),
        ("type: dataframe", False),
        ("type: dataframe, columns: []", False),
        ("type: dataframe, columns: [{name: a, dtype: int}]", False),
        ("type: fiel", False),
    ],
)
def test_the_schema_knows_what_each_type_asks_for(said, is_allowed):
    text = f"{HEAD}inputs: [{{name: x, {said}}}]\noutputs: [{{name: y, type: text}}]"
    assert VALIDATOR.is_valid(yaml.safe_load(text)) is is_allowed
    assert parses(text) is is_allowed


def objects():
    return [SCHEMA, *SCHEMA["$defs"].values()]


def test_every_field_says_what_it_means():
    assert [
        name for each in objects() for name, node in each["properties"].items() if not node.get("description")
    ] == []


def test_the_page_has_a_row_for_every_field():
    rows = re.findall(r"^\| `(\w+)` \|", modelfile.page(), re.MULTILINE)
    assert sorted(rows) == sorted(name for each in objects() for name in each["properties"])


def test_the_page_and_the_schema_in_the_tree_are_those_of_the_code():
    hint = "run `make verify` and commit what it wrote"
    assert (ROOT / "docs/so1s-yaml.md").read_text() == modelfile.page(), hint
    assert (ROOT / "docs/schemas/so1s.yaml.json").read_text() == golden.text(modelfile.schema()), hint
    assert json.loads((ROOT / "docs/schemas/so1s.yaml.json").read_text()) == modelfile.schema()
