"""The published contracts hold, and what is generated from the code is up to date."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from so1s.contracts import contract, golden
from so1s.contracts.asyncapi import document
from so1s.contracts.examples import EXAMPLES
from so1s.events import Event, catalogue

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).with_name("schemas")
EVENTS = [event for event in catalogue().values() if event.__module__.startswith("so1s.events.")]
HINT = "declare a class with the next version; an event nobody uses yet: docs/generate.py --accept-breaking"


def test_no_published_contract_is_broken():
    assert golden.breaking(golden.changes(SCHEMAS, EVENTS)) == [], HINT


def test_the_golden_schemas_are_those_of_the_code():
    assert golden.changes(SCHEMAS, EVENTS) == {}, "run `make verify` and commit what it wrote"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_every_event_has_an_example_that_its_schema_accepts(event):
    schema = contract(event)
    jsonschema.Draft202012Validator.check_schema(schema)
    example = json.loads(EXAMPLES[event].to_json())
    jsonschema.validate(example, schema, jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(example | {"account": "R!"}, schema, jsonschema.Draft202012Validator)


def test_the_asyncapi_document_is_well_formed():
    made = document(list(EXAMPLES), EXAMPLES)
    ApplicationSchema.model_validate(made)
    assert len(made["channels"]) == len(EVENTS)
    for reference in references(made):
        node = made
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def references(node):
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_documents_in_the_tree_are_those_of_the_code():
    text = (ROOT / "docs/events.md").read_text()
    channels = json.loads((ROOT / "docs/asyncapi.json").read_text())["channels"]
    for event in EVENTS:
        assert f"### {event.__name__}\n" in text
        assert event.topic.name in channels


# Events declared elsewhere, as an engineer with a consumer of their own does


OWN = """
from so1s.events import Event

class Scored(Event, key=("account", "model"), prefix="acme"):
    \"\"\"A model was scored.\"\"\"

    model: str
    {field}
"""


@pytest.fixture
def scored(tmp_path):
    """Checks the golden schemas of a module that is written anew each time."""

    def run(field, *options):
        (tmp_path / "acme_events.py").write_text(OWN.format(field=field))
        command = [sys.executable, "-m", "so1s.contracts", "schemas", "--module", "acme_events", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    return run


def test_an_event_of_your_own_has_a_golden_schema_too(scored, tmp_path):
    code, out = scored("score: float")
    assert (code, "acme.Scored.v1: type is new" in out) == (1, True)
    assert scored("score: float", "--write")[0] == 0
    assert [path.name for path in (tmp_path / "schemas").iterdir()] == ["acme.Scored.v1.json"]
    assert scored("score: float") == (0, "")
    code, out = scored("score: float | None", "--write")
    assert (code, "breaking    acme.Scored.v1: score may be null" in out) == (1, True)
    assert scored("score: float") == (0, ""), "a breaking change is never written"
    assert scored("score: float\n    note: str = ''", "--write")[0] == 0


def test_a_type_that_is_gone_is_a_breaking_change(tmp_path):
    class Gone(Event, key=("account",), prefix="contracts-gone"):
        """Here today."""

    golden.write(tmp_path, [Gone])
    assert golden.breaking(golden.changes(tmp_path, [])) == ["contracts-gone.Gone.v1: type was removed"]
    golden.write(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
