"""The only way out of the sandbox that uv is in: an HTTP proxy that leads to its indexes and nowhere else.

What it relays it neither reads nor changes: TLS is between uv and the index.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from python_socks import ProxyError
from python_socks.async_.asyncio.v2 import Proxy

from services.builder.adapters.index_access import Address, proxy_to

_CONNECT_SECONDS = 30
_HEAD_SECONDS = 30
_CHUNK_BYTES = 2**18
_PROXY_PORTS = {"socks4": 1080, "socks5": 1080}
_OF_ONE_CONNECTION = {b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection"}
"""Headers that end at a proxy: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""


class _RefusedError(Exception):
    """A request that is not relayed; its arguments are a status and what is written to the log."""


@dataclass(slots=True)
class IndexProxy:
    """Relays the requests of one run of uv."""

    hosts: frozenset[Address]
    """Where it leads to."""
    log: Callable[[str], None]
    """Is told what was not relayed, and why."""
    refused: list[str] = field(default_factory=list)
    """The hosts that were asked for and are not allowed."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def listening(self, listener: socket.socket) -> AsyncGenerator[None, None]:
        """Serve what comes to a listening socket, while this lasts."""
        server = await asyncio.start_server(self._accept, sock=listener, limit=_CHUNK_BYTES)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            try:
                await self._relay(reader, writer)
            except _RefusedError as error:
                status, reason = error.args
                self.log(reason)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, headers = await _head(reader)
        if method == "CONNECT":
            there, answer = await self._connected(urlsplit(f"https://{target}"))
            with contextlib.closing(answer):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_copy(reader, answer), _copy(there, writer))
            return
        url = urlsplit(target)
        if url.scheme != "http" or method not in {"GET", "HEAD"}:
            raise _RefusedError("405 Method Not Allowed", f"{method} {target} is not relayed to an index")
        there, answer = await self._connected(url)
        with contextlib.closing(answer):
            path = url._replace(scheme="", netloc="", path=url.path or "/").geturl()
            answer.write(b"\r\n".join((f"{method} {path} HTTP/1.1".encode(), *headers, b"Connection: close")))
            answer.write(b"\r\n\r\n")
            await _copy(there, writer)  # one way: a second request could be for another host

    async def _connected(self, url: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = _address(url)
        host, port = address
        if address not in self.hosts:
            self.refused.append(host)
            raise _RefusedError("403 Forbidden", f"refused: {host}:{port} is no host of the index")
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await _open(url.scheme, address)
        except (OSError, ProxyError, ValueError) as error:
            raise _RefusedError("502 Bad Gateway", f"cannot connect to {host}:{port}: {error}") from error


def _address(url: SplitResult) -> Address:
    with contextlib.suppress(ValueError):
        if url.hostname:
            return url.hostname.rstrip("."), url.port or (443 if url.scheme == "https" else 80)
    raise _RefusedError("400 Bad Request", f"refused: {url.netloc!r} is no host")


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, list[bytes]]:
    """Method, target, and the headers that go on."""
    try:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        first, *headers = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        method, target, _version = first.decode("ascii").split(" ")
    except (asyncio.LimitOverrunError, ValueError) as error:
        raise _RefusedError("400 Bad Request", "refused: what uv says is no request") from error
    kept = [line for line in headers if line.partition(b":")[0].strip().lower() not in _OF_ONE_CONNECTION]
    return method, target, kept


async def _open(scheme: str, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, by the proxy that this machine has for it."""
    proxy = proxy_to(scheme, address)
    if proxy is None:
        return await asyncio.open_connection(*address, limit=_CHUNK_BYTES)
    if proxy.startswith("https://"):  # spoken with by TLS itself
        encrypted = await asyncio.to_thread(ssl.create_default_context)
        stream = await _by(proxy.replace("https", "http", 1), proxy_ssl=encrypted).connect(*address)
    else:
        stream = await _by(proxy).connect(*address)
    return stream.reader, stream.writer


def _by(proxy: str, **said: ssl.SSLContext | bool) -> Proxy:
    """The client of a proxy; `socks5h` is how the name is left to a SOCKS proxy."""
    scheme, _, rest = proxy.rstrip("/").rpartition("://")
    if scheme == "socks5h":
        scheme, said = "socks5", {**said, "rdns": True}
    if urlsplit(f"//{rest}").port is None:
        rest = f"{rest}:{_PROXY_PORTS.get(scheme, 443 if 'proxy_ssl' in said else 80)}"
    return Proxy.from_url(f"{scheme or 'http'}://{rest}", **said)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
