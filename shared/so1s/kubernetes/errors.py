"""What the Kubernetes API's refusals mean."""

from __future__ import annotations

import json
from http import HTTPStatus

from so1s.errors import PermanentError, TemporaryError

_SHOWN_CHARACTERS = 500


class Refused(PermanentError):
    """The API, or an admission webhook, does not take an object; the message is its own."""

    reason = "refused"


class NotFound(TemporaryError):
    """There is no such object, namespace or kind, or the namespace goes: somebody may make it."""


class Conflict(TemporaryError):
    """The object is not any more at the resource version that a write was for."""


class Gone(TemporaryError):
    """A watch can't go on from where it was: what is there must be read anew."""


_KINDS: dict[int, type[PermanentError | TemporaryError]] = {
    HTTPStatus.BAD_REQUEST: Refused,
    HTTPStatus.FORBIDDEN: Refused,
    HTTPStatus.UNPROCESSABLE_ENTITY: Refused,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Gone,
}

_UNKNOWN_FIELD = "failed to create typed patch object"
"""So begins the answer to an apply of an unknown field; its status is 500, though it is no accident."""

_NAMESPACE_GOES = "because it is being terminated"
"""So ends the answer to who makes something in a namespace that is being deleted; its status is 403."""


def failure(status: int, body: str) -> PermanentError | TemporaryError:
    """The error that an answer means; its body is a `Status` object of the API, or a proxy's text."""
    said = _said(body)
    kind = _KINDS.get(status, TemporaryError)
    if said.startswith(_UNKNOWN_FIELD):
        kind = Refused
    elif said.endswith(_NAMESPACE_GOES):
        kind = NotFound
    return kind(f"the Kubernetes API answers {status}: {said}")


def _said(body: str) -> str:
    try:
        return json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return body[:_SHOWN_CHARACTERS]
