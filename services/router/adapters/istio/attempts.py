"""Calls of the API server, each of which may fail by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import structlog

from services.router.adapters.istio.objects import Key, Object
from services.router.ports import Failure
from so1s.broker.failures import backoff_seconds
from so1s.errors import So1sError
from so1s.kubernetes import Refused
from so1s.kubernetes.errors import Conflict, NotFound

log = structlog.get_logger()

_T = TypeVar("_T")

_AT_ONCE = 16
"""Requests to the API server at a time: more of them only queue before its admission webhooks."""


@dataclass(frozen=True)
class _Failed:
    """What failed, and when it is tried again."""

    wanted: Object | None
    failure: Failure
    times: int
    """In a row."""
    again_at: float


class Attempts:
    """Makes calls, and remembers what failed, so that it is said once and tried again with a backoff."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Nothing failed yet.

        Args:
            clock: monotonic seconds.
        """
        self._clock = clock
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._hosts: Mapping[Key, Collection[str]] = {}
        self._failed: dict[Key, _Failed] = {}

    def __len__(self) -> int:
        """How many objects an attempt failed on last."""
        return len(self._failed)

    def begin(self, hosts: Mapping[Key, Collection[str]]) -> None:
        """Begin a round; nobody cares any more for what failed on other objects than these.

        Args:
            hosts: that depend on each object.
        """
        self._hosts = hosts
        self._failed = {key: failed for key, failed in self._failed.items() if key in hosts}

    async def make(self, key: Key, wanted: Object | None, call: Callable[[], Awaitable[_T]]) -> _T | None:
        """Make a call, unless the same one failed just now.

        Args:
            key: of the object.
            wanted: what it shall become; None where it is to be read or to go.
            call: that makes it so.

        Returns:
            What the call answers; None where it failed, or was not made.
        """
        if self._is_held_back(key, wanted):
            return None
        async with self._limit:
            try:
                answer = await call()
            except Conflict:
                return (
                    None  # another hand was faster; the watch tells what it did, and the next round undoes it
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the other objects go on
                self.note(key, wanted, error)
                return None
        self._failed.pop(key, None)
        return answer

    def note(self, key: Key, wanted: Object | None, error: Exception) -> None:
        """Remember a failure, and say it where that is news."""
        before = self._failed.get(key)
        failure = Failure(_said(error), refused=isinstance(error, Refused | NotFound))
        if before is None or before.failure != failure:
            log.error(
                "the API server does not do what a route needs; it is asked again",
                object=f"{key.kind} {key.namespace}/{key.name}",
                endpoints=sorted(map(_endpoint, self._hosts.get(key, ()))),
                reason=failure.reason,
                exc_info=None if isinstance(error, So1sError) else error,
            )
        times = before.times + 1 if before and before.wanted == wanted else 1
        self._failed[key] = _Failed(wanted, failure, times, self._clock() + backoff_seconds(times))

    def failures(self) -> dict[str, Failure]:
        """Why each host's route is not as told; a refusal rather than what may pass by itself."""
        failed = sorted(self._failed.items(), key=lambda item: item[1].failure.refused)
        return {host: each.failure for key, each in failed for host in self._hosts.get(key, ())}

    def _is_held_back(self, key: Key, wanted: Object | None) -> bool:
        failed = self._failed.get(key)
        return failed is not None and failed.wanted == wanted and self._clock() < failed.again_at


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, So1sError) else f"{type(error).__name__}: {error}"


def _endpoint(host: str) -> str:
    """As events are keyed: `risk/fraud`."""
    name, _, account = host.partition(".")[0].partition("--")
    return f"{account}/{name}"
