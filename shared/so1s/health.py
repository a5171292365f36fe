"""Health over HTTP: alive, ready, and the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_UNAVAILABLE = 503


class Consuming(Protocol):
    """What takes events from a topic."""

    def problem(self) -> str | None:
        """Why it does not take events; None where it does."""

    def has_ended(self) -> bool:
        """Whether only a restart makes it take events again."""


class Health:
    """What probes ask: a service is ready while its parts work, and alive while none has ended for good."""

    def __init__(self) -> None:
        self.stopping = False
        self.waits_for = ""
        """What a start waits for; empty where it goes on."""
        self.started = False
        self._subscribers: Sequence[Consuming] = ()
        self._tasks: Sequence[asyncio.Task] = ()

    def look_at(self, tasks: Sequence[asyncio.Task]) -> None:
        """Look at tasks, which must not end, from now on."""
        self._tasks = tasks

    def begin(self, subscribers: Sequence[Consuming]) -> None:
        """Look at what consumes, too: the service has started."""
        self._subscribers, self.started = subscribers, True

    def routes(self) -> list[Route]:
        """`/livez`, `/readyz` and `/metrics`."""
        return [
            Route("/livez", self._live),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
        ]

    def problems(self) -> list[str]:
        """Why the service is not ready; empty where it is."""
        if self.stopping:
            return ["stopping"]
        if not self.started:
            return [f"starting: {self.waits_for}" if self.waits_for else "starting"]
        problems = [problem for subscriber in self._subscribers if (problem := subscriber.problem())]
        return [*problems, *(["a loop has ended"] if self._loop_has_ended() else [])]

    def is_alive(self) -> bool:
        """Whether a restart would mend nothing."""
        if self.stopping:
            return True
        return not (self._loop_has_ended() or any(each.has_ended() for each in self._subscribers))

    def _loop_has_ended(self) -> bool:
        return any(task.done() for task in self._tasks)

    async def _live(self, _request: Request) -> Response:
        alive = self.is_alive()
        return JSONResponse({"alive": alive}, 200 if alive else _UNAVAILABLE)

    async def _ready(self, _request: Request) -> Response:
        problems = self.problems()
        return JSONResponse({"ready": not problems, "problems": problems}, _UNAVAILABLE if problems else 200)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
