"""A copy of what an API server has, kept up to date by a watch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import structlog

from so1s.errors import TemporaryError, Unreachable
from so1s.kubernetes.errors import Gone, failure

if TYPE_CHECKING:
    from so1s.kubernetes.api import Api

log = structlog.get_logger()

Key = tuple[str, str]
"""Namespace and name."""

_WATCH_SECONDS = 290
"""A watch is begun anew by then: API servers end them after 5 to 10 minutes anyway."""
_SILENT_SECONDS = 90.0
"""Bookmarks come each minute: a connection that is silent for longer is dead."""
_PAGE = "500"
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 10.0
_READABLE_SECONDS = 5.0
"""So long after a cut, what was known last may be read: a network that stalls is as far behind."""
_JITTER = random.Random()  # noqa: S311 - it spreads load, and guards nothing


@dataclass(slots=True)
class _Loss:
    """A watch that ended before its time, and was not made again yet."""

    error: TemporaryError
    since: float
    failures: int = 0
    """In a row, that of the watch itself included."""


class Mirror:
    """All objects of a kind, while it is entered: they are complete from the beginning.

    The protocol is Kubernetes' own: a list, then a watch from the list's resource version, which goes on
    from its last event or bookmark after each disconnection, and a list anew where that is too old (410).
    """

    def __init__(self, api: Api, where: str, label_selector: str) -> None:
        self._api = api
        self._where = where
        self._selector = {"labelSelector": label_selector} if label_selector else {}
        self._objects: dict[Key, dict[str, Any]] = {}
        self._version = ""
        """The resource version up to which the objects are known; empty to read them anew."""
        self._ahead: dict[Key, int] = {}
        """The versions of what `take` was given and the watch has not told of yet."""
        self._lost: _Loss | None = None
        self._connected_at: float | None = None
        self._changed: list[Callable[[], None]] = []
        self._removed: list[Callable[[dict[str, Any]], None]] = []

    @property
    def objects(self) -> Mapping[Key, dict[str, Any]]:
        """What is there, by namespace and name; where the watch was cut a moment ago, what was there then.

        Objects are replaced and never changed in place: the same one says the same.

        Raises:
            Unreachable: the watch is cut off for longer than 5 s, so that nobody knows.
        """
        if self._lost and time.monotonic() - self._lost.since > _READABLE_SECONDS:
            raise Unreachable(f"{self._where} is not watched now: {self._lost.error}")
        return self._objects

    def take(self, body: dict[str, Any]) -> None:
        """Show what a write left, before the watch tells of it.

        Args:
            body: the object as the API answered it; it has the labels that are watched.
        """
        version = _version(body)
        if version > int(self._version or 0):  # else the watch has told of it, or of what came after
            self._objects[_key(body)] = body
            self._ahead[_key(body)] = version

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._changed.append(changed)

    def on_removed(self, removed: Callable[[dict[str, Any]], None]) -> None:
        """Call `removed` with the last state of each object whose removal the watch shows.

        What went while nothing watched is not told: it is merely not there any more.
        """
        self._removed.append(removed)

    async def __aenter__(self) -> Self:
        """Read what is there, and watch.

        Raises:
            TemporaryError: the API does not answer.
        """
        await self._list()
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Watch no longer."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            self._connected_at = None
            try:
                await self._catch_up()
            except TemporaryError as error:
                if isinstance(error, Gone):
                    self._version = ""
                self._lose(error)
            except Exception as error:
                log.exception("a watch failed; it begins anew", path=self._where)
                self._version = ""
                self._lose(TemporaryError(f"{type(error).__name__}: {error}"))
                backoff = _LONGEST_BACKOFF_SECONDS
            else:
                if self._lasted() <= backoff:  # a wait follows, in which nobody knows
                    self._lose(TemporaryError("the watch ended at once"))
            if self._lasted() > backoff:  # such as one that a proxy cut, because nothing happened
                backoff = _FIRST_BACKOFF_SECONDS
            else:
                await asyncio.sleep(backoff * _JITTER.uniform(0.5, 1.0))
                backoff = min(_LONGEST_BACKOFF_SECONDS, backoff * 2)

    def _lasted(self) -> float:
        """For how many seconds the last watch held."""
        return 0.0 if self._connected_at is None else time.monotonic() - self._connected_at

    async def _catch_up(self) -> None:
        if not self._version:
            await self._list()
        query = {
            **self._selector,
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._api.stream(self._where, query, _SILENT_SECONDS) as lines:
            self._connected_at = time.monotonic()
            self._find()
            async for line in lines:
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        kind, body = event["type"], event["object"]
        if kind == "ERROR":
            raise failure(body.get("code", 0), json.dumps(body))
        self._version = body["metadata"]["resourceVersion"]
        if kind == "BOOKMARK" or self._is_behind(body):
            return
        if kind == "DELETED":
            self._objects.pop(_key(body), None)
            for removed in self._removed:
                removed(body)
        else:
            self._objects[_key(body)] = body
        self._tell()

    def _is_behind(self, body: dict[str, Any]) -> bool:
        """Whether a later state of the object was taken already."""
        if _version(body) < self._ahead.get(_key(body), 0):
            return True
        self._ahead.pop(_key(body), None)
        return False

    async def _list(self) -> None:
        found: dict[Key, dict[str, Any]] = {}
        after: dict[str, str] = {}
        while True:
            page = await self._api.read(self._where, {**self._selector, "limit": _PAGE, **after})
            found |= {_key(each): each for each in page["items"]}
            if not (token := page["metadata"].get("continue")):
                break
            after = {"continue": token}
        self._version = page["metadata"]["resourceVersion"]
        self._ahead = {key: each for key, each in self._ahead.items() if each > int(self._version)}
        found |= {key: self._objects[key] for key in self._ahead}
        changed, self._objects = found != self._objects, found
        if changed:
            self._tell()

    def _lose(self, error: TemporaryError) -> None:
        self._lost = self._lost or _Loss(error, time.monotonic())
        self._lost.error = error
        self._lost.failures += 1
        if self._lost.failures == 2:  # noqa: PLR2004 - the watch itself, and the first try to go on
            log.warning("a watch is cut off", path=self._where, reason=str(error))

    def _find(self) -> None:
        if self._lost:
            self._lost = None
            self._tell()

    def _tell(self) -> None:
        for changed in self._changed:
            changed()


def _key(body: dict[str, Any]) -> Key:
    meta = body["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _version(body: dict[str, Any]) -> int:
    """Orders the states of an object; the API promises that versions are integers that grow."""
    return int(body["metadata"]["resourceVersion"])
