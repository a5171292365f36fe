"""Admission: which of the events that a token says become the platform's."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from services.console.domain.binding import of_batch
from services.console.domain.refusal import forbidden
from services.console.domain.scopes import sayable
from services.console.domain.token import Token
from so1s.errors import InvalidInput
from so1s.events import ModelUploaded
from so1s.events.codec import encode
from so1s.events.envelope import Cause, Envelope, Received, Record
from so1s.events.event import MAX_EVENT_BYTES, Event
from so1s.events.trace import child

_LONGEST_SOURCE = 200


def admit(token: Token, said: list[Envelope], now: datetime) -> list[Received]:
    """Take all events of a request, or none.

    Raises:
        Refusal: the token does not allow an event's type or account.
        InvalidInput: an event breaks a rule of its class; a field that it does not know is one.
    """
    if len(said) == 1:
        return [_admit(token, said[0], now)]
    admitted = []
    for position, envelope in enumerate(said):
        try:
            admitted.append(_admit(token, envelope, now))
        except InvalidInput as error:
            raise of_batch(error, position) from error
    return admitted


def _admit(token: Token, said: Envelope, now: datetime) -> Received:
    classes = sayable(token.scopes)
    if said.type not in classes:
        types = ", ".join(classes) or "no event"
        raise forbidden("type", said.type, f"allowed with the scopes of this token: {types}")
    event = _read(classes[said.type], said.data)
    if event.account != token.account:
        raise forbidden("account", event.account, f"allowed: {token.account!r}, the account of this token")
    if isinstance(event, ModelUploaded) and event.dropped:
        raise forbidden("dropped", "an object", "allowed: null; the console alone says what was dropped")
    return Received(
        event=event,
        id=said.id,
        source=stamped(token.account, said.source),
        time=now,
        cause_id=said.cause_id if said.correlation_id != said.id else "",
        correlation_id=said.correlation_id,
        traceparent=said.traceparent,
    )


def stamped(account: str, source: str) -> str:
    """The source of a tenant's event: nobody speaks under the name of a service or of another account.

    Consumers know an event by its source and id; under a name of its own choice, a tenant could use up
    the ids of events that others are about to say.

    Raises:
        InvalidInput: it is too long.
    """
    if len(source) > _LONGEST_SOURCE:
        raise InvalidInput.of("source", source, f"allowed: at most {_LONGEST_SOURCE} characters")
    return f"account/{account}/{source}"


def record(admitted: Received, now: datetime) -> Record:
    """An admitted event as it goes to Kafka.

    Raises:
        InvalidInput: it is too large.
    """
    cause = Cause(admitted.cause_id or admitted.correlation_id, admitted.correlation_id)
    made = encode(
        admitted.event,
        id=admitted.id,
        source=admitted.source,
        time=now,
        cause=None if begins_a_chain(admitted) else cause,
    )
    trace = ("ce_traceparent", child(admitted.traceparent).encode())
    headers = [trace if header[0] == trace[0] else header for header in made.headers]
    # The outbox knows an event by this name: ids of two accounts, or of two sources, may be the same.
    return replace(made, event_id=name(admitted), headers=headers)


def name(admitted: Received) -> str:
    """What an event is known by among those of all accounts."""
    return hashlib.sha256(f"{admitted.source}\n{admitted.id}".encode()).hexdigest()


def begins_a_chain(admitted: Received) -> bool:
    """Whether an event answers no other one."""
    return admitted.correlation_id == admitted.id


def _read(event_class: type[Event], data: bytes) -> Event:
    if len(data) > MAX_EVENT_BYTES:
        raise InvalidInput.of("event", f"{len(data)} bytes", f"allowed: at most {MAX_EVENT_BYTES} bytes")
    try:
        return event_class.model_validate_json(data)  # a producer's unknown field is a typing error
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error, event_class) from error
