"""AsyncAPI 3.0: the events of a catalogue, and who sends and receives them.

Format: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import models_json_schema

from so1s.broker.topics import topic_configs
from so1s.events.event import Event

Json = dict[str, Any]

_BINDING = "0.5.0"


@dataclass(frozen=True)
class Service:
    """What a service takes and says."""

    name: str
    consumes: Sequence[type[Event]]
    produces: Sequence[type[Event]]


def document(
    events: Sequence[type[Event]], examples: Mapping[type[Event], Event], services: Sequence[Service] = ()
) -> Json:
    """The AsyncAPI document of events."""
    keys, schemas = models_json_schema(
        [(event, "validation") for event in events], ref_template="#/components/schemas/{model}"
    )
    payloads = {event: keys[event, "validation"] for event in events}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "So1s events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 on Kafka, in binary mode: attributes are headers, data is JSON.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {event.topic.name: _channel(event) for event in events},
        "operations": {name: operation for service in services for name, operation in _operations(service)},
        "components": {
            "messages": {
                event.__name__: _message(event, payloads[event], examples.get(event)) for event in events
            },
            "schemas": schemas["$defs"],
        },
    }


def _channel(event: type[Event]) -> Json:
    configs = topic_configs(event.topic)
    return {
        "address": event.topic.name,
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"}},
        "bindings": {
            "kafka": {
                "topic": event.topic.name,
                "partitions": event.topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [configs["cleanup.policy"]],
                    "retention.ms": int(configs["retention.ms"]),
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(event: type[Event], payload: Json, example: Event | None) -> Json:
    summary, _, more = inspect.cleandoc(event.__doc__ or "").partition("\n\n")
    message = {
        "name": event.type,
        "title": event.__name__,
        "summary": summary,
        "contentType": "application/json",
        "headers": _headers(event),
        "payload": payload,
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "/".join(event.key_fields)},
                "bindingVersion": _BINDING,
            }
        },
    }
    if more:
        message["description"] = more
    if example:
        message["examples"] = [{"payload": example.model_dump(mode="json")}]
    return message


def _headers(event: type[Event]) -> Json:
    text = {"type": "string", "maxLength": 255}
    return {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": text | {"description": "Unique within the source; a repetition has it again."},
            "ce_source": text | {"description": "The producer, such as so1s/builder."},
            "ce_type": {"const": event.type},
            "ce_time": {"type": "string", "format": "date-time"},
            "ce_subject": {"type": "string", "description": "/".join(event.key_fields)},
            "ce_causationid": text | {"description": "The id of the event that this one answers."},
            "ce_correlationid": text | {"description": "The id of the first event of the chain."},
            "ce_traceparent": {"type": "string", "description": "W3C trace context."},
        },
    }


def _operations(service: Service) -> list[tuple[str, Json]]:
    directions = [("receive", service.consumes), ("send", service.produces)]
    return [
        (f"{service.name}.{action}.{event.__name__}", _operation(action, event))
        for action, events in directions
        for event in events
    ]


def _operation(action: str, event: type[Event]) -> Json:
    channel = f"#/channels/{event.topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{event.__name__}"}],
    }
