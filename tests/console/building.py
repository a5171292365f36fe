"""A real builder's API on a real port, for a console to ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from pydantic import SecretStr
from sqlalchemy import insert
from starlette.applications import Starlette

from services.builder.api import routes
from services.builder.handlers import consumer
from services.builder.logs import build_logs
from services.builder.settings import Settings
from services.builder.worker import Workers
from so1s import testing
from so1s.events import Artifact, ModelUploaded
from so1s.service import SERVER_OPTIONS
from so1s.store import Store
from tests.tables import make_tables

SECRET = "the weights of shop"


class Served:
    """An application on a real port."""

    def __init__(self, app):
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", **SERVER_OPTIONS))

    async def __aenter__(self) -> str:
        self._task = asyncio.create_task(self._server._serve())
        while not self._server.started:
            assert not self._task.done()
            await asyncio.sleep(0.01)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_error):
        self._server.should_exit = True
        await self._task


@asynccontextmanager
async def builder_of_two_accounts(directory: Path) -> AsyncIterator[str]:
    """The URL of one that knows a build of the same names in `risk` and in `shop`."""
    store = Store(f"sqlite+aiosqlite:///{directory}/builder.db", producer="builder")
    await make_tables(store, "services.builder.migrations")
    await _queue(store, "risk", "fetch: started")
    await _queue(store, "shop", SECRET)
    async with Served(Starlette(routes=routes(store, builds_per_account=1))) as url:
        yield url
    await store.close()


async def _queue(store: Store, account: str, line: str) -> None:
    """A build of fraud@3 that waits, with a line in its log."""
    told = Settings(database_url=SecretStr("sqlite://"), artifact_prefixes=["s3://models/{account}/"])
    uploaded = ModelUploaded(
        account=account,
        model="fraud",
        version="3",
        artifact=Artifact(uri=f"s3://models/{account}/fraud/3.onnx"),
    )
    await testing.run(consumer, uploaded, store=store, provide=[told, Workers([], poll_seconds=1)])
    row = {"account": account, "model": "fraud", "version": "3", "number": 1, "try": 1, "position": 0}
    async with store.transaction() as tx:
        await tx.execute(insert(build_logs).values(**row, at=0.0, lines=line))
