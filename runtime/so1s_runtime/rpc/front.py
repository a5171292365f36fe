"""One port for HTTP/1.1 and gRPC: the first bytes of a connection tell which it is.

Every HTTP/2 connection begins with the same bytes (RFC 9113, section 3.4), which no HTTP/1.1 request does.
What comes on it is handed to gRPC's server and back, unread.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from so1s_runtime.logs import log
from so1s_runtime.rpc.server import HOST

_HTTP2 = b"PRI * HTTP/2.0"

# The tasks that connect; asyncio itself holds only weak references.
_CONNECTING: set[asyncio.Task[None]] = set()


def protocol(port: Callable[[], Awaitable[int]]) -> type[HttpToolsProtocol]:
    """The protocol of uvicorn, but that it gives a connection of HTTP/2 away; `port` tells gRPC's."""

    class Front(HttpToolsProtocol):
        _is_new = True

        def data_received(self, data: bytes) -> None:
            if self._is_new:
                self._is_new = False
                if data.startswith(_HTTP2):
                    self.connections.discard(self)  # uvicorn does not wait for it any more
                    _give_away(self.transport, data, port)
                    return
            super().data_received(data)

    return Front


def _give_away(transport: asyncio.Transport, data: bytes, port: Callable[[], Awaitable[int]]) -> None:
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
