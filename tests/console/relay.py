"""A store's address that fails where a test wants it to, in front of a store that does not."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Self

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_NOT_FORWARDED = {"content-length", "transfer-encoding", "connection"}


class Relay:
    """Passes requests on as they came; a context manager.

    `answers` is asked first, with a part's number and how often it came: a status, or None to pass it on.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self.answers: Callable[[int, int], int | None] = lambda _number, _times: None
        self.parts: Counter[int] = Counter()
        """How often each part came."""

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(timeout=60, trust_env=False)
        app = Starlette(routes=[Route("/{path:path}", self._pass, methods=["GET", "PUT", "POST", "HEAD"])])
        config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server._serve())
        while not self._server.started:
            assert not self._task.done()
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.should_exit = True
        await self._task
        await self._http.aclose()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def _pass(self, request: Request) -> Response:
        body = await request.body()
        number = int(request.query_params.get("partNumber", 0))
        self.parts[number] += 1
        if status := self.answers(number, self.parts[number]):
            return Response("<Error><Code>Made up</Code></Error>", status)
        path = request.scope["raw_path"].decode()
        url = f"{self._store}{path}?{request.scope['query_string'].decode()}"
        headers = [(name, value) for name, value in request.headers.items() if name != "accept-encoding"]
        answer = await self._http.request(request.method, url, content=body, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name not in _NOT_FORWARDED}
        return Response(answer.content, answer.status_code, kept)
