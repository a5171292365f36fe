"""What may change in a contract: producers and consumers of two versions run at once.

A change is compatible if consumers of either version take what producers of either one send. A
consumer ignores fields that it does not know, and refuses values that it does not know. So a new
optional field is compatible; whatever makes one side refuse the other's values is not, and needs a
new class with the next `version`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from so1s.contracts.schemas import TRAVELS, resolved

Node = dict[str, Any]

_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SHAPE = ("type", "format", "pattern", "const", "anyOf", "uniqueItems", "multipleOf")

_OLDER_PRODUCERS = "what older producers send is refused"
_OLDER_CONSUMERS = "older consumers refuse what is sent"


@dataclass(frozen=True)
class Change:
    """One difference between two versions of a contract."""

    field: str
    """Its path, such as `artifact.sha256`; `topic` and the like for where the event travels."""
    what: str
    breaking: bool

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.field} {self.what}"


def compare(old: Node, new: Node) -> list[Change]:
    """The differences between two contracts of one event type."""
    return [*_travels(old[TRAVELS], new[TRAVELS]), *_node("", *_pair(old, new, old, new))]


@dataclass(frozen=True)
class _Side:
    """A node of one version, with that version's definitions."""

    node: Node
    definitions: Node

    def at(self, node: Node) -> _Side:
        return _Side(resolved(node, self.definitions), self.definitions)


def _pair(old: Node, new: Node, old_root: Node, new_root: Node) -> tuple[_Side, _Side]:
    before, after = _Side(old, old_root.get("$defs", {})), _Side(new, new_root.get("$defs", {}))
    return before.at(old), after.at(new)


def _travels(old: Node, new: Node) -> Iterator[Change]:
    for name in old:
        if old[name] != new[name]:
            compatible = name == "retention_days"
            yield Change(name, f"was {old[name]}, is {new[name]}", breaking=not compatible)


def _node(path: str, old: _Side, new: _Side) -> Iterator[Change]:
    yield from _shape(path, old.node, new.node)
    yield from _enum(path, old.node, new.node)
    yield from _bounds(path, old.node, new.node)
    yield from _properties(path, old, new)
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*"), ("propertyNames", ".*")):
        before, after = old.node.get(keyword), new.node.get(keyword)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _node(f"{path}{suffix}", old.at(before), new.at(after))
        elif before != after:
            yield Change(f"{path}{suffix}", "takes other values", breaking=True)


def _shape(path: str, old: Node, new: Node) -> Iterator[Change]:
    for keyword in _SHAPE:
        if old.get(keyword) != new.get(keyword):
            what = f"has another {keyword}: was {old.get(keyword)}, is {new.get(keyword)}"
            yield Change(path, what, breaking=True)
    if old.get("nullable") and not new.get("nullable"):
        yield Change(path, f"may not be null any more: {_OLDER_PRODUCERS}", breaking=True)
    if new.get("nullable") and not old.get("nullable"):
        yield Change(path, f"may be null: {_OLDER_CONSUMERS}", breaking=True)


def _enum(path: str, old: Node, new: Node) -> Iterator[Change]:
    before, after = old.get("enum", []), new.get("enum", [])
    for value in [value for value in before if value not in after]:
        yield Change(path, f"may not be {value!r} any more: {_OLDER_PRODUCERS}", breaking=True)
    for value in [value for value in after if value not in before]:
        yield Change(path, f"may be {value!r}: {_OLDER_CONSUMERS}", breaking=True)


def _bounds(path: str, old: Node, new: Node) -> Iterator[Change]:
    for keyword in (*_LOWEST, *_HIGHEST):
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        if before is None or after is None:
            narrower = before is None
        else:
            narrower = (after > before) == (keyword in _LOWEST)
        who = _OLDER_PRODUCERS if narrower else _OLDER_CONSUMERS
        yield Change(path, f"has another {keyword}: was {before}, is {after}: {who}", breaking=True)


def _properties(path: str, old: _Side, new: _Side) -> Iterator[Change]:
    before, after = old.node.get("properties", {}), new.node.get("properties", {})
    was_required, is_required = old.node.get("required", []), new.node.get("required", [])
    for name in before | after:
        field = f"{path}.{name}".removeprefix(".")
        if name not in after:
            yield Change(field, "was removed", breaking=True)
        elif name not in before:
            required = name in is_required
            yield Change(
                field, "is new and required" if required else "is new and optional", breaking=required
            )
        else:
            yield from _presence(field, before[name], after[name], name in was_required, name in is_required)
            yield from _node(field, old.at(before[name]), new.at(after[name]))


def _presence(field: str, old: Node, new: Node, was_required: bool, is_required: bool) -> Iterator[Change]:  # noqa: FBT001 - two flags that belong together
    if is_required and not was_required:
        yield Change(field, f"is required: {_OLDER_PRODUCERS}", breaking=True)
    elif was_required and not is_required:
        yield Change(field, f"may be absent: {_OLDER_CONSUMERS}", breaking=True)
    elif old.get("default") != new.get("default"):
        before, after = old.get("default"), new.get("default")
        what = f"means something else where it is absent: was {before}, is {after}"
        yield Change(field, what, breaking=True)
