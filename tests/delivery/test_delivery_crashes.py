"""Whatever dies, and whenever: nothing is lost, and no effect happens twice."""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from so1s.broker.producer import Producer
from so1s.events import Event
from so1s.service import Service
from so1s.store import Store
from so1s_broker import Broker

DEADLY = Path(__file__).with_name("deadly.py")
SIGTERM_EXIT = (0, -signal.SIGTERM, 128 + signal.SIGTERM)


class Replica:
    """A process group that runs the deadly service, and what it said."""

    def __init__(self, process) -> None:
        self.process = process
        self.lines = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stdout:
            if not line.startswith(b"{"):  # its log
                self.lines.append(line.decode().strip())


@asynccontextmanager
async def replica(bench, *, batch=False, lives="many"):
    arguments = json.dumps([bench.name, bench.kafka, bench.url, batch])
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(DEADLY), arguments, lives, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    running = Replica(process)
    yield running
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    await running.reading


@pytest.mark.parametrize("batch", [False, True])
async def test_an_event_that_kills_its_process_is_found_out_after_five_attempts(bench, eventually, batch):
    await bench.publish(bench.note(13), bench.note(1), partition=0)
    async with replica(bench, batch=batch) as service:
        await eventually(lambda: "done 1" in service.lines, seconds=60)
        await eventually(bench.is_done)
    deaths = 7 if batch else 5  # a batch dies twice as a whole before its events go one by one
    assert service.lines == ["begin 13", "died"] * deaths + ["begin 1", "done 1"]
    (letter,) = await bench.dead_letters()
    assert b"did not survive 5 attempts" in dict(letter.headers)["so1s_error"]


async def test_sigterm_lets_the_event_in_flight_finish_and_begins_no_other(bench, eventually):
    await bench.publish(bench.note(60), bench.note(1), partition=0)
    async with replica(bench, lives="once") as service:
        await eventually(lambda: service.lines == ["begin 60"], seconds=30)
        service.process.terminate()
        assert await service.process.wait() in SIGTERM_EXIT
        await service.reading
    assert service.lines == ["begin 60", "done 60"]
    assert await bench.waiting() == 1, "what finished is committed, and the next waits for the next replica"


@pytest.mark.parametrize("batch", [False, True])
async def test_an_event_whose_handling_is_cut_off_by_restarts_is_no_worse_for_it(
    bench, numbers, opened, eventually, batch
):
    """A deployment a minute must not bury what takes two."""
    begun, ended = [], []

    @bench.consumer.on(bench.Noted, batch=batch)
    async def take_long(_noted):
        begun.append(True)
        try:
            await opened.wait()
        finally:
            await asyncio.sleep(0.2)  # to clean up
            ended.append(True)
        numbers.append(1)

    await bench.publish(bench.note(1))
    for restart in range(1, 7):
        async with bench.service(drain_seconds=0.01):
            await eventually(lambda: len(begun) == restart)  # noqa: B023 - it ends within the round
        assert len(ended) == restart
    opened.set()
    async with bench.service():
        await eventually(bench.is_done)
    assert numbers == [1]
    assert await bench.dead_letters() == []


def answering(bench, numbers):
    @bench.consumer.on(bench.Noted)
    async def answer(noted):
        numbers.append(noted.number)
        return bench.hear(noted.number)


async def test_what_was_committed_and_not_published_is_sent_by_the_next_replica(
    bench, numbers, eventually, monkeypatch
):
    """The process dies after the commit of its state and before Kafka has the answer."""
    answering(bench, numbers)
    await bench.publish(bench.note(1))

    async def hang(_producer, _records):
        await asyncio.Event().wait()

    with monkeypatch.context() as dying:
        dying.setattr(Producer, "send", hang)
        dying.setattr("so1s.service._LAST_FLUSH_SECONDS", 0.01)
        async with bench.service(drain_seconds=0.05) as service:
            await eventually(lambda: numbers == [1])
            await eventually(service.store.outbox.depth)
    assert await bench.heard() == []
    assert await bench.waiting() == 1
    async with bench.service():
        await eventually(bench.is_done)
    assert numbers == [1]
    assert await bench.heard() == [1]


async def test_what_was_published_and_not_committed_is_not_handled_twice(
    bench, numbers, eventually, monkeypatch
):
    """The process dies after Kafka has the answer and before its offset moves."""
    answering(bench, numbers)
    await bench.publish(bench.note(1))

    async def forget(_consumer, _offsets):
        """Commit nothing."""

    with monkeypatch.context() as dying:
        dying.setattr(AIOKafkaConsumer, "commit", forget)
        async with bench.service():
            await eventually(bench.heard)
    assert await bench.waiting() == 1
    async with bench.service():
        await eventually(bench.is_done)
    assert numbers == [1]
    assert await bench.heard() == [1]


async def test_what_a_dead_process_left_is_sent_at_the_start_though_no_event_comes(bench, eventually):
    dead = Store(bench.url, producer=bench.name)
    await dead.migrate()
    async with dead.transaction() as tx:
        tx.emit(bench.hear(1), id="left")
    await dead.close()
    async with bench.service():
        await eventually(bench.heard)


async def test_an_event_of_a_reconciler_leaves_at_once(bench, eventually, monkeypatch):
    monkeypatch.setattr("so1s.service._RELAY_SECONDS", 3600)
    async with bench.service() as service:
        await eventually(lambda: service._health.problems() == [])
        async with service.store.transaction() as tx:
            tx.emit(bench.hear(1), id="reconciled")
        await eventually(bench.heard)


async def test_a_service_stops_in_time_though_kafka_is_away(
    bench, numbers, eventually, monkeypatch, tmp_path
):
    monkeypatch.setattr("so1s.service._LAST_FLUSH_SECONDS", 0.1)
    monkeypatch.setattr("so1s.broker.producer._STOP_SECONDS", 0.1)
    with Broker(tmp_path / "kafka") as broker:
        bench.kafka = broker.bootstrap_servers
        answering(bench, numbers)
        await bench.publish(bench.note(1))
        async with bench.service(drain_seconds=0.1) as service:
            await eventually(bench.is_done)
            broker.kill()
            async with service.store.transaction() as tx:
                tx.emit(bench.hear(2), id="unsent")
            began = time.monotonic()
        assert time.monotonic() - began < 30  # what is left would be tried for 40 s


async def test_a_service_stops_without_an_error_though_its_connection_broke_too(bench, tmp_path):
    with Broker(tmp_path / "kafka") as broker:
        bench.kafka = broker.bootstrap_servers
        async with bench.service(drain_seconds=0.1) as service:
            broker.kill()
            await service._producer.stop()
            async with service.store.transaction() as tx:
                tx.emit(bench.hear(1), id="unsent")
        assert (await service.store.outbox.depth()).unsent == 1
        await service.store.close()


async def test_an_event_is_remembered_for_longer_than_any_topic_keeps_it(bench):
    class Kept(Event, key=("account",), prefix=bench.name, retention_days=90):
        """Kept for a quarter."""

    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = Store(bench.url, producer=bench.name, clock=lambda: now)
    await store.migrate()
    await store.attempt("pipeline", "1")
    service = Service(bench.name, bench.settings(), store=store)
    for days, attempts in ((91, 2), (120, 1)):
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
        await service._prune()
        assert (await store.attempt("pipeline", "1")).number == attempts
    await store.close()
