"""Which changes of an event are compatible, and which field breaks."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from so1s.contracts import compare, contract
from so1s.events import Event
from so1s.events.event import Value

NAMES = iter(range(1000))


class Part(Value):
    size: int
    unit: str = "MiB"


class LargerPart(Value):
    size: int
    unit: str = "MiB"
    colour: str | None = None


class SmallerPart(Value):
    size: int


def versions(old: dict, new: dict, *, before: dict | None = None, after: dict | None = None):
    """Two contracts of one event type, from the annotations (and defaults) of their fields."""
    prefix = f"compat-{next(NAMES)}"

    def declare(fields, options):
        annotations = {
            name: field[0] if isinstance(field, tuple) else field for name, field in fields.items()
        }
        defaults = {name: field[1] for name, field in fields.items() if isinstance(field, tuple)}
        body = {"__annotations__": annotations, "__module__": __name__, "__qualname__": "Thing", **defaults}
        given = {"key": ("account",), "prefix": prefix} | options
        return contract(type(Event)("Thing", (Event,), body, **given))

    return declare(old, before or {}), declare(new, after or {})


def told(*arguments, **options):
    return [(str(change), change.breaking) for change in compare(*versions(*arguments, **options))]


COMPATIBLE = [
    ({}, {"note": (str | None, None)}, "note is new and optional"),
    ({"part": Part}, {"part": LargerPart}, "part.colour is new and optional"),
    ({"parts": list[Part]}, {"parts": list[LargerPart]}, "parts[].colour is new and optional"),
]
Small, Large = Annotated[int, Field(le=10)], Annotated[int, Field(le=20)]
BREAKING = [
    ({"a": int}, {}, "a was removed"),
    ({"a": (int, 1)}, {}, "a was removed"),
    ({}, {"a": int}, "a is new and required"),
    ({"a": (int, 1)}, {"a": int}, "a is required"),
    ({"a": int}, {"a": (int, 1)}, "a may be absent"),
    ({"a": (int, 1)}, {"a": (int, 2)}, "a means something else where it is absent: was 1, is 2"),
    ({"a": (int, Field(default_factory=int))}, {"a": (int, 2)}, "a means something else where it is absent"),
    ({"a": int}, {"a": str}, "a has another type: was integer, is string"),
    ({"a": int}, {"a": float}, "a has another type: was integer, is number"),
    ({"a": int}, {"a": int | None}, "a may be null: older consumers refuse"),
    ({"a": int | None}, {"a": int}, "a may not be null any more"),
    ({"a": Large}, {"a": Small}, "a has another maximum: was 20, is 10: what older producers"),
    ({"a": Small}, {"a": Large}, "a has another maximum: was 10, is 20: older consumers refuse"),
    ({"a": int}, {"a": Small}, "a has another maximum: was None, is 10: what older producers send"),
    ({"a": Annotated[int, Field(ge=1)]}, {"a": Annotated[int, Field(ge=2)]}, "a has another minimum"),
    ({"a": Annotated[str, Field(max_length=9)]}, {"a": str}, "a has another maxLength"),
    ({"a": str}, {"a": Annotated[str, Field(pattern="^x$")]}, "a has another pattern"),
    ({"a": Literal["x", "y"]}, {"a": Literal["x"]}, "a may not be 'y' any more"),
    ({"a": Literal["x", "z"]}, {"a": Literal["x", "z", "y"]}, "a may be 'y': older consumers refuse"),
    ({"a": Part}, {"a": SmallerPart}, "a.unit was removed"),
    ({"a": Part | None}, {"a": SmallerPart | None}, "a.unit was removed"),
    ({"a": list[Part]}, {"a": list[SmallerPart]}, "a[].unit was removed"),
    ({"a": dict[str, Part]}, {"a": dict[str, SmallerPart]}, "a.*.unit was removed"),
    ({"a": dict[Literal["x", "y"], int]}, {"a": dict[Literal["x", "z"], int]}, "a.* may be 'z'"),
    ({"a": dict[str, int]}, {"a": dict[str, str]}, "a.* has another type"),
    ({"a": list[int]}, {"a": int}, "a has another type: was array, is integer"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), COMPATIBLE)
def test_a_compatible_change_is_told_and_breaks_nothing(old, new, says):
    assert told(old, new) == [(says, False)]


@pytest.mark.parametrize(("old", "new", "says"), BREAKING)
def test_a_breaking_change_names_its_field(old, new, says):
    changes = told(old, new)
    assert any(says in change and breaking for change, breaking in changes), changes


@pytest.mark.parametrize(
    ("before", "after", "says", "breaking"),
    [
        ({}, {"partitions": 24}, "partitions was 12, is 24", True),
        ({"key": ("account", "a")}, {"key": ("account", "b")}, "key was ['account', 'a'], is", True),
        ({}, {"prefix": "compat-elsewhere"}, "topic was", True),
        ({}, {"retention_days": 30}, "retention_days was 7, is 30", False),
    ],
)
def test_where_an_event_travels_is_part_of_its_contract(before, after, says, breaking):
    fields = {"a": str, "b": str}
    changes = told(fields, fields, before=before, after=after)
    assert any(says in change and breaks is breaking for change, breaks in changes), changes


def test_words_are_no_part_of_a_contract():
    old, new = versions({"a": int}, {"a": Annotated[int, Field(description="Now with a meaning.")]})
    assert compare(old, new) == []


def test_a_contract_is_compatible_with_itself():
    fields = {"a": dict[str, Part | None], "b": list[Literal["x"]], "c": (float, 0.5)}
    assert told(fields, fields) == []
