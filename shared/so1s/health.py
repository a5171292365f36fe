"""Health over HTTP: alive, ready, and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_UNAVAILABLE = 503


class Health:
    """What probes ask; a service is ready when all its subscribers consume."""

    def __init__(self) -> None:
        self.stopping = False
        self.checks: Sequence[Callable[[], str | None]] | None = None
        """Each answers a problem or None; unset until the service has started."""

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
        if self.checks is None:
            return ["starting"]
        return [problem for check in self.checks if (problem := check())]

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def _ready(self, _request: Request) -> Response:
        problems = self.problems()
        return JSONResponse({"ready": not problems, "problems": problems}, _UNAVAILABLE if problems else 200)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
