"""The reference of events for people, in Markdown."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from so1s.contracts.asyncapi import Service
from so1s.contracts.schemas import as_map, resolved
from so1s.contracts.words import WORDS
from so1s.events import names
from so1s.events.event import Event

Node = dict[str, Any]

_HEADER = "| field | type | allowed | if absent | meaning |\n| --- | --- | --- | --- | --- |"


def reference(
    events: Sequence[type[Event]], examples: Mapping[type[Event], Event], services: Sequence[Service]
) -> str:
    """The page: one section a family, one a type, and the values that they share."""
    families = [
        (sys.modules[module], list(members)) for module, members in groupby(events, lambda e: e.__module__)
    ]
    parts = [
        _contents(families),
        *(_family(module, members, examples, services) for module, members in families),
        _values(events),
    ]
    return "\n\n".join(parts) + "\n"


def _contents(families: Sequence[tuple[Any, Sequence[type[Event]]]]) -> str:
    rows = [
        f"| [{_title(module)}](#{_anchor(_title(module))}) | {', '.join(_link(event) for event in members)} |"
        for module, members in families
    ]
    return "\n".join(["| family | events |", "| --- | --- |", *rows])


def _family(
    module: Any,
    members: Sequence[type[Event]],
    examples: Mapping[type[Event], Event],
    services: Sequence[Service],
) -> str:
    sections = [_section(event, examples[event], services) for event in members]
    return "\n\n".join([f"## {_title(module)}", _summary(module), *sections])


def _section(event: type[Event], example: Event, services: Sequence[Service]) -> str:
    topic = event.topic
    travels = [
        f"**Type** `{event.type}`",
        f"**Topic** `{topic.name}`, {topic.partitions} partitions, {topic.retention_days} days",
        f"**Key** `{'/'.join(event.key_fields)}`",
        f"**From** {_who(services, event, 'produces') or 'pipelines and people'}",
        f"**To** {_who(services, event, 'consumes') or 'whoever subscribes'}",
    ]
    schema = event.model_json_schema()
    data = json.dumps(example.model_dump(mode="json", exclude_defaults=True), indent=2, ensure_ascii=False)
    return "\n\n".join(
        [
            f"### {event.__name__}",
            inspect.cleandoc(event.__doc__ or ""),
            " · ".join(travels),
            _table(schema, schema.get("$defs", {})),
            f"```json\n{data}\n```",
        ]
    )


def _values(events: Sequence[type[Event]]) -> str:
    definitions: Node = {}
    for event in events:
        definitions |= event.model_json_schema().get("$defs", {})
    sections = [
        f"### {name}\n\n{schema.get('description', '')}\n\n{_table(schema, definitions)}"
        for name, schema in sorted(definitions.items())
    ]
    return "\n\n".join(["## Values", "What the events above share.", *sections])


def _table(schema: Node, definitions: Node) -> str:
    required = schema.get("required", [])
    rows = [
        _row(name, node, definitions, required=name in required)
        for name, node in schema["properties"].items()
    ]
    return "\n".join([_HEADER, *rows])


def _row(name: str, node: Node, definitions: Node, *, required: bool) -> str:
    whole = resolved(node, definitions)
    meaning = node.get("description") or WORDS.get(name) or ""
    absent = "**required**" if required else _default(whole.get("default"))
    cells = [f"`{name}`", _kind(node, definitions), "; ".join(_allowed(whole, definitions)), absent, meaning]
    return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"


def _kind(node: Node, definitions: Node) -> str:
    node = as_map(node)
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in node:
        return " or ".join(_kind(choice, definitions) for choice in node["anyOf"])
    if "items" in node:
        return f"list of {_kind(node['items'], definitions)}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"map to {_kind(node['additionalProperties'], definitions)}"
    return {"date-time": "time"}.get(node.get("format", ""), node.get("type", "any"))


def _allowed(node: Node, definitions: Node) -> Iterator[str]:
    """The limits of a node, of its items and of its keys, in words."""
    node = as_map(node)
    if "enum" in node:
        yield ", ".join(f"`{value}`" for value in node["enum"])
    yield from _range(node, "minimum", "maximum", "")
    if "exclusiveMinimum" in node:
        yield f"> {node['exclusiveMinimum']}"
    yield from _range(node, "minLength", "maxLength", " characters")
    yield from _range(node, "minItems", "maxItems", " items")
    yield from _range(node, "minProperties", "maxProperties", " pairs")
    if pattern := node.get("pattern"):
        yield _PATTERNS.get(pattern, f"`{pattern}`")
    for keyword, whose in (("propertyNames", "keys"), ("items", "each"), ("additionalProperties", "values")):
        inner = node.get(keyword)
        if isinstance(inner, dict) and "$ref" not in inner:
            yield from (f"{whose}: {limit}" for limit in _allowed(inner, definitions))


def _range(node: Node, lowest: str, highest: str, unit: str) -> Iterator[str]:
    low, high = node.get(lowest), node.get(highest)
    if low is not None and high is not None:
        yield f"{low:,} to {high:,}{unit}"
    elif low is not None:
        yield f"≥ {low:,}{unit}"
    elif high is not None:
        yield f"≤ {high:,}{unit}"


def _pattern(annotated: Any) -> str:
    return annotated.__metadata__[-1].json_schema_extra["pattern"]


_PATTERNS = {
    _pattern(names.Name): "`a-z`, `0-9`, single `-` inside",
    _pattern(names.Version): "1 to 63 of `A-Z a-z 0-9 . _ -`, letter or digit at both ends",
    "^sha256:[0-9a-f]{64}$": "`sha256:` and 64 hexadecimal digits",
    "^[0-9a-f]{64}$": "64 hexadecimal digits",
}


def _default(value: Any) -> str:
    if value is None or value in ({}, []):
        return "null" if value is None else "none"
    return f"`{json.dumps(value, ensure_ascii=False)}`" if not isinstance(value, dict) else "its defaults"


def _who(services: Sequence[Service], event: type[Event], how: str) -> str:
    return ", ".join(service.name for service in services if event in getattr(service, how))


def _title(module: Any) -> str:
    return module.__name__.rsplit(".", 1)[-1].capitalize()


def _summary(module: Any) -> str:
    return inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0]


def _link(event: type[Event]) -> str:
    return f"[{event.__name__}](#{event.__name__.lower()})"


def _anchor(title: str) -> str:
    return title.lower()
