"""A caller's connection: HTTP/1.1 by uvicorn, within limits that uvicorn does not have; HTTP/2 is given away.

Every HTTP/2 connection begins with the same bytes (RFC 9113, section 3.4), which no HTTP/1.1 request does.
"""

import asyncio
from collections.abc import Awaitable, Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from so1s_runtime.prompt import Prompt
from so1s_runtime.rpc.front import give_away

_HTTP2 = b"PRI * HTTP/2.0"

# Larger than any sane head; more may come in one piece.
_HEAD_BYTES = 64 * 1024


class Connection(HttpToolsProtocol):
    """A head must be complete in time (else 408) and not too large (else 431).

    The rest of a body that was answered before it came is read and forgotten for as long.
    """

    seconds: float
    rpc_port: Callable[[], Awaitable[int]]
    prompt: Prompt

    _is_new = True
    _is_in_head = False
    _is_in_body = False
    _head_bytes = 0
    _limit: asyncio.TimerHandle | None = None
    _whole: bytes | None = None  # what has come of a body that may be answered promptly
    _was_prompt = False  # in this read: one with many requests must not keep other callers waiting

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin; one that never asks is idle, too."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._is_new:
            self._is_new = False
            if data.startswith(_HTTP2):
                self._unset_keepalive_if_required()
                self.connections.discard(self)  # uvicorn does not wait for it any more
                give_away(self.transport, data, self.rpc_port)
                return
        self._was_prompt = False
        super().data_received(data)
        if self._whole is not None:
            self._go_the_common_way()
        if self._is_in_head:
            self._wait_for_head(len(data))

    def on_message_begin(self) -> None:
        """Take the first bytes of a request."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Take the last bytes of a head."""
        self._is_in_head, self._is_in_body, self._head_bytes = False, True, 0
        self._lift_limit()
        if self._may_be_prompt():
            self._whole = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take some bytes of a body."""
        if self._whole is None:
            super().on_body(body)
        else:
            self._whole += body

    def on_message_complete(self) -> None:
        """Take the last bytes of a request."""
        self._is_in_body = False
        self._lift_limit()
        if self._whole is not None:
            standing = self.server_state.default_headers
            if answer := self.prompt.answer(self.url, self.headers, self._whole, standing):
                self._whole, self._was_prompt = None, True
                self.transport.write(answer)
                self.on_response_complete()
                return
            self._go_the_common_way()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        if self._is_in_body and not self.transport.is_closing():
            self._limit = self._limit or self.loop.call_later(self.seconds, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a timer left behind, as uvicorn does after a reset, would keep everything for an hour."""
        self._lift_limit()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _may_be_prompt(self) -> bool:
        parser = self.parser
        assert parser  # which calls this
        is_next = self.cycle is None or self.cycle.response_complete
        return (
            is_next
            and not self._was_prompt
            and self.url in self.prompt.urls
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not self.flow.write_paused
        )

    def _go_the_common_way(self) -> None:
        """Hand what has come to ASGI: the rest is on its way, or there is no prompt answer."""
        body, self._whole = self._whole, None
        if not self.transport.is_closing():
            super().on_headers_complete()
            super().on_body(body or b"")

    def _wait_for_head(self, size: int) -> None:
        """A part of a head has come, and not all of it: few come so."""
        self._head_bytes += size
        if self._head_bytes > _HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        elif not self._limit:
            self._limit = self.loop.call_later(self.seconds, self._refuse, b"408 Request Timeout")

    def _lift_limit(self) -> None:
        if self._limit:
            self._limit.cancel()
            self._limit = None

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            head = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(head % status)
            self.transport.close()


def protocol(
    prompt_answers: Prompt, port: Callable[[], Awaitable[int]], wait_seconds: float
) -> type[Connection]:
    """Connections whose heads may take that long; `port` tells where gRPC is."""

    class Bound(Connection):
        seconds = wait_seconds
        prompt = prompt_answers
        rpc_port = staticmethod(port)

    return Bound
