"""The real process of the inference server."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx

LONG_SECONDS = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Running:
    """A server process, a client of it, and the lines it logged, read after its end."""

    def __init__(self, process: asyncio.subprocess.Process, client: httpx.AsyncClient) -> None:
        self.process = process
        self.client = client

    async def until(
        self, condition: Callable[[httpx.Response], bool], path="/v2/health/ready"
    ) -> httpx.Response:
        async with asyncio.timeout(LONG_SECONDS):
            while True:
                try:
                    answer = await self.client.get(path)
                    if condition(answer):
                        return answer
                except httpx.TransportError:
                    assert self.process.returncode is None, await self.log()
                await asyncio.sleep(0.02)

    async def log(self) -> list[dict]:
        return [json.loads(line) for line in (await self.process.stderr.read()).splitlines()]

    async def end(self) -> int:
        async with asyncio.timeout(LONG_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def running(directory: Path, *flags: str):
    port = free_port()
    command = [sys.executable, "-m", "so1s_runtime", f"--model-dir={directory}", f"--port={port}", *flags]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield Running(process, client)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def is_ready(answer: httpx.Response) -> bool:
    return answer.status_code == 200


@contextmanager
def started(
    directory: Path, log: Path, *flags: str, until: str = "/v2/health/ready"
) -> Generator[tuple[subprocess.Popen, int], None, None]:
    """A server that answers at a path and logs to a file, and its port, for tests without an event loop."""
    port = free_port()
    command = [sys.executable, "-m", "so1s_runtime", f"--model-dir={directory}", f"--port={port}", *flags]
    with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            _await(process, f"http://127.0.0.1:{port}{until}")
            yield process, port
        finally:
            process.kill()


def _await(process: subprocess.Popen, url: str) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while True:
        with suppress(httpx.TransportError):
            if is_ready(httpx.get(url)):
                return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG_SECONDS):
        while not condition():  # noqa: ASYNC110 - a thread changes it, and tells no event
            await asyncio.sleep(0.005)
