"""gRPC's own server, on a port of this machine alone that only `front` connects to."""

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING

from so1s_runtime.app import App
from so1s_runtime.logs import log
from so1s_runtime.settings import Settings

if TYPE_CHECKING:
    from grpc.aio import Server

HOST = "127.0.0.1"

# A caller may ask whether its connection lives, that often.
_PING_MILLISECONDS = 10_000

# Of a connection, above the limit on calls: one too many is refused, and not left to wait unseen.
_MORE_STREAMS = 100


class RpcServer:
    """Starts when it is first asked for."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._starting: asyncio.Task[int] | None = None
        self._server: Server | None = None

    async def port(self) -> int:
        """Where it listens; it is started before, if need be."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; those in flight have the time to finish."""
        if self._server:
            await self._server.stop(grace_seconds)

    async def _start(self) -> int:
        # In a thread, so that others are answered meanwhile: the library is large.
        service = await asyncio.to_thread(importlib.import_module, "so1s_runtime.rpc.service")
        import grpc.aio

        settings = self._settings
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", self._app.room.body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_connection_idle_ms", 1000 * max(1, settings.keep_alive_seconds)),
            ("grpc.max_concurrent_streams", settings.max_concurrency + _MORE_STREAMS),
            ("grpc.http2.min_ping_interval_without_data_ms", _PING_MILLISECONDS),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        self._server = server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers([service.Service(self._app)])
        port = server.add_insecure_port(f"{HOST}:0")
        await server.start()
        log(logging.INFO, "gRPC is spoken")
        return port
