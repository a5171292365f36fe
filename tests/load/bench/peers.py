"""Consumers without So1s: each validates with the same class and makes the same inserts, and no more."""

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import asyncpg
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, Message
from sqlalchemy import make_url

from so1s.events import UsageSampled
from tests.load.bench.measure import Pace
from tests.load.bench.samples import row

TOPIC = UsageSampled.topic.name
_INBOX = "create table inbox(source text, id text, at real, primary key(source, id))"
_USAGE = 'create table usage("window" text primary key, account text, "user" text, cpu bigint, memory bigint)'
_UNLESS = "on conflict do nothing"

Names = list[tuple[str, str, float]]
Rows = list[tuple]


class Sqlite:
    """SQLite by its driver, with the settings of `so1s.store`."""

    def __init__(self, directory: Path) -> None:
        path = directory / f"{uuid.uuid4().hex}.db"
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in ("pragma journal_mode=wal", "pragma synchronous=normal", _INBOX, _USAGE):
            self._connection.execute(statement)

    async def keep(self, names: Names, rows: Rows) -> None:
        """As `keep_now`, which never waits."""
        self.keep_now(names, rows)

    def keep_now(self, names: Names, rows: Rows) -> None:
        """One transaction: each event's name, so that a duplicate is known, and its row."""
        self._connection.execute("begin immediate")
        self._connection.executemany("insert or ignore into inbox values (?, ?, ?)", names)
        self._connection.executemany("insert or ignore into usage values (?, ?, ?, ?, ?)", rows)
        self._connection.execute("commit")

    async def close(self) -> None:
        self._connection.close()


class Postgres:
    """PostgreSQL by its driver, in tables of its own."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect by SQLAlchemy's URL, as a service has it."""
        url = make_url(url)
        connection = await asyncpg.connect(
            host=url.host, port=url.port, user=url.username, password=url.password, ssl=False
        )
        schema = f"peer_{uuid.uuid4().hex}"
        await connection.execute(f"create schema {schema}; set search_path to {schema}; {_INBOX}; {_USAGE}")
        return cls(connection)

    async def keep(self, names: Names, rows: Rows) -> None:
        """One transaction: each event's name, so that a duplicate is known, and its row."""
        async with self._connection.transaction():
            await self._connection.executemany(f"insert into inbox values ($1, $2, $3) {_UNLESS}", names)
            await self._connection.executemany(
                f"insert into usage values ($1, $2, $3, $4, $5) {_UNLESS}", rows
            )

    async def close(self) -> None:
        await self._connection.close()


Database = Sqlite | Postgres


def read(records: Iterable[tuple[Iterable[tuple[str, bytes]], bytes]]) -> tuple[Names, Rows]:
    """The names and rows of some records, given by headers and value."""
    names, rows, now = [], [], time.time()
    for headers, value in records:
        said = dict(headers)
        names.append((said["ce_source"].decode(), said["ce_id"].decode(), now))
        rows.append(tuple(row(UsageSampled.model_validate_json(value)).values()))
    return names, rows


async def aiokafka(kafka: str, database: Database, pace: Pace, most: int) -> None:
    options = {"group_id": uuid.uuid4().hex, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(TOPIC, bootstrap_servers=kafka, **options) as consumer:
        while not pace.is_done:
            found = await consumer.getmany(timeout_ms=100, max_records=most)
            if records := [record for batch in found.values() for record in batch]:
                pace.begin(len(records))
                await database.keep(*read((record.headers, record.value) for record in records))
                await consumer.commit()


async def confluent(kafka: str, database: Sqlite, pace: Pace, most: int) -> None:
    await asyncio.to_thread(_confluent, kafka, database, pace, most)


def _confluent(kafka: str, database: Sqlite, pace: Pace, most: int) -> None:
    options = {"group.id": uuid.uuid4().hex, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": kafka, "enable.metrics.push": False, **options})
    consumer.subscribe([TOPIC])
    try:
        while not pace.is_done:
            if messages := consumer.consume(most, timeout=0.1):
                pace.begin(len(messages))
                database.keep_now(*read(map(_parts, messages)))
                consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def _parts(message: Message) -> tuple[Iterable[tuple[str, bytes]], bytes]:
    return message.headers(), message.value()
