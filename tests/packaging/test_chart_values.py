"""The chart's values: what it says and what its documentation shows is what services are told."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from so1s.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/chart"
SHIPPED = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
(EXAMPLE,) = [
    yaml.safe_load(each)
    for each in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/deploy.md").read_text(), re.DOTALL)
]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/app.py"))


def merged(below: dict, above: dict) -> dict:
    """As Helm lays values over those of the chart."""
    both = {
        key: merged(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], dict)
    }
    return below | above | both


VALUES = merged(SHIPPED, EXAMPLE)


def settings_of(service: str) -> type[ServiceSettings]:
    return import_module(f"services.{service}.settings").Settings


def test_it_installs_every_service():
    assert sorted(SHIPPED["services"]) == SERVICES


def test_the_documented_values_are_allowed():
    jsonschema.validate(VALUES, SCHEMA)


def test_the_shipped_values_alone_are_not_enough():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(SHIPPED, SCHEMA)


@pytest.mark.parametrize("place", [(), ("image",), ("services",), ("services", "builder")])
def test_a_value_with_a_typing_error_is_refused(place):
    values: Any = json.loads(json.dumps(VALUES))
    inner = values
    for key in place:
        inner = inner[key]
    inner["replcias"] = 3
    with pytest.raises(jsonschema.ValidationError, match="replcias"):
        jsonschema.validate(values, SCHEMA)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_takes_what_the_documented_values_tell_it(monkeypatch, service):
    own = VALUES["services"][service]
    told = VALUES["settings"] | own.get("settings", {})
    secrets = VALUES["secrets"] | own.get("secrets", {})
    unknown = {*told, *secrets} - settings_of(service).model_fields.keys()
    assert unknown == set()
    for name, value in told.items():
        monkeypatch.setenv(f"SO1S_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
    for name in secrets:
        monkeypatch.setenv(f"SO1S_{name.upper()}", "postgresql+asyncpg://so1s:secret@postgres/so1s")
    settings_of(service).read()


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (("settings",), "kafak"),
        (("settings",), "kafka_password"),
        (("settings",), "http_port"),
        (("services", "alerter", "settings"), "slack_chanel"),
        (("services", "alerter", "secrets"), "slack_tokne"),
        (("services", "router", "settings"), "slack_channel"),
    ],
)
def test_a_setting_by_another_name_and_a_secret_in_plain_sight_are_refused(place, name):
    values: Any = json.loads(json.dumps(VALUES))
    inner = values
    for key in place:
        inner = inner[key]
    inner[name] = {"name": "x", "key": "y"} if "secrets" in place else "x"
    with pytest.raises(jsonschema.ValidationError, match=name):
        jsonschema.validate(values, SCHEMA)


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("builder", "workers", "many"),
        ("builder", "disk_budget_bytes", "30GB"),
        ("builder", "workers", 0),
        ("deployer", "image_pull_secret", "registry"),
        ("deployer", "cluster", "nomad"),
        ("router", "kafka_security", "SASL_SSL"),
    ],
)
def test_a_value_that_a_setting_does_not_take_is_refused(service, name, value):
    values: Any = json.loads(json.dumps(VALUES))
    values["services"][service].setdefault("settings", {})[name] = value
    with pytest.raises(jsonschema.ValidationError, match=str(value)):
        jsonschema.validate(values, SCHEMA)
