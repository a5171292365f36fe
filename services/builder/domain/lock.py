"""Lock files as uv exports them: a line `NAME==VERSION ; MARKER`, and `--hash=sha256:…` for each file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.builder.domain.failure import BuildError

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Lock:
    """A set of libraries, to the last byte: what a layer is made of and known by."""

    name: str
    """What people call it, such as the format that it serves. Locks of one text are the same libraries."""
    text: str

    @property
    def sha256(self) -> str:
        """Of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def hashes(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The sha256 of each file that it allows, by normalised name and version, sorted."""
        found: dict[tuple[str, str], list[str]] = {}
        present: list[str] = []
        for line in self.text.splitlines():
            if pin := _PIN.match(line):
                present = found.setdefault((normalised(pin["name"]), pin["version"]), [])
            present.extend(each["sha256"] for each in _HASH.finditer(line))
        return {pin: tuple(sorted(each)) for pin, each in found.items()}


def merged(lock: Lock, more: Lock) -> Lock:
    """A lock of the libraries of two; where both have one, it is the first one's.

    Of two locks that one resolution made, it is what that would have made of both together.
    """
    entries = {**_entries(more.text), **_entries(lock.text)}
    return Lock(f"{lock.name} with {more.name}", "".join(entries[name] for name in sorted(entries)))


def _entries(text: str) -> dict[str, str]:
    """The lines of each library, by its normalised name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if pin := _PIN.match(line):
            name = normalised(pin["name"])
        found[name] = found.get(name, "") + line
    return found


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def restricted(lock: Lock, allowed: Mapping[str, Collection[str]]) -> Lock:
    """A lock without the files that its author does not allow.

    Args:
        lock: of all files of each version.
        allowed: the sha256 of files by normalised name; of a name that is absent, any file is.

    Raises:
        BuildError: of a package, no file is left.
    """
    lines: list[str] = []
    for line in lock.text.splitlines():
        if pin := _PIN.match(line):
            lines.append(line.rstrip(" \\"))
            name = normalised(pin["name"])
            _require_one(name, pin["version"], lock, allowed.get(name))
        elif (file := _HASH.search(line)) and file["sha256"] in allowed.get(name, {file["sha256"]}):
            lines[-1] += " \\"
            lines.append(f"    --hash=sha256:{file['sha256']}")
    return Lock(lock.name, "\n".join([*lines, ""]))


def _require_one(name: str, version: str, lock: Lock, allowed: Collection[str] | None) -> None:
    if allowed is not None and not set(allowed) & set(lock.hashes[name, version]):
        message = f"{name} {version} has no file with a hash that the requirements allow"
        raise BuildError("dependencies", message)
