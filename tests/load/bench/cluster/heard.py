"""What services say, and when that was heard."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Self

from so1s.broker.reader import Reader, decoded
from so1s.broker.topics import provision
from so1s.events import (
    DeploymentFailed,
    DeploymentReady,
    Event,
    RoutesApplied,
    RoutesDegraded,
    RoutesRejected,
)
from so1s.settings import ServiceSettings

_GOOD = (DeploymentReady, RoutesApplied)
_BAD = (DeploymentFailed, RoutesRejected)

Key = tuple[type[Event], str, int]
"""An event's type, what it speaks of, and the revision of that."""


class Heard:
    """Listens to deployers and routers while it is entered."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.degraded = 0
        """How many routes were said to miss their deadline; they are applied all the same, later."""
        self._settings = settings
        self._at: dict[Key, float] = {}
        self._failure: Event | None = None
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        topics = [kind.topic for kind in (*_GOOD, *_BAD, RoutesDegraded)]
        await provision(self._settings, topics)
        async with AsyncExitStack() as stack:
            reader = await stack.enter_async_context(Reader(self._settings, [each.name for each in topics]))
            listening = asyncio.create_task(self._listen(reader))
            stack.callback(listening.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def last_of(self, keys: Iterable[Key], seconds: float) -> float:
        """When the last of some events was heard, by `time.perf_counter`.

        Raises:
            AssertionError: a service said that it failed, or not all were said in time.
        """
        keys = set(keys)
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: self._failure or keys <= self._at.keys())
        except TimeoutError:
            missing = sorted(f"{kind.__name__} {name}" for kind, name, _ in keys - self._at.keys())
            raise AssertionError(f"{len(missing)} not said in {seconds:.0f} s: {missing[:5]}") from None
        assert self._failure is None, self._failure
        return max(self._at[key] for key in keys)

    async def _listen(self, reader: Reader) -> None:
        async for record in reader.coming():
            if not (received := decoded(record)):
                continue
            async with self._news:
                self._note(received.event)
                self._news.notify_all()

    def _note(self, event: Event) -> None:
        if isinstance(event, RoutesDegraded):
            self.degraded += 1
        elif isinstance(event, _BAD):
            self._failure = event
        else:
            self._at.setdefault(_key(event), time.perf_counter())


def ready(deployment: str, revision: int = 1) -> Key:
    """That a deployment's revision has its replicas."""
    return DeploymentReady, deployment, revision


def applied(endpoint: str, revision: int = 1) -> Key:
    """That every gateway serves a route's revision."""
    return RoutesApplied, endpoint, revision


def _key(event: Event) -> Key:
    if isinstance(event, RoutesApplied):
        return applied(event.endpoint, event.revision)
    assert isinstance(event, DeploymentReady)
    return ready(event.deployment, event.revision)
