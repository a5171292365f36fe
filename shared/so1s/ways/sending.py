"""How bytes are sent to where a console says, and what its refusals are called."""

from __future__ import annotations

import httpx

from so1s.errors import So1sError, Unreachable

_UPLOAD_SECONDS = 3600.0
"""For a request; each of its blocks is sent within a minute."""
_BLOCK_SECONDS = 60.0
_SHOWN_CHARACTERS = 300
_SERVER_ERROR = 500

TIMEOUT = httpx.Timeout(_UPLOAD_SECONDS, connect=_BLOCK_SECONDS, write=_BLOCK_SECONDS)


def place(url: str) -> str:
    """A URL as it may be shown: its query is a credential."""
    return url.partition("?")[0]


def refused(name: str, url: str, answer: httpx.Response) -> So1sError:
    """The error of a store that did not take bytes: it is away, or does not want them."""
    said = f"HTTP {answer.status_code}: {answer.text[:_SHOWN_CHARACTERS]}"
    message = f"{name} cannot be sent to {place(url)}: {said}"
    return Unreachable(message) if answer.status_code >= _SERVER_ERROR else So1sError(message)
