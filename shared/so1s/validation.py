"""Events from plain values, with errors that name the field."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from so1s.errors import InvalidInput

M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], /, **values: Any) -> M:
    """Make a model of plain values, as if they had come as JSON; unknown fields are refused.

    Raises:
        InvalidInput: with each field that breaks a rule, its value and what is allowed.
    """
    try:
        return model.model_validate_json(to_json(values))
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error, model) from error
