"""Samples from a topic into a store, by a service of So1s and without it."""

import asyncio
import gc
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.schema import CreateSchema

from so1s.broker.subscribers import MAX_BATCH
from so1s.events import UsageSampled
from so1s.events.envelope import Received
from so1s.service import Consumer, Service
from so1s.settings import ServiceSettings
from so1s.store import Store, Transaction, upsert
from so1s_broker import Broker
from so1s_lab.postgres import Postgres
from so1s_lab.runner import Runner
from tests.load.bench import peers
from tests.load.bench.figure import Figure
from tests.load.bench.measure import Pace, medians
from tests.load.bench.samples import metadata, publish, row, sample, usage

_MANY = 20_000
_FEW = 300
_ROUNDS = 3

D = TypeVar("D", bound=peers.Database)
Opened = Callable[[], Awaitable[D]]
Consume = Callable[[str, D, Pace, int], Awaitable[None]]


async def measure(directory: Path) -> list[Figure]:
    with Broker(directory / "kafka") as broker:
        return await measure_on(broker.bootstrap_servers, directory)


async def measure_on(kafka: str, directory: Path) -> list[Figure]:
    """Measure on a broker that has no samples yet."""
    await publish(kafka, _MANY)
    with Runner(directory / "lab") as runner:
        postgres = Postgres(runner.directory("postgres"))
        runner.start(postgres)
        # As a service does at its start: what is loaded by now is no garbage.
        gc.collect()
        gc.freeze()
        return [
            *await _sqlite("consume in batches, into SQLite", kafka, directory, _MANY, MAX_BATCH),
            *await _postgres("consume in batches, into PostgreSQL", kafka, postgres.url, _MANY, MAX_BATCH),
            *await _sqlite("consume one by one, into SQLite", kafka, directory, _FEW, 1),
            *await _postgres("consume one by one, into PostgreSQL", kafka, postgres.url, _FEW, 1),
        ]


async def _sqlite(name: str, kafka: str, directory: Path, wanted: int, most: int) -> list[Figure]:
    async def database() -> peers.Sqlite:
        return peers.Sqlite(directory)

    ours, raw, native, bare = await medians(
        partial(_ours, kafka, f"sqlite+aiosqlite:///{directory}/{{name}}.db", wanted, most),
        partial(_theirs, peers.aiokafka, database, kafka, wanted, most),
        partial(_theirs, peers.confluent, database, kafka, wanted, most),
        partial(_inserts, database, wanted, most),
        rounds=_ROUNDS,
    )
    return [
        Figure(name, "events/s", ours, "aiokafka, same validation and inserts", raw),
        Figure(name, "events/s", ours, "confluent-kafka, same", native),
        Figure(name, "events/s", ours, "the inserts alone", bare),
    ]


async def _postgres(name: str, kafka: str, url: str, wanted: int, most: int) -> list[Figure]:
    database = partial(peers.Postgres.open, url)
    ours, raw, bare = await medians(
        partial(_ours, kafka, url, wanted, most),
        partial(_theirs, peers.aiokafka, database, kafka, wanted, most),
        partial(_inserts, database, wanted, most),
        rounds=_ROUNDS,
    )
    return [
        Figure(name, "events/s", ours, "aiokafka and asyncpg, same validation and inserts", raw),
        Figure(name, "events/s", ours, "the inserts alone, by asyncpg", bare),
    ]


async def _ours(kafka: str, url: str, wanted: int, most: int) -> float:
    pace = Pace(wanted)
    consumer = _batches(pace) if most > 1 else _single(pace)
    schema = consumer.name.replace("-", "_")
    store = Store(url.format(name=consumer.name), producer=consumer.name, schema=schema)
    async with store.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(CreateSchema(schema))
        await connection.run_sync(metadata.create_all)
    settings = ServiceSettings(kafka=kafka, instance="bench-0")
    async with Service(consumer.name, settings, consumer=consumer, store=store).running():
        await pace.finished.wait()
    return pace.per_second


def _batches(pace: Pace) -> Consumer:
    consumer = Consumer(f"bench-{uuid.uuid4().hex[:8]}")

    @consumer.on(UsageSampled, batch=True)
    async def keep(batch: list[Received[UsageSampled]], tx: Transaction) -> None:
        pace.begin(len(batch))
        await upsert(tx, usage, [row(each.event) for each in batch], keys=["window"])

    return consumer


def _single(pace: Pace) -> Consumer:
    consumer = Consumer(f"bench-{uuid.uuid4().hex[:8]}")

    @consumer.on(UsageSampled)
    async def keep(event: UsageSampled, tx: Transaction) -> None:
        pace.begin(1)
        await upsert(tx, usage, row(event), keys=["window"])

    return consumer


async def _theirs(consume: Consume[D], opened: Opened[D], kafka: str, wanted: int, most: int) -> float:
    database, pace = await opened(), Pace(wanted)
    await consume(kafka, database, pace, most)
    await database.close()
    return pace.per_second


async def _inserts(opened: Opened[peers.Database], wanted: int, most: int) -> float:
    database = await opened()
    names = [("so1s/collector", str(uuid.uuid4()), 0.0) for _ in range(wanted)]
    rows = [tuple(row(sample(number)).values()) for number in range(wanted)]
    started = time.perf_counter()
    for first in range(0, wanted, most):
        await database.keep(names[first : first + most], rows[first : first + most])
        await asyncio.sleep(0)
    seconds = time.perf_counter() - started
    await database.close()
    return wanted / seconds
