"""Golden schemas: what was published, kept beside the code that must stay compatible with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from so1s.contracts.compatibility import Change, compare
from so1s.contracts.schemas import contract
from so1s.events.event import Event


def changes(directory: Path, events: Iterable[type[Event]]) -> dict[str, list[Change]]:
    """What differs from the golden schemas, by event type; a type that is gone is a breaking change."""
    now = {event.type: contract(event) for event in events}
    before = {path.stem: json.loads(path.read_text()) for path in directory.glob("*.json")}
    found = {kind: compare(before[kind], now[kind]) for kind in before.keys() & now.keys()}
    found |= {kind: [Change("type", "was removed", breaking=True)] for kind in before.keys() - now.keys()}
    found |= {kind: [Change("type", "is new", breaking=False)] for kind in now.keys() - before.keys()}
    return {kind: different for kind, different in sorted(found.items()) if different}


def breaking(found: dict[str, list[Change]]) -> list[str]:
    """The changes that need a new version of their class, a line each."""
    return [f"{kind}: {change}" for kind, all_ in found.items() for change in all_ if change.breaking]


def write(directory: Path, events: Iterable[type[Event]]) -> None:
    """Make the golden schemas those of the code."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {f"{event.type}.json": text(contract(event)) for event in events}
    for path in directory.glob("*.json"):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (directory / name).write_text(content)


def text(document: dict[str, Any]) -> str:
    """A document as it is kept."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
