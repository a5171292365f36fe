"""The errors of So1s: each class says what happens next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so1s.known_fields import known_fields

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_CREDENTIALS = re.compile(r"//[^/\s]*@")
"""Up to the last `@` of the authority: not every password is quoted."""
_SHOWN_CHARACTERS = 120
MISSING = "nothing"
"""The value of what was not said."""
_MOST_PROBLEMS = 20


class So1sError(Exception):
    """Any error that So1s raises on purpose."""


class TemporaryError(So1sError):
    """The world is not ready: the same work is tried again, later and without bound."""


class Unreachable(TemporaryError):
    """A part of the platform does not answer; the message says which, and what to do."""


class Refused(So1sError):
    """Kafka will not have some of the records that it was sent, and has all the others.

    `errors` are its answers, by event id. Where an operator mends the cause, they may be sent again later.
    """

    def __init__(self, errors: Mapping[str, Exception]) -> None:
        said = "; ".join(f"event {event_id}: {error}" for event_id, error in errors.items())
        super().__init__(f"Kafka refuses {said}")
        self.errors = errors


class PermanentError(So1sError):
    """Trying again cannot help: the event is kept in the dead letters and the flow goes on."""

    reason = "permanent"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input."""

    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """Say it in one line."""
        if self.value == MISSING:
            return f"{self.field} is missing; {self.allowed}"
        return f"{self.field}: {self.value} is not allowed; {self.allowed}"


@dataclass(frozen=True)
class Fault(Problem):
    """Something that went wrong with an input, where no value is the matter; `value` says what happened."""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.field}: {self.value}; {self.allowed}"


class InvalidInput(PermanentError):
    """An input breaks a rule; `problems` names each field (the first 20), its value and what is allowed."""

    reason = "invalid"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems

    @classmethod
    def of(cls, field: str, value: object, allowed: str) -> InvalidInput:
        """Make the error of a single field."""
        return cls([Problem(field, shown(value), allowed)])

    @classmethod
    def missing(cls, field: str, allowed: str) -> InvalidInput:
        """Make the error of a field that was not said."""
        return cls([Problem(field, MISSING, allowed)])

    @classmethod
    def fault(cls, field: str, happened: str, allowed: str) -> InvalidInput:
        """Make the error of a field with which something happened, such as a file that is not there."""
        return cls([Fault(field, happened, allowed)])

    @classmethod
    def from_pydantic(cls, error: ValidationError, model: type[BaseModel] | None = None) -> InvalidInput:
        """Translate a pydantic error into fields, values and what is allowed.

        Args:
            error: what pydantic says.
            model: that was validated; its fields are what is allowed where one is unknown.
        """
        details = error.errors(include_url=False)
        return cls([_problem(detail, model) for detail in details[:_MOST_PROBLEMS]])


def explanation(error: Exception) -> str:
    """What the author of an event that will not be handled is told: nothing of an accident's innards."""
    if isinstance(error, So1sError):
        return str(error)
    return f"{type(error).__name__} while it was handled; it is kept in the dead letters: so1s dlq list"


def without_credentials(text: str) -> str:
    """A text whose URLs have neither user nor password."""
    return _CREDENTIALS.sub("//***@", text)


def shown(value: object) -> str:
    """A value as an error message shows it: quoted, at most 120 characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _problem(detail: Any, model: type[BaseModel] | None) -> Problem:
    field = ".".join(str(part) for part in detail["loc"]) or "event"
    value = MISSING if detail["type"] == "missing" else shown(detail["input"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden" and model:
        message = f"no field has this name; allowed: {', '.join(known_fields(model, detail['loc']))}"
    return Problem(field, value, message[:1].lower() + message[1:])
