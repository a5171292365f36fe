"""Refusals: what a request may not do, and why."""

from __future__ import annotations

from collections.abc import Mapping

from so1s.errors import Problem, So1sError, shown


class Refusal(So1sError):
    """A request is answered by an HTTP status of the 4xx kind and a sentence."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        problems: list[Problem] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.problems = problems or []
        self.headers = dict(headers or {})


def forbidden(field: str, value: str, allowed: str) -> Refusal:
    """What the token does not allow."""
    problem = Problem(field, shown(value), allowed)
    return Refusal(403, "The token does not allow this", str(problem), problems=[problem])


def said_before(event_id: str) -> Refusal:
    """An id that stands for something else already."""
    problem = Problem("id", shown(event_id), "allowed: another id, as this one was said with other data")
    return Refusal(409, "Said before", str(problem), problems=[problem])


def too_slow(seconds: float) -> Refusal:
    """A body that takes too long to arrive."""
    return Refusal(408, "Too slow", f"the body did not arrive; allowed: at most {seconds:g} s")


def too_large(bytes_allowed: int) -> Refusal:
    """A body above its limit."""
    return Refusal(413, "Too large", f"the body is too large; allowed: at most {bytes_allowed} bytes")
