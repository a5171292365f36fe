"""Tables of what may be said, in Markdown, made of JSON schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from so1s.contracts.schemas import as_map, resolved
from so1s.contracts.words import WORDS
from so1s.events import names
from so1s.modelfile import InnerPath

Node = dict[str, Any]


def table(
    schema: Node,
    definitions: Node,
    *,
    titles: Mapping[str, str] = {},
    absent: Mapping[str, str] = {},
    more: Mapping[str, Callable[[Node], str]] = {},
) -> str:
    """The fields of an object, a row each.

    Args:
        schema: of the object.
        definitions: that it refers to.
        titles: of the sections that describe definitions, where they are called otherwise.
        absent: what is the case where a field is not said, if its default does not tell.
        more: further columns, by their headings, before the meaning.
    """
    headings = ["field", "type", "allowed", "if absent", *more, "meaning"]
    rows = [
        [
            f"`{name}`",
            _kind(node, titles),
            "; ".join(_allowed(resolved(node, definitions), definitions)),
            absent.get(name) or _absent(name, node, schema),
            *(column(node) for column in more.values()),
            node.get("description") or WORDS.get(name) or "",
        ]
        for name, node in schema["properties"].items()
    ]
    return "\n".join(map(_line, [headings, ["---"] * len(headings), *rows]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"


def _kind(node: Node, titles: Mapping[str, str]) -> str:
    node = as_map(node)
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        title = titles.get(name, name)
        return f"[{title}](#{title.lower()})"
    if "anyOf" in node:
        return " or ".join(_kind(choice, titles) for choice in node["anyOf"])
    if "items" in node:
        return f"list of {_kind(node['items'], titles)}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"map to {_kind(node['additionalProperties'], titles)}"
    return {"date-time": "time"}.get(node.get("format", ""), node.get("type", "any"))


def _allowed(node: Node, definitions: Node) -> Iterator[str]:
    """The limits of a node, of its items and of its keys, in words."""
    node = as_map(node)
    if "enum" in node or "const" in node:
        yield ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    yield from _range(node, "minimum", "maximum", "")
    if "not" in node:
        yield f"not {node['not']['const']}"
    if "exclusiveMinimum" in node:
        yield f"> {node['exclusiveMinimum']}"
    yield from _range(node, "minLength", "maxLength", " characters")
    yield from _range(node, "minItems", "maxItems", " items")
    yield from _range(node, "minProperties", "maxProperties", " pairs")
    if pattern := node.get("pattern"):
        yield _PATTERNS.get(pattern, f"`{pattern}`")
    for keyword, whose in (("propertyNames", "keys"), ("items", "each"), ("additionalProperties", "values")):
        inner = node.get(keyword)
        if isinstance(inner, dict) and "$ref" not in inner:
            yield from (f"{whose}: {limit}" for limit in _allowed(inner, definitions))


def _range(node: Node, lowest: str, highest: str, unit: str) -> Iterator[str]:
    low, high = node.get(lowest), node.get(highest)
    if low is not None and high is not None:
        yield f"{low:,} to {high:,}{unit}"
    elif low is not None:
        yield f"≥ {low:,}{unit}"
    elif high is not None:
        yield f"≤ {high:,}{unit}"


def _pattern(annotated: Any) -> str:
    return annotated.__metadata__[-1].json_schema_extra["pattern"]


_PATTERNS = {
    _pattern(names.Name): "`a-z`, `0-9`, single `-` inside",
    _pattern(InnerPath): "a path within the directory, with `/`",
    _pattern(names.Version): "1 to 63 of `A-Z a-z 0-9 . _ -`, letter or digit at both ends",
    "^sha256:[0-9a-f]{64}$": "`sha256:` and 64 hexadecimal digits",
    "^[0-9a-f]{64}$": "64 hexadecimal digits",
}


def _absent(name: str, node: Node, schema: Node) -> str:
    if name in schema.get("required", []):
        return "**required**"
    value = node.get("default")
    if value is None or value in ({}, []):
        return "null" if value is None else "none"
    return f"`{json.dumps(value, ensure_ascii=False)}`" if not isinstance(value, dict) else "its defaults"
