"""`so1s.yaml` for editors and for people: its JSON schema, and the page of its fields."""

from __future__ import annotations

from so1s.contracts.schemas import DRAFT
from so1s.contracts.tables import Node, table
from so1s.contracts.words import WORDS
from so1s.events import Resources, Scaling, Value
from so1s.modelfile import FORMATS, ModelFile

_INTRODUCTION = """\
# so1s.yaml

What a model's author says of it, in a file beside the model. Only `schema` must be there: what is absent is
found in the model or has a default, and what an event of publication says wins. The file names no account,
model or version, so that the same directory can be published as any.

```yaml
schema: so1s/v1
format: skops
file: model.skops
inputs:  [{name: x, dtype: float32, shape: [-1, 30]}]
outputs: [{name: label, dtype: int64, shape: [-1]}]
sample: sample.json
optimize: onnx
batching: {max_rows: 64, max_delay_ms: 2}
data: [{name: transactions, uri: s3://ml/risk/transactions/2029/, license: proprietary}]
deploy: {resources: {memory_mib: 1024}, scaling: {max_replicas: 4}}
alerts: [{availability_below: 0.99, for_seconds: 300}]
```

It is YAML without aliases, of at most 64 KiB. `so1s model init` writes one: it tells the format by the
model's content, as a build does, and of ONNX reads what goes in and out. `so1s model check` finds what a
build would refuse. An editor completes and checks it by its JSON schema, which `so1s model schema` prints
([the same here](schemas/so1s.yaml.json)). One with yaml-language-server finds that by a comment:

```text
$ so1s model schema > so1s.schema.json
$ head -1 so1s.yaml
# yaml-language-server: $schema=so1s.schema.json
```

The schema sees each field by itself, and what a type of input asks for; what it takes, the check may still
refuse. The check also holds the sample against the inputs, as a server does a request: names, types, lengths
and ranges, with the place of what is wrong; images are not unpacked. Where no inputs are declared it says
that it could not, and the build tries the sample on the model. [models.md](models.md) tells how types are
sent and answered, and what each format needs. This page and the schema are generated from the class that
reads the file.
"""

_SECTIONS = {
    "DeclaredTensor": ("Tensor", "Each of `inputs` and `outputs`."),
    "DeclaredColumn": ("Column", "Each of the `columns` of a dataframe."),
    "Batching": (
        "Batching",
        """\
What is not said, the operator's settings of servers say: `SO1S_RUNTIME_BATCH_ROWS`, which is 32, and
`SO1S_RUNTIME_BATCH_DELAY_MS`, which is 0. A model that does not gain by it, or whose rows change each
other's answers, shares no call. What came of it, each server logs at its start, for `so1s logs`: how many
rows share a call, or `"batch_rows": 1` and the reason; `model_batch_rows` of its metrics is the same.""",
    ),
    "DataSet": (
        "Data",
        """\
What the model was trained on and measured with. Nobody reads it: it is told as it is declared, in the image's
[bill of materials and provenance](supply-chain.md), beside the `dataset_uri` of the upload's lineage.""",
    ),
    "DeployOptions": (
        "Deploy",
        """\
What shall become of the image. Where `strategy` is not said, the deployer's setting `default_strategy` holds,
which is `rolling` unless its operator changes it.""",
    ),
    "ResourceOptions": (
        "Resources",
        """\
What one replica reserves. What is not said, the deployer's setting `default_resources` says; the table has
the values that hold unless its operator changes them.""",
    ),
    "ScalingOptions": (
        "Scaling",
        """\
How many replicas there are. Where neither the event nor the file says any of it, a deployment keeps what it
has. Else the deployer's setting `default_scaling` says what they do not; the table has the values that hold
unless its operator changes them.""",
    ),
    "AlertRule": ("Alert", "A condition under which the author is told; exactly one bound is given."),
}
_SHIPPED: dict[str, Value] = {"ResourceOptions": Resources(), "ScalingOptions": Scaling()}
"""What holds where nobody says otherwise."""


def schema() -> Node:
    """The JSON schema (2020-12) of a `so1s.yaml`; what it refuses, `ModelFile.parse` refuses."""
    return {"$schema": DRAFT, **_told(ModelFile.model_json_schema())}


def page() -> str:
    """The page: what the file is, and a table of its fields and of those below each."""
    whole = schema()
    definitions = whole["$defs"]
    parts = [_INTRODUCTION.strip(), "## Fields", _table(whole, definitions, formats=True)]
    for name, (title, about) in _SECTIONS.items():
        parts += [f"## {title}", about, _table(definitions[name], definitions, _SHIPPED.get(name))]
    return "\n\n".join(parts) + "\n"


def _told(node: Node) -> Node:
    """The schema of an object and of those within it, where each field has its meaning."""
    properties = {
        name: {"description": WORDS[name]} | each if "description" not in each else each
        for name, each in node["properties"].items()
    }
    within = {name: _told(each) for name, each in node.get("$defs", {}).items()}
    return node | {"properties": properties} | ({"$defs": within} if within else {})


def _table(of: Node, definitions: Node, shipped: Value | None = None, *, formats: bool = False) -> str:
    properties = {name: _without_null(node) for name, node in of["properties"].items()}
    nothing = {name: "nothing" for name, node in properties.items() if node.get("default") in (None, [])}
    absent = nothing | {
        **{name: f"**required** of {', '.join(types)}" for name, types in _due(of).items()},
        **{name: f"`{value}`" for name, value in (shipped or Value()).model_dump(exclude_none=True).items()},
        **dict.fromkeys(of.get("required", []), "**required**"),
    }
    return table(
        of | {"properties": properties},
        definitions,
        titles={name: title for name, (title, _) in _SECTIONS.items()},
        absent=absent,
        more={"formats": lambda node: node.get(FORMATS, "all")} if formats else {},
    )


def _without_null(node: Node) -> Node:
    """A node whose null only says that nothing is said."""
    choices = [each for each in node.get("anyOf", []) if each != {"type": "null"}]
    if len(choices) != 1:
        return node
    return choices[0] | {key: value for key, value in node.items() if key != "anyOf"}


def _due(of: Node) -> dict[str, list[str]]:
    """The types of inputs and outputs of which a field must be said, by its name."""
    due: dict[str, list[str]] = {}
    for rule in of.get("allOf", []):
        for name in rule["then"].get("required", []):
            due.setdefault(name, []).extend(rule["if"]["properties"].get("type", {}).get("enum", []))
    return {name: types for name, types in due.items() if types}
