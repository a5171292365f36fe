"""The fields that a model knows at a place: what an author who mistyped one needs to see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel


def known_fields(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """The names that may stand at a place of a model, in their order; none where that is unknown.

    Args:
        model: of the whole.
        place: pydantic's `loc` of the field: names, and the positions and keys that lead to it.
    """
    models = [model]
    for part in place[:-1]:
        within = [each for model in models for each in _models_at(model, part)]
        models = within or models  # a position or a key leads no deeper into the annotation
    return list(dict.fromkeys(name for each in models for name in _names(each)))


def _names(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _models_at(model: type[BaseModel], name: int | str) -> Iterator[type[BaseModel]]:
    yield from _models_in(_names(model).get(str(name)))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation is made of, such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
