"""The router's objects in the API server: as watches show them, and as writes since then left them.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from so1s.kubernetes import Api, Mirror

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

API_VERSION = "networking.istio.io/v1"
FIELD_MANAGER = "so1s-router"
_RECENT_SECONDS = 0.5
"""A watch tells of a write within milliseconds; what it has not told by then was undone at once."""


@dataclass(frozen=True)
class Key:
    """What tells an object from all others."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class _Write:
    """What a write left: an object at a version, or none."""

    found: Object | None
    version: int
    at: float


class Objects:
    """Reads objects without asking for them, and writes them."""

    def __init__(self, api: Api, mirrors: Mapping[str, Mirror], clock: Callable[[], float]) -> None:
        """Read and write.

        Args:
            api: the API server.
            mirrors: of the objects of each kind.
            clock: monotonic seconds.
        """
        self._api = api
        self._mirrors = mirrors
        self._clock = clock
        self._writes: dict[Key, _Write] = {}

    def present(self) -> dict[Key, Object]:
        """The objects that are there.

        Raises:
            Unreachable: a watch is cut off, so that nobody knows.
        """
        shown = {
            Key(kind, *where): found
            for kind, mirror in self._mirrors.items()
            for where, found in mirror.objects.items()
        }
        since = self._clock() - _RECENT_SECONDS
        self._writes = {
            key: write
            for key, write in self._writes.items()
            if write.at > since and _version(shown.get(key)) <= write.version
        }
        latest = shown | {key: write.found for key, write in self._writes.items()}
        return {key: found for key, found in latest.items() if found}

    async def put(self, key: Key, wanted: Object, seen: Object | None) -> None:
        """Make an object be as told; what another hand added to its `spec` goes.

        Args:
            key: of the object.
            wanted: what it shall say.
            seen: as it was when it was decided to write; the write takes effect on that state alone.

        Raises:
            Refused: it will not be taken as it is.
            Conflict: it is not any more as seen.
            TemporaryError: it is not taken now.
        """
        found = await self._api.apply(_at(wanted, seen), manager=FIELD_MANAGER)
        if not is_as_told(found, wanted):
            # Server-side apply leaves the fields that another manager added.
            found = await self._api.replace({**found, "spec": wanted["spec"]}, manager=FIELD_MANAGER)
        self._writes[key] = _Write(found, _version(found), self._clock())

    async def delete(self, key: Key, seen: Object) -> None:
        """Remove an object.

        Raises:
            Refused: it may not be removed.
            TemporaryError: it is not removed now.
        """
        await self._api.delete(API_VERSION, key.kind, key.namespace, key.name)
        self._writes[key] = _Write(None, _version(seen), self._clock())


class Comparison:
    """Finds the objects that are not as told, again and again: what did not change is not compared anew.

    Objects are replaced and never changed in place, by watches as by plans: the same pair compares the same.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._same: dict[Key, tuple[Object | None, Object]] = {}

    def differing(self, present: Mapping[Key, Object], wanted: Mapping[Key, Object]) -> set[Key]:
        """The keys of the wanted objects that are not there, or not as told."""
        pairs = {key: (present.get(key), told) for key, told in wanted.items()}
        self._same = {
            key: pair for key, pair in pairs.items() if self._is_known(key, *pair) or is_as_told(*pair)
        }
        return pairs.keys() - self._same.keys()

    def _is_known(self, key: Key, found: Object | None, told: Object) -> bool:
        known_found, known_told = self._same.get(key, (None, None))
        return told is known_told and found is known_found


def is_as_told(found: Object | None, wanted: Object) -> bool:
    """Whether an object says what it shall, and in its `spec` nothing else."""
    if found is None or found.get("spec") != wanted["spec"]:
        return False
    return found["metadata"].get("labels", {}).items() >= wanted["metadata"]["labels"].items()


def _version(found: Object | None) -> int:
    """Orders the states of an object; the API promises that versions are integers that grow."""
    return int(found["metadata"]["resourceVersion"]) if found else 0


def _at(wanted: Object, seen: Object | None) -> Object:
    if seen is None:
        return wanted
    version = {"resourceVersion": seen["metadata"]["resourceVersion"]}
    return {**wanted, "metadata": {**wanted["metadata"], **version}}
