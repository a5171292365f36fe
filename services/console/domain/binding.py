"""CloudEvents over HTTP: binary mode, structured mode, and batches.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from services.console.domain.refusal import Refusal
from so1s.errors import InvalidInput, Problem
from so1s.events.codec import unwrap
from so1s.events.envelope import Envelope

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BINARY = "application/json"
MOST_EVENTS = 100
"""Of a batch."""

_PREFIX = "ce-"


def read(headers: Mapping[str, str], body: bytes) -> list[Envelope]:
    """The events of a request, in their order.

    Args:
        headers: by name in lower case.
        body: all of it.

    Raises:
        Refusal: the content type is none of the three.
        InvalidInput: it holds no CloudEvent; `events.2.id` names a field of the third of a batch.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == BATCH:
        return _batch(body)
    if media_type == STRUCTURED:
        return [unwrap((), body)]
    if media_type == BINARY:
        return [_binary(headers, body)]
    allowed = f"{STRUCTURED}, {BATCH}, or {BINARY} with the headers ce-id, ce-source and so on"
    problem = Problem("content-type", repr(media_type), f"allowed: {allowed}")
    raise Refusal(415, "Not a CloudEvent", str(problem), problems=[problem])


def of_batch(error: InvalidInput, position: int) -> InvalidInput:
    """The error of one event of a batch, whose fields say which one it is."""
    return InvalidInput(
        [Problem(f"events.{position}.{each.field}", each.value, each.allowed) for each in error.problems]
    )


def _binary(headers: Mapping[str, str], body: bytes) -> Envelope:
    said = {name: value for name, value in headers.items() if name.startswith(_PREFIX)}
    if not said:
        allowed = f"allowed: CloudEvents in binary mode, or the content type {STRUCTURED}"
        raise InvalidInput.missing("ce-id, ce-source, ce-specversion, ce-type", allowed)
    # Values are percent-encoded UTF-8, since headers are ASCII.
    return unwrap([(f"ce_{name[3:]}", unquote_to_bytes(value)) for name, value in said.items()], body)


def _batch(body: bytes) -> list[Envelope]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput.of("events", str(error), "allowed: a JSON array of CloudEvents") from error
    if not isinstance(said, list) or not 1 <= len(said) <= MOST_EVENTS:
        what = f"{len(said)} events" if isinstance(said, list) else type(said).__name__
        raise InvalidInput.of("events", what, f"allowed: a JSON array of 1 to {MOST_EVENTS} CloudEvents")
    return [_member(each, position) for position, each in enumerate(said)]


def _member(said: object, position: int) -> Envelope:
    try:
        return unwrap((), json.dumps(said).encode())
    except InvalidInput as error:
        raise of_batch(error, position) from error
