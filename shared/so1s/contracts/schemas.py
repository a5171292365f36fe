"""The contract of one event type: the JSON schema of its data, and where it travels."""

from __future__ import annotations

from typing import Any

from so1s.events.event import Event

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TRAVELS = "x-so1s"
"""The keyword that names type, topic, partitions, retention and key beside the schema."""


def contract(event: type[Event]) -> dict[str, Any]:
    """The JSON schema (2020-12) of an event's data, with where it travels."""
    return {
        "$schema": DRAFT,
        TRAVELS: {
            "type": event.type,
            "topic": event.topic.name,
            "partitions": event.topic.partitions,
            "retention_days": event.topic.retention_days,
            "key": list(event.key_fields),
        },
        **event.model_json_schema(),
    }


def as_map(node: dict[str, Any]) -> dict[str, Any]:
    """A map whose keys have a pattern, in the form of one whose keys have none."""
    patterns = node.get("patternProperties", {})
    if len(patterns) != 1:
        return node
    ((pattern, values),) = patterns.items()
    rest = {key: value for key, value in node.items() if key != "patternProperties"}
    return rest | {
        "additionalProperties": values,
        "propertyNames": {"pattern": pattern} | rest.get("propertyNames", {}),
    }


def resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema node with its reference and its `or null` taken apart: `nullable` says the latter."""
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    choices = node.get("anyOf", [])
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) == 1 and len(choices) > 1:
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return resolved(others[0], definitions) | rest | {"nullable": True}
    return as_map(node)
