"""A consumer finds its platform, and waits for a Kafka that is away."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiokafka.errors import UnknownError
from faststream.kafka import KafkaBroker

from so1s import service
from so1s.platform import Platform
from so1s_broker import Broker

QUALITY = Path(__file__).parents[2] / "examples" / "consumer" / "quality.py"


@pytest.fixture
def broker(tmp_path):
    """A broker that has an address and does not run; the platform of the directory names it."""
    broker = Broker(tmp_path / "kafka")
    broker.start()
    broker.stop()
    platform = Platform(
        kafka=broker.bootstrap_servers,
        artifacts="file:///tmp/artifacts/",
        gateway="http://127.0.0.1:8080",
        domain="so1s.localhost",
    )
    platform.write(tmp_path / ".so1s")
    yield broker
    broker.stop()


@asynccontextmanager
async def example(directory, **variables):
    """The example's consumer, started as its readme says; answers it and a client of its HTTP side."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SO1S_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        QUALITY,
        cwd=directory,
        env=environment | {"SO1S_HTTP_PORT": str(port), "SO1S_INSTANCE": "one"} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            yield process, http
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def probe(http, path):
    try:
        return await http.get(path)
    except httpx.TransportError:
        return httpx.Response(0)


async def test_a_consumer_finds_the_laptops_platform_and_waits_for_its_kafka(broker, tmp_path, eventually):
    models = tmp_path / "models"
    models.mkdir()

    async def is_told():
        return f"Kafka does not answer at {broker.bootstrap_servers}" in (await probe(http, "/readyz")).text

    async def is_ready():
        return (await probe(http, "/readyz")).status_code == httpx.codes.OK

    async with example(models) as (process, http):
        await eventually(is_told)
        assert (await http.get("/readyz")).status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert (await http.get("/livez")).status_code == httpx.codes.OK
        broker.start()
        await eventually(is_ready)
        process.terminate()
        output, _ = await process.communicate()
    assert b"set SO1S_KAFKA, or start a platform with `make up`" in output
    assert b"Traceback" not in output


async def test_a_consumer_that_waits_for_kafka_ends_at_once_when_it_is_told_to(broker, tmp_path, eventually):
    async def is_waiting():
        return "Kafka does not answer" in (await probe(http, "/readyz")).text

    async with example(tmp_path) as (process, http):
        await eventually(is_waiting)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    assert b"Traceback" not in output


async def test_what_ends_a_start_for_good_ends_the_process_with_an_error(broker, tmp_path):
    async with example(tmp_path, SO1S_DATABASE_URL="sqlite+aiosqlite:////nowhere/store.db") as (process, _):
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    assert process.returncode == 1
    assert b"unable to open database file" in output


async def test_a_consumer_whose_group_kafka_refuses_at_first_is_started_again(
    bench, numbers, logged, monkeypatch, eventually
):
    @bench.consumer.on(bench.Noted)
    async def note(noted) -> None:
        numbers.append(noted.number)

    refusals = [UnknownError("while the group is rejoined")]
    start, stop = KafkaBroker.start, KafkaBroker.stop

    async def refused_once(broker: KafkaBroker) -> None:
        await start(broker)
        if refusals:
            raise refusals[0]

    async def failing_once(broker: KafkaBroker, *raised) -> None:
        await stop(broker, *raised)
        if refusals:
            raise ExceptionGroup("Failed to stop subscribers", [refusals.pop()])

    monkeypatch.setattr(KafkaBroker, "start", refused_once)
    monkeypatch.setattr(KafkaBroker, "stop", failing_once)
    monkeypatch.setattr(service, "_START_SECONDS", 0.01)
    monkeypatch.setattr(service, "backoff_seconds", lambda _failures: 0.01)
    async with bench.service():
        await bench.publish(bench.note(1))
        await eventually(bench.is_done)
    assert numbers == [1]
    assert any("while the group is rejoined" in line["event"] for line in logged)
