"""Lock files as uv exports them: a line `NAME==VERSION ; MARKER`, and `--hash=sha256:…` for each file."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:(?P<sha256>[0-9a-f]{64})")


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(lock: str) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The sha256 of each file that a lock allows, by normalised name and version, sorted."""
    found: dict[tuple[str, str], list[str]] = {}
    present: list[str] = []
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            present = found.setdefault((normalised(pin["name"]), pin["version"]), [])
        present.extend(each["sha256"] for each in _HASH.finditer(line))
    return {pin: tuple(sorted(each)) for pin, each in found.items()}
