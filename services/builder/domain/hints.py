"""What to do about errors that libraries and installers put in their own words."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HINTS: tuple[tuple[str, str], ...] = (
    (
        r"No module named '(?P<what>[\w.]+)'",
        "the model's code imports {what}, which is not among its libraries: add it to requirements.txt",
    ),
    (
        r"[Hh]ash mismatch",
        "the index has other bytes than the lock names: a mirror changes files, or a release was replaced",
    ),
    (
        r"there is no version of (?P<what>[A-Za-z0-9._-]+(==\S+)?)",
        "the index has no {what}: mind the spelling of the number, or name an index that has it",
    ),
    (
        r"(?P<what>[A-Za-z0-9._-]+) was not found in the package registry",
        "the index has no package {what}: mind its spelling, or name an index that has it",
    ),
    (
        r"has no wheels? with a matching|no wheels are usable|building source distributions is disabled",
        "only wheels are installed: choose a version that has one for this Python and platform",
    ),
    (
        r"requirements are unsatisfiable",
        "the requirements contradict each other: loosen the versions that are named above",
    ),
    (
        r"MemoryError|[Cc]annot allocate memory",
        "the model needs more memory than a builder gives it to be tried: SO1S_INSPECT_MEMORY_MIB",
    ),
)


def hint(lines: Iterable[str]) -> str | None:
    """What the first known error among the lines of a failed build asks for; None where none is known."""
    text = "\n".join(lines)
    for pattern, advice in _HINTS:
        if found := re.search(pattern, text):
            return advice.format_map(found.groupdict())
    return None
