"""The reference of what services are told by their environment, in Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

from so1s.settings import PREFIX, ServiceSettings

_INTRODUCTION = f"""\
# Settings

Each service is told by its environment what it leans on: a setting `name` is the variable `{PREFIX}NAME`.
Lists and maps are JSON. In the chart they stand below `settings` by their names, and secrets below `secrets`.
A service whose environment is wrong ends at once, and says which variable, its value unless that is a secret,
and what is allowed. This page is generated from the services' `settings.py`.
"""
_HEADER = "| setting | allowed | if absent | meaning |\n| --- | --- | --- | --- |"
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "array": "JSON list",
    "object": "JSON object",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

_FOR_PEOPLE = {"title", "description", "default", "format"}
_LOOKS_AROUND = re.compile(r"\(\?[=!<]")
_OF_THE_CHART = {"http_host", "http_port", "instance"}
"""Settings that the chart says itself."""

Node = dict[str, Any]


def settings(services: Sequence[str]) -> str:
    """The page: what every service is told, and then each one by itself.

    Args:
        services: their names; each has its settings in `services.NAME.settings`.
    """
    classes = {name: import_module(f"services.{name}.settings").Settings for name in services}
    common = ServiceSettings.model_fields.keys()
    own = {
        name: _table(each, each.model_fields.keys() - (common - _required(each)))
        for name, each in classes.items()
    }
    parts = [_INTRODUCTION, "## Every service", _table(ServiceSettings, common)]
    for name, table in own.items():
        parts += [f"## {name.capitalize()}", table]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _required(of: type[ServiceSettings]) -> set[str]:
    return set(of.model_json_schema().get("required", ()))


def named(schema: Node, services: Sequence[str]) -> Node:
    """The schema of the chart's values, in which a setting has the names and types that `services` know.

    A secret is said by a Secret alone, and what the chart says itself not at all.
    """
    classes = {name: import_module(f"services.{name}.settings").Settings for name in services}
    plain = {name: _plain(each) for name, each in classes.items()}
    secrets = {name: sorted(each.model_fields.keys() - _OF_THE_CHART) for name, each in classes.items()}
    of_all = {key: node for each in plain.values() for key, node in each.items()}
    definitions = {
        "commonSettings": _closed(of_all),
        "commonSecrets": {"enum": sorted({key for names in secrets.values() for key in names})},
        **{f"{name}Settings": _closed(nodes) for name, nodes in plain.items()},
        **{f"{name}Secrets": {"enum": names} for name, names in secrets.items()},
    }
    return schema | {"$defs": schema["$defs"] | definitions}


def _closed(properties: Node) -> Node:
    return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}


def _plain(of: type[ServiceSettings]) -> Node:
    """The settings that are no secrets, as JSON Schema has them."""
    schema = of.model_json_schema()
    return {
        name: _bare(node, schema)
        for name, node in schema["properties"].items()
        if name not in _OF_THE_CHART and '"password"' not in json.dumps(node)
    }


def _bare(node: Any, schema: Node) -> Any:
    """A node without what only people read, and without patterns that Helm's expressions do not know."""
    if isinstance(node, list):
        return [_bare(each, schema) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _bare(_resolved(node["$ref"], schema), schema)
    if node.get("type") == "array":  # some lists may be said as text with commas, too
        return {"type": ["array", "string"]}
    left_out = _FOR_PEOPLE | ({"pattern"} if _LOOKS_AROUND.search(str(node.get("pattern", ""))) else set())
    return {
        key: {name: _bare(each, schema) for name, each in value.items()}
        if key == "properties"
        else _bare(value, schema)
        for key, value in node.items()
        if key not in left_out
    }


def _table(of: type[ServiceSettings], names: Iterable[str]) -> str:
    schema = of.model_json_schema()
    wanted = set(names)
    rows = [
        _row(name, node, schema, required=name in schema.get("required", ()))
        for name, node in schema["properties"].items()
        if name in wanted
    ]
    return "\n".join([_HEADER, *rows]) if rows else "Nothing beside that."


def _row(name: str, node: Node, schema: Node, *, required: bool) -> str:
    if required:
        absent = "**must be said**"
    elif "default" not in node:
        absent = "as the machine has it"
    else:
        absent = _default(node["default"])
    meaning = " ".join(node.get("description", "").split())
    return f"| `{name}` | {_allowed(node, schema)} | {absent} | {meaning} |".replace("\\|", "|")


def _default(value: object) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    said = value if isinstance(value, str) else json.dumps(value)
    beside = said.rpartition("/services/")[2]  # where the code is differs
    return f"`{said}`" if beside == said else f"`services/{beside}`"


def _allowed(node: Node, schema: Node) -> str:
    if "anyOf" in node:
        return " or ".join(
            dict.fromkeys(_allowed(each, schema) for each in node["anyOf"] if each.get("type") != "null")
        )
    if "$ref" in node:
        return _allowed(_resolved(node["$ref"], schema), schema)
    if "enum" in node or "const" in node:
        return ", ".join(f"`{each}`" for each in node.get("enum", [node.get("const")]))
    if node.get("format") == "password":
        return "secret"
    if node.get("format") in {"path", "file-path"}:
        return "path"
    bounds = " ".join(f"{sign} {node[key]}" for key, sign in _BOUNDS.items() if key in node)
    pattern = f" like `{node['pattern']}`".replace("|", "\\|") if "pattern" in node else ""
    return f"{_TYPES.get(node.get('type', 'string'), 'text')}{pattern} {bounds}".strip()


def _resolved(reference: str, schema: Mapping[str, Any]) -> Node:
    return schema["$defs"][reference.rpartition("/")[2]]
