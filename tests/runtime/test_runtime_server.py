"""The real process: start, serve over a socket, drain on SIGTERM."""

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

ROW = [5.1, 3.5, 1.4, 0.2]


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
        async with asyncio.timeout(20):
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
        async with asyncio.timeout(20):
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


def is_draining(answer: httpx.Response) -> bool:
    return answer.json().get("state") == "draining"


async def test_a_started_server_becomes_ready_answers_as_the_library_does_and_stops_cleanly(onnx_model, rows):
    async with running(onnx_model.directory, "--drain-seconds=0") as server:
        await server.until(is_ready)
        answer = (await server.client.post("/predict", json=rows.tolist())).raise_for_status().json()
        np.testing.assert_array_equal(answer["label"], onnx_model.estimator.predict(rows))
        assert "process_cpu_seconds_total" in (await server.client.get("/metrics")).text
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
        log = await server.log()
    assert [line["event"] for line in log] == ["started", "ready", "draining", "stopped"]
    assert {line["model"] for line in log} == {"iris@3"}


async def test_a_draining_server_serves_on_for_the_drain_time_and_then_stops(onnx_model):
    async with running(onnx_model.directory, "--drain-seconds=1") as server:
        await server.until(is_ready)
        signalled = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await server.until(is_draining)
        answer = await server.client.post("/predict", json=[ROW])
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert await server.end() == 0
        assert time.monotonic() - signalled >= 1


async def test_a_request_in_flight_at_the_end_of_the_drain_is_finished(onnx_model):
    body = json.dumps([ROW]).encode()
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with running(onnx_model.directory, "--drain-seconds=0") as server:
        await server.until(is_ready)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.client.base_url.port)
        writer.write(head + body[:5])
        await server.until(lambda answer: "http_requests_in_flight 1.0" in answer.text, "/metrics")
        server.process.send_signal(signal.SIGTERM)
        await refuses_connections(server)
        writer.write(body[5:])
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"label":[0]' in answer
        assert await server.end() == 0


async def refuses_connections(server: Running) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.client.base_url.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)


async def test_a_second_signal_ends_the_drain(onnx_model):
    async with running(onnx_model.directory, "--drain-seconds=3600") as server:
        await server.until(is_ready)
        server.process.send_signal(signal.SIGTERM)
        await server.until(is_draining)
        server.process.send_signal(signal.SIGINT)
        assert await server.end() == 0


@pytest.mark.parametrize("broken", ["model.json", "model.skops"])
async def test_a_model_that_cannot_be_served_ends_the_process_with_the_reason_as_its_last_error(
    own_copy, broken
):
    (own_copy / broken).write_bytes(b"broken")
    async with running(own_copy) as server:
        assert await server.end() == 1
        errors = [line for line in await server.log() if line["level"] == "error"]
    assert [line["event"] for line in errors] == ["cannot serve"]
    assert broken in errors[0]["reason"]
    assert "traceback" not in errors[0]


async def test_a_taken_port_ends_the_process_with_the_reason(onnx_model):
    async with running(onnx_model.directory) as first:
        await first.until(is_ready)
        async with running(onnx_model.directory, f"--port={first.client.base_url.port}") as second:
            assert await second.end() == 1
            (line,) = await second.log()
            assert line["event"] == "cannot listen"
            assert "Address already in use" in line["reason"]
