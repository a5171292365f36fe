"""The reference of events for people, in Markdown."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from so1s.contracts.asyncapi import Service
from so1s.contracts.tables import Node, table
from so1s.events.event import Event


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
            table(schema, schema.get("$defs", {})),
            f"```json\n{data}\n```",
        ]
    )


def _values(events: Sequence[type[Event]]) -> str:
    definitions: Node = {}
    for event in events:
        definitions |= event.model_json_schema().get("$defs", {})
    sections = [
        f"### {name}\n\n{schema.get('description', '')}\n\n{table(schema, definitions)}"
        for name, schema in sorted(definitions.items())
    ]
    return "\n\n".join(["## Values", "What the events above share.", *sections])


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
