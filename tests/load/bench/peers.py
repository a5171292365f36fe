"""Consumers without So1s: each validates with the same class and makes the same inserts, and no more."""

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, Message

from so1s.events import UsageSampled
from tests.load.bench.measure import Pace
from tests.load.bench.samples import row

TOPIC = UsageSampled.topic.name
_INBOX = "create table inbox(source text, id text, at real, primary key(source, id))"
_USAGE = "create table usage(window text primary key, account text, user text, cpu integer, memory integer)"

Names = list[tuple[str, str, float]]
Rows = list[tuple]


class Database:
    """SQLite by its driver, with the settings of `so1s.store`."""

    def __init__(self, directory: Path) -> None:
        path = directory / f"{uuid.uuid4().hex}.db"
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in ("pragma journal_mode=wal", "pragma synchronous=normal", _INBOX, _USAGE):
            self._connection.execute(statement)

    def keep(self, names: Names, rows: Rows) -> None:
        """One transaction: each event's name, so that a duplicate is known, and its row."""
        self._connection.execute("begin immediate")
        self._connection.executemany("insert or ignore into inbox values (?, ?, ?)", names)
        self._connection.executemany("insert or ignore into usage values (?, ?, ?, ?, ?)", rows)
        self._connection.execute("commit")

    def close(self) -> None:
        self._connection.close()


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
                database.keep(*read((record.headers, record.value) for record in records))
                await consumer.commit()


async def confluent(kafka: str, database: Database, pace: Pace, most: int) -> None:
    await asyncio.to_thread(_confluent, kafka, database, pace, most)


def _confluent(kafka: str, database: Database, pace: Pace, most: int) -> None:
    options = {"group.id": uuid.uuid4().hex, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": kafka, "enable.metrics.push": False, **options})
    consumer.subscribe([TOPIC])
    try:
        while not pace.is_done:
            if messages := consumer.consume(most, timeout=0.1):
                pace.begin(len(messages))
                database.keep(*read(map(_parts, messages)))
                consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def _parts(message: Message) -> tuple[Iterable[tuple[str, bytes]], bytes]:
    return message.headers(), message.value()
