"""A provisioned broker, and a console beside it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import pytest
import uvicorn
from pydantic import SecretStr

from services.console import tokens
from services.console.app import build
from services.console.domain.scopes import Scope
from services.console.settings import Settings as ConsoleSettings
from so1s.blocking import LoopThread
from so1s.broker.topics import provision, wanted
from so1s.platform import ClientSettings


@pytest.fixture(scope="session")
def settings(kafka):
    settings = ClientSettings(kafka=kafka)
    with ThreadPoolExecutor() as thread:  # the main thread's loop belongs to pytest-asyncio
        thread.submit(asyncio.run, provision(settings, wanted([]))).result()
    return settings


class Console:
    """A console on a real server, in a thread of its own."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self.settings = settings
        self._service = build(settings)
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        await self._stack.enter_async_context(self._service.running())
        config = uvicorn.Config(
            self._service.app, port=self.settings.http_port, log_config=None, lifespan="off", access_log=False
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

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


@pytest.fixture(scope="session")
def over_http(settings, tmp_path_factory) -> Iterator[ClientSettings]:
    """The settings of a client that has a token of the account `risk`; tests play services by its Kafka."""
    directory = tmp_path_factory.mktemp("console")
    console = Console(
        ConsoleSettings(
            kafka=settings.kafka,
            database_url=SecretStr(f"sqlite+aiosqlite:///{directory}/console.db"),
            artifacts=f"file://{directory}/artifacts/",
            instance="console-0",
            http_port=0,
        )
    )
    with LoopThread() as thread:
        thread.run(console.start())
        yield ClientSettings(
            kafka=settings.kafka,
            url=console.url,
            token=thread.run(console.token()),
            artifacts=console.settings.artifacts,
            account="risk",
        )
        thread.run(console.stop())
