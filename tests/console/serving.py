"""A whole console on a real server, for tests of its clients."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from services.console import tokens
from services.console.app import build
from services.console.domain.scopes import Scope
from services.console.settings import Settings
from so1s.service import SERVER_OPTIONS


class Console:
    """A console that reaches Kafka; its state outlives a stop."""

    def __init__(self, kafka: str, directory: Path, builder_url: str | None = None) -> None:
        self._directory = directory
        self._kafka = kafka
        self._builder_url = builder_url
        self._port = 0
        self.artifacts = f"file://{directory}/artifacts/"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._stack = AsyncExitStack()
        self._service = build(
            Settings(
                kafka=self._kafka,
                database_url=SecretStr(f"sqlite+aiosqlite:///{self._directory}/console.db"),
                artifacts=self.artifacts,
                builder_url=self._builder_url,
                instance="console-0",
            )
        )
        await self._stack.enter_async_context(self._service.running())
        config = uvicorn.Config(self._service.app, port=self._port, lifespan="off", **SERVER_OPTIONS)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        self._port = server.servers[0].sockets[0].getsockname()[1]

        async def stop() -> None:
            server.should_exit = True
            await serving

        self._stack.push_async_callback(stop)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def token(self, *scopes: str, account: str = "risk") -> SecretStr:
        async with self._service.store.transaction() as tx:
            said = frozenset(map(Scope, scopes or Scope))
            made = await tokens.create(tx, account, said, days=1, name="", actor="operator:me")
        return SecretStr(made.text)
