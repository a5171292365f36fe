"""Why an image is not taken for what it is said to be."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from so1s.errors import So1sError

Reason = Literal["missing", "unsigned", "wrong_key", "other_image", "changed"]


class NotVerified(So1sError):
    """An image is not what a key's owner signed; `reason` is for programs, the message for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class Changed(NotVerified):
    """Bytes have another digest than they are known by."""

    def __init__(self, message: str) -> None:
        super().__init__("changed", message)


@contextmanager
def readable(reference: str) -> Generator[None]:
    """Read what whoever can push may have chosen.

    Raises:
        NotVerified: `changed`, where it has not the form that it must have.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NotVerified("changed", f"what lies at {reference} cannot be read: {error!r}") from error
