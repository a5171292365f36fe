"""Gives a connection of HTTP/2 to gRPC's server: what comes on it is handed there and back, unread."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from so1s_runtime.logs import log
from so1s_runtime.rpc.server import HOST

# The tasks that connect; asyncio itself holds only weak references.
_CONNECTING: set[asyncio.Task[None]] = set()


def give_away(transport: asyncio.Transport, data: bytes, port: Callable[[], Awaitable[int]]) -> None:
    """Hand a connection, from which `data` was read, to the server at `port`."""
    transport.pause_reading()
    task = asyncio.create_task(_join(transport, data, port))
    _CONNECTING.add(task)
    task.add_done_callback(_CONNECTING.discard)


async def _join(transport: asyncio.Transport, data: bytes, port: Callable[[], Awaitable[int]]) -> None:
    try:
        inner, _ = await asyncio.get_running_loop().create_connection(
            lambda: _Half(transport), HOST, await port()
        )
    except Exception as error:  # noqa: BLE001 - whatever keeps gRPC from starting, its caller must not wait
        log(logging.ERROR, "gRPC cannot be spoken", error=error)
        transport.close()
        return
    if transport.is_closing():
        inner.close()
        return
    inner.write(data)
    transport.set_protocol(_Half(inner))
    transport.resume_reading()


class _Half(asyncio.Protocol):
    """Hands what it receives to the other side, at the pace of that."""

    def __init__(self, other: asyncio.Transport) -> None:
        self._other = other

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._other.close()
