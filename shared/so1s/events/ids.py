"""Event ids that a repetition yields again, so that a duplicate is known as one."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://so1s.dev/events")


def derived_id(producer: str, cause_id: str, type_: str, subject: str, ordinal: int) -> str:
    """The id of the `ordinal`-th event of a type and subject that a producer makes of one cause."""
    return _uuid(producer, cause_id, type_, subject, str(ordinal))


def window_id(producer: str, type_: str, subject: str, window_start: datetime) -> str:
    """The id of an event that a clock brings about."""
    return _uuid(producer, type_, subject, str(int(window_start.timestamp())))


def content_id(producer: str, type_: str, subject: str, data: bytes) -> str:
    """The id of an event that starts a chain: who says the same again says the same event."""
    return _uuid(producer, type_, subject, hashlib.sha256(data).hexdigest())


def transition_id(producer: str, object_uid: str, generation: int, transition: str) -> str:
    """The id of an event that a watcher makes of an object's change."""
    return _uuid(producer, object_uid, str(generation), transition)


def _uuid(*parts: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))
