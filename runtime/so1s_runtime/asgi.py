"""Requests and answers on bare ASGI: no framework stands between the socket and the model."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from so1s_runtime.errors import RequestError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

_JSON = b"application/json"


class CallerGoneError(Exception):
    """The caller closed the connection before its body was complete."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are lower case."""

    id: str
    headers: dict[bytes, bytes]
    receive: Receive

    async def body(self, max_bytes: int, seconds: float) -> bytes:
        """The whole body. Raises RequestError if it is too large (413), too slow (408) or encoded (415)."""
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise RequestError("send the body without a content-encoding", status=415)
        if int(self.headers.get(b"content-length", b"0")) > max_bytes:
            raise _too_large(max_bytes)
        message = await self._receive(seconds)
        if not message.get("more_body"):
            body = message.get("body", b"")
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            return body
        return await self._rest(message, max_bytes, seconds)

    async def _rest(self, message: Message, max_bytes: int, seconds: float) -> bytes:
        deadline = asyncio.get_running_loop().time() + seconds
        body = bytearray(message["body"])
        while message.get("more_body"):
            message = await self._receive(deadline - asyncio.get_running_loop().time())
            body += message.get("body", b"")
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
        return bytes(body)

    async def _receive(self, seconds: float) -> Message:
        try:
            async with asyncio.timeout(seconds):
                message = await self.receive()
        except TimeoutError:
            raise RequestError("the body did not arrive in time", status=408) from None
        if message["type"] == "http.disconnect":
            raise CallerGoneError
        return message


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    headers: Headers = field(default=())
    content_type: bytes = _JSON

    async def send(self, send: Send, headers: Headers) -> None:
        """Send it with `headers` beside its own."""
        start = [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body))]
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [*start, *self.headers, *headers],
            }
        )
        await send({"type": "http.response.body", "body": self.body})


def json_response(value: Any, status: int = 200, headers: Headers = ()) -> Response:
    """An answer that holds `value` as JSON."""
    return Response(orjson.dumps(value), status, headers)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        f"the body is larger than {max_bytes} bytes", status=413, expected=f"at most {max_bytes} bytes"
    )
