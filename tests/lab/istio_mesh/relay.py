"""A network between a gateway and istiod, which a test may halt."""

import asyncio
import contextlib
from typing import Self


class Relay:
    """Passes bytes on to a port of this machine, both ways, while it flows; a context manager."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        self.flow()
        for writer in [each for both in self._connections.values() for each in both]:
            writer.close()
        await asyncio.gather(*self._connections)

    def halt(self) -> None:
        """Hold whatever comes."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on what was held, and what comes."""
        self._flows.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        task = asyncio.current_task()
        assert task
        self._connections[task] = [writer, back]
        task.add_done_callback(self._connections.pop)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either end is closed; then both are."""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
