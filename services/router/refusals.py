"""What the author of an event that cannot be taken is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from so1s.errors import InvalidInput, Problem, explanation
from so1s.events import RoutesRejected


def refuse(error: Exception, fields: Mapping[str, Any]) -> RoutesRejected:
    """Refuse an event by the first of its problems."""
    problem = _problem(error)
    return RoutesRejected(
        account=fields["account"],
        endpoint=fields["endpoint"],
        field=problem.field,
        value=problem.value,
        allowed=problem.allowed,
    )


def _problem(error: Exception) -> Problem:
    if isinstance(error, InvalidInput):
        return error.problems[0]
    return Problem("event", type(error).__name__, explanation(error))
