"""Load on one URL: by wrk where it is installed, else by a small client."""

import asyncio
import re
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

TOOL = (
    "wrk" if shutil.which("wrk") else "a client of asyncio streams, which takes more of the machine than wrk"
)

_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_SCRIPT = 'wrk.method = "POST"\nwrk.body = [==[{body}]==]\nwrk.headers["Host"] = "{host}"\n'


@dataclass(frozen=True)
class Load:
    """What a load saw."""

    per_second: float
    p99_ms: float


async def load(url: str, body: bytes, *, connections: int, seconds: int, host: str | None = None) -> Load:
    """Post a body again and again, to another host than the URL's where one is said.

    Raises RuntimeError where an answer is not 2xx.
    """
    post = _wrk if shutil.which("wrk") else _streams
    return await post(url, host or urlsplit(url).netloc, body, connections, seconds)


async def _wrk(url: str, host: str, body: bytes, connections: int, seconds: int) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(host=host, body=body.decode()))
        script.flush()
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name]
        child = await asyncio.create_subprocess_exec(
            "wrk", *options, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        printed = (await child.communicate())[0].decode()
    if child.returncode or "Non-2xx" in printed or "Socket errors" in printed:
        raise RuntimeError(printed)
    return parse_wrk(printed)


def parse_wrk(printed: str) -> Load:
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)", printed)
    assert rate, printed
    assert latency, printed
    return Load(float(rate[1]), float(latency[1]) * _MILLISECONDS[latency[2]])


async def _streams(url: str, host: str, body: bytes, connections: int, seconds: int) -> Load:
    until = time.perf_counter() + seconds
    lists = await asyncio.gather(*(_ask(url, host, body, until) for _ in range(connections)))
    latencies = sorted(latency for each in lists for latency in each)
    return Load(len(latencies) / seconds, latencies[len(latencies) * 99 // 100] * 1000)


async def _ask(url: str, host: str, body: bytes, until: float) -> list[float]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST {parts.path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
    latencies = []
    with closing(writer):
        while (started := time.perf_counter()) < until:
            writer.write(head.encode() + body)
            await _answer(reader)
            latencies.append(time.perf_counter() - started)
    return latencies


async def _answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(head.decode())
    length = re.search(rb"content-length: (\d+)", head)
    assert length, head
    await reader.readexactly(int(length[1]))
