"""Requests and answers on bare ASGI: no framework stands between the socket and the model."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import coroutine
from typing import Any

import orjson

from so1s_runtime.errors import RequestError
from so1s_runtime.identity import Identity
from so1s_runtime.slots import Received

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

_JSON = b"application/json"


class CallerGoneError(Exception):
    """The caller closed the connection before its body was complete."""


@dataclass(slots=True)
class Head:
    """What comes before a request's body; header names are lower case."""

    identity: Identity
    headers: dict[bytes, bytes]

    def header(self, name: bytes) -> str:
        """A header; empty where it is not there."""
        return self.headers.get(name, b"").decode("latin-1")


@dataclass(slots=True)
class Request(Head):
    """One HTTP request."""

    receive: Receive
    _is_begun: bool = field(default=False, init=False)  # to be read
    _is_whole: bool = field(default=False, init=False)

    async def body(self, max_bytes: int, seconds: float, received: Received) -> bytes:
        """The whole body; what comes in pieces counts as `received` meanwhile.

        Raises RequestError: 413 if too large, 408 if too slow, 415 if encoded; and what `received` does.
        """
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise RequestError("send the body without a content-encoding", status=415)
        if int(self.headers.get(b"content-length", b"0")) > max_bytes:
            raise _too_large(max_bytes)
        self._is_begun = True
        message = await _within(seconds, self.receive())
        if not message.get("more_body"):
            self._is_whole = True
            body = message.get("body", b"")
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            return body
        return await self._rest(message, max_bytes, seconds, received)

    async def _rest(self, message: Message, max_bytes: int, seconds: float, received: Received) -> bytes:
        deadline = asyncio.get_running_loop().time() + seconds
        body = bytearray()
        try:
            while True:
                piece = message.get("body", b"")
                self._is_whole = not message.get("more_body")
                received.add(len(piece))
                body += piece
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
                if self._is_whole:
                    return bytes(body)
                message = await _within(deadline - asyncio.get_running_loop().time(), self.receive())
        finally:
            received.forget(len(body))

    async def forget_rest(self, seconds: float) -> bool:
        """Read what has not come of the body, for so long at most, and keep nothing of it.

        Many callers look for no answer before they have sent all; a gateway that has one earlier cuts them
        off, so that they never see it. Who waits to be asked for a body is not asked, and may leave it out:
        False, as nobody knows then where the next request of the connection begins.
        """
        headers = self.headers
        has_body = b"content-length" in headers or b"transfer-encoding" in headers
        if self._is_whole or not has_body:
            return True
        if b"expect" in headers and not self._is_begun:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self.receive()).get("more_body"):
                    pass
        return True


@dataclass(slots=True)
class Response:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    headers: Headers = field(default=())
    content_type: bytes = _JSON

    def fields(self) -> list[tuple[bytes, bytes]]:
        """All headers of its own."""
        length = b"%d" % len(self.body)
        return [(b"content-type", self.content_type), (b"content-length", length), *self.headers]

    async def send(self, send: Send, headers: Headers) -> None:
        """Send it with `headers` beside its own."""
        fields = [*self.fields(), *headers]
        await send({"type": "http.response.start", "status": self.status, "headers": fields})
        await send({"type": "http.response.body", "body": self.body})


def json_response(value: Any, status: int = 200, headers: Headers = ()) -> Response:
    """An answer that holds `value` as JSON."""
    return Response(orjson.dumps(value), status, headers)


async def _within(seconds: float, receiving: Awaitable[Message]) -> Message:
    """The next message. Most bodies have arrived with their head: then no timer is set, which costs much."""
    begun = receiving.__await__()
    try:
        waits_for = next(begun)
    except StopIteration as arrived:
        message = arrived.value
    else:
        try:
            async with asyncio.timeout(seconds):
                message = await _resume(begun, waits_for)
        except TimeoutError:
            raise RequestError("the body did not arrive in time", status=408) from None
    if message["type"] == "http.disconnect":
        raise CallerGoneError
    return message


@coroutine
def _resume(begun: Generator[Any, Any, Message], waits_for: Any) -> Generator[Any, None, Message]:
    """Go on with what has begun, and waits for that."""
    try:
        yield waits_for
    except BaseException:
        begun.close()
        raise
    return (yield from begun)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        f"the body is larger than {max_bytes} bytes", status=413, expected=f"at most {max_bytes} bytes"
    )
