"""A caller's connection: HTTP/1.1 by uvicorn, within limits that uvicorn does not have; HTTP/2 is given away.

Requests for a quick model that come whole are answered here; only the others reach uvicorn's ASGI.

Every HTTP/2 connection begins with the same bytes (RFC 9113, section 3.4), which no HTTP/1.1 request does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from so1s_runtime.logs import log
from so1s_runtime.quick import QuickAnswers
from so1s_runtime.rpc.front import give_away

_HTTP2 = b"PRI * HTTP/2.0"

# Larger than any sane head; more may come in one piece.
_HEAD_BYTES = 64 * 1024

# Headers that propose another protocol, as Java's client does with every request (RFC 7540, section 3.2).
_PROPOSAL = {b"upgrade", b"http2-settings", b"connection"}


class Connection(HttpToolsProtocol):
    """A head must be complete in time (else 408) and not too large (else 431).

    The rest of a body that was answered before it came is read and forgotten for as long.
    """

    seconds: float
    rpc_port: Callable[[], Awaitable[int]]
    quick: QuickAnswers

    _is_new = True
    _is_in_head = False
    _is_in_body = False
    _head_is_new = False  # It began in this read.
    _head_bytes = 0  # of the reads behind the one in which it began
    _limit: asyncio.TimerHandle | None = None
    _refusal: bytes | None = None  # of a head, due once the requests before it are answered
    _gathered: bytes | None = None  # of a body, whose request may be answered here once it is whole
    _is_proposal = False  # of another protocol
    _was_quick = False  # A read with many requests must not keep other callers waiting: one of them is quick.
    _resting_since: float | None = None  # on the loop's clock; None while a request comes or is in work

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin; one that never asks is idle, too."""
        super().connection_made(transport)
        self._rest()

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._is_new:
            self._is_new = False
            if data.startswith(_HTTP2):
                self._unset_keepalive_if_required()
                self.connections.discard(self)  # uvicorn does not wait for it any more
                give_away(self.transport, data, self.rpc_port)
                return
        self._was_quick = self._head_is_new = False
        self._parse(data)
        if self._gathered is not None and not self.transport.is_closing():
            self._go_the_common_way(self._gathered)
        if self._is_in_head:
            self._wait_for_head(len(data))

    def on_message_begin(self) -> None:
        """Take the first bytes of a request; its scope waits until ASGI needs one."""
        self.quick.settle(self)
        self._is_in_head = self._head_is_new = True
        self._resting_since, self._head_bytes = None, 0
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Take the last bytes of a head."""
        self._is_in_head, self._is_in_body = False, True
        self._lift_limit()
        self._refusal = None
        parser = self.parser
        assert parser  # which calls this
        self._fields, self.headers = self.headers, []  # what follows a body in chunks are no headers
        self._is_proposal = parser.should_upgrade() and any(name == b"upgrade" for name, _ in self._fields)
        if self._is_proposal:
            return
        if self._may_be_quick(parser):
            self._gathered = b""
        else:
            self._go_the_common_way()

    def on_body(self, body: bytes) -> None:
        """Take some bytes of a body."""
        if self._gathered is None:
            super().on_body(body)
            return
        self._gathered += body
        if len(self._gathered) > self.quick.most_bytes:
            self._go_the_common_way(self._gathered)

    def on_message_complete(self) -> None:
        """Take the last bytes of a request."""
        if self._is_proposal:
            return
        self._is_in_body = False
        self._lift_limit()
        if self._gathered is None:
            super().on_message_complete()
            if self.cycle.response_complete:  # before its body had come
                self._rest()
            return
        gathered, self._gathered = self._gathered, None
        self._was_quick = True
        standing = self.server_state.default_headers
        if not self.quick.ask(self, self.url, self._fields, gathered, standing):
            self._was_quick = False
            self.declined(gathered)

    def answered(self, answer: bytes) -> None:
        """Write a quick answer."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():  # its caller has not gone meanwhile
            self.transport.write(answer)
            self._rest()

    def declined(self, body: bytes) -> None:
        """Hand a whole request to ASGI after all."""
        self._go_the_common_way(body)
        super().on_message_complete()

    def failed(self, error: BaseException | None) -> None:
        """End, by a fault of the server."""
        log(logging.ERROR, "connection failed", error=error)
        self._end(b"500 Internal Server Error")

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self._refusal:
            self._refuse(self._refusal)
        elif self._is_in_body:
            self._limit = self._limit or self.loop.call_later(self.seconds, self.transport.close)
        elif not self._is_in_head:
            self._rest()

    def timeout_keep_alive_handler(self) -> None:
        """Close, if nothing came for long enough."""
        self.timeout_keep_alive_task = None
        if self._resting_since is None:
            return  # a request is in work; its answer begins anew
        seconds = self._resting_since + self.timeout_keep_alive - self.loop.time()
        if seconds > 0:
            self._look_again_in(seconds)
        else:
            super().timeout_keep_alive_handler()

    def eof_received(self) -> None:
        """Answer what waits before the connection is closed, as who sends no more may still read."""
        self.quick.settle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a timer left behind, as uvicorn does after a reset, would keep everything for an hour."""
        self.quick.forget(self)
        self._lift_limit()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _parse(self, data: bytes) -> None:
        """Read all of it; behind a proposal of another protocol, which is declined, as well."""
        rest: bytes | memoryview = data
        while (read := self._feed(rest)) is not None:
            if self._is_proposal:
                self._feed(self._declined())
            rest = memoryview(rest)[read:]

    def _feed(self, data: bytes | memoryview) -> int | None:
        """Read on; returns where the parser stopped: behind a head that asks for another protocol."""
        assert self.parser  # until the connection is lost
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            (read,) = upgrade.args
            return read
        except httptools.HttpParserCallbackError as failed:
            if isinstance(failed.__context__, httptools.HttpParserInvalidURLError):
                self.send_400_response("Invalid URL received.")
            else:
                self.failed(failed.__context__)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        return None

    def _declined(self) -> bytes:
        """The head that came, without its proposal: to answer it as if that were not there declines it.

        A new parser reads it once more: the one that read it skips the body, and may read nothing further.
        """
        parser = self.parser
        assert parser  # which has read the head
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        closes = any(name == b"connection" and b"close" in value.lower() for name, value in self._fields)
        fields = [field for field in self._fields if field[0] not in _PROPOSAL]
        fields += [(b"connection", b"close")] if closes else []
        start = b"%b %b HTTP/%b\r\n" % (parser.get_method(), self.url, parser.get_http_version().encode())
        return start + b"".join([b"%b: %b\r\n" % field for field in fields]) + b"\r\n"

    def _may_be_quick(self, parser: httptools.HttpRequestParser) -> bool:
        """Whether a request whose head has come may be answered here, if the rest of it has come as well."""
        return (
            self._has_answered()
            and not self._was_quick
            and not self.expect_100_continue
            and self.url in self.quick.inferences
            and self.quick.are_possible()
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not self.flow.write_paused
        )

    def _has_answered(self) -> bool:
        """Whether no request is left that ASGI has begun or will begin."""
        return self.cycle is None or self.cycle.response_complete

    def _go_the_common_way(self, body: bytes = b"") -> None:
        """Hand what has come to ASGI: its rest is on the way, or there is no quick answer."""
        self._gathered = None
        url, expects = self.url, self.expect_100_continue
        super().on_message_begin()  # makes the scope, and begins anew
        self.url, self.expect_100_continue = url, expects
        self.scope["headers"], self.headers = self._fields, []
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def shutdown(self) -> None:
        """Close once all is answered."""
        self.quick.settle(self)
        super().shutdown()

    def _rest(self) -> None:
        """Wait for a request, but not for ever. A timer that is there goes on: one does for many answers."""
        self._resting_since = self.loop.time()
        if not self.timeout_keep_alive_task:
            self._look_again_in(self.timeout_keep_alive)

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _wait_for_head(self, size: int) -> None:
        """A part of a head has come, and not all of it: few come so."""
        if not self._head_is_new:
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
        """Answer a head that has not come whole, behind the answers to the requests before it."""
        if self._has_answered():
            self._end(status)
        else:
            self._refusal = status
            self.flow.pause_reading()

    def _end(self, status: bytes) -> None:
        if not self.transport.is_closing():
            head = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(head % status)
            self.transport.close()


def protocol(
    quick_answers: QuickAnswers, port: Callable[[], Awaitable[int]], wait_seconds: float
) -> type[Connection]:
    """Connections whose heads may take that long; `port` tells where gRPC is."""

    class Bound(Connection):
        seconds = wait_seconds
        quick = quick_answers
        rpc_port = staticmethod(port)

    return Bound
