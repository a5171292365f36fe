"""Callers at a steady rate: `python -m tests.load.bench.callers URL RATE HOST…`, until SIGTERM.

A request for each host is sent when it is due, whether or not earlier ones are answered. The body comes on
the standard input; what was seen of each host is printed at the end.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

import aiohttp

from tests.load.bench.measure import percentiles

_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass
class Seen:
    """What callers of a host saw."""

    answered: int = 0
    failed: int = 0
    first_error: str = ""
    p99_ms: float = 0.0


@asynccontextmanager
async def callers(
    url: str, hosts: Sequence[str], body: bytes, *, per_second: float
) -> AsyncGenerator[dict[str, Seen]]:
    """Call hosts at a URL from another process while this is entered; then what it gave holds what was seen.

    Args:
        url: of the gateway, with the path.
        hosts: that are called.
        body: of each request, as JSON.
        per_second: requests to each host.
    """
    command = [sys.executable, "-m", __name__, url, str(per_second), *hosts]
    pipes: dict[str, Any] = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, **pipes)
    assert process.stdin
    assert process.stdout
    seen: dict[str, Seen] = {}
    try:
        process.stdin.write(body)
        process.stdin.write_eof()
        assert await process.stdout.readline() == b"calling\n"
        yield seen
    finally:
        process.terminate()
        printed = await process.stdout.read()
        await process.wait()
    seen |= {host: Seen(**each) for host, each in json.loads(printed).items()}


@dataclass
class _Calls:
    """Of one host."""

    url: str
    host: str
    body: bytes
    seen: Seen = field(default_factory=Seen)
    milliseconds: list[float] = field(default_factory=list)

    async def call(self, http: aiohttp.ClientSession) -> None:
        began = asyncio.get_running_loop().time()
        headers = {"host": self.host, "content-type": "application/json"}
        try:
            async with http.post(self.url, data=self.body, headers=headers) as answer:
                text = await answer.text(errors="replace")
                error = "" if answer.ok else f"{answer.status} {text[:200]}"
        except (aiohttp.ClientError, TimeoutError) as failure:
            error = repr(failure)
        self.milliseconds.append((asyncio.get_running_loop().time() - began) * 1000)
        self.seen.answered += not error
        self.seen.failed += bool(error)
        self.seen.first_error = self.seen.first_error or error


async def _call(url: str, per_second: float, hosts: Sequence[str], body: bytes) -> dict[str, Seen]:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    calls = [_Calls(url, host, body) for host in hosts]
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT, connector=connector) as http,
        asyncio.TaskGroup() as group,
    ):
        began = loop.time()
        print("calling", flush=True)  # noqa: T201 - who started it reads it
        for number in count():
            await asyncio.sleep(began + number / per_second - loop.time())
            if ended.is_set():
                break
            for each in calls:
                group.create_task(each.call(http))
    for each in calls:
        each.seen.p99_ms = percentiles(each.milliseconds)["p99"]
    return {each.host: each.seen for each in calls}


def main() -> None:
    url, per_second, *hosts = sys.argv[1:]
    seen = asyncio.run(_call(url, float(per_second), hosts, sys.stdin.buffer.read()))
    print(json.dumps({host: asdict(each) for host, each in seen.items()}))  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
