"""A bench: services on a real broker, whose topics and groups are each test's own."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from so1s.broker import subscribers
from so1s.broker.reader import Reader
from so1s.broker.topics import dead_letter_topic, provision
from so1s.events import Event, Topic
from so1s.events.codec import encode, unwrap
from so1s.events.envelope import Record
from so1s.service import Consumer, Service
from so1s.settings import ServiceSettings
from so1s.store import Store
from tests.gate import Gate

PARTITIONS = 2


class Bench:
    """One test's topics, group and services."""

    def __init__(self, kafka: str, directory) -> None:
        self.kafka = kafka
        self.name = f"bench-{uuid.uuid4().hex[:8]}"
        self.url = f"sqlite+aiosqlite:///{directory}/store.db"
        self.consumer = Consumer(self.name)

        class Noted(Event, key=("account", "name"), prefix=self.name, partitions=PARTITIONS):
            """What the services under test handle."""

            name: str = "ada"
            number: int = 0

        class Heard(Event, key=("account", "name"), prefix=self.name, partitions=PARTITIONS):
            """What they answer."""

            name: str = "ada"
            number: int = 0
            reason: str = ""

        self.Noted, self.Heard = Noted, Heard

    def note(self, number: int, **fields) -> Event:
        return self.Noted(account="risk", number=number, **fields)

    def hear(self, number: int, **fields) -> Event:
        return self.Heard(account="risk", number=number, **fields)

    def settings(self, **given) -> ServiceSettings:
        return ServiceSettings(**{"kafka": self.kafka, "instance": "one"} | given)

    @asynccontextmanager
    async def service(
        self, consumer: Consumer | None = None, *, url: str | None = None, **given
    ) -> AsyncIterator[Service]:
        """A running service; `url` is its database's."""
        consumer = consumer or self.consumer
        store = Store(url or self.url, producer=consumer.name)
        service = Service(consumer.name, self.settings(**given), consumer=consumer, store=store)
        async with service.running():
            yield service

    async def provision(self) -> None:
        await provision(self.settings(), [self.Noted.topic, self.Heard.topic, dead_letter_topic(self.name)])

    async def publish(
        self, *events: Event, partition: int | None = None, headers=(), ids: Sequence[str] = ()
    ) -> None:
        """Send events as a pipeline would; each has an id of its own unless one is given."""
        records = []
        for number, event in enumerate(events):
            event_id = ids[number] if ids else uuid.uuid4().hex
            record = encode(event, id=event_id, source="pipeline", time=datetime.now(UTC), cause=None)
            records.append(
                Record(event_id, record.topic, record.key, [*record.headers, *headers], record.value)
            )
        await self.send(*records, partition=partition)

    async def send(self, *records: Record, partition: int | None = None) -> None:
        await self.provision()
        async with AIOKafkaProducer(bootstrap_servers=self.kafka) as producer:
            for each in records:
                await producer.send_and_wait(
                    each.topic, each.value, key=each.key, headers=each.headers, partition=partition
                )

    async def records(self, topic: Topic) -> list[ConsumerRecord]:
        async with Reader(self.settings(), [topic.name]) as reader:
            return [record async for record in reader.past()]

    async def heard(self) -> list[int]:
        """The numbers of the answers, in the order of their ids' first appearance."""
        records = await self.records(self.Heard.topic)
        return [unwrap(each.headers, each.value).open(self.Heard).event.number for each in records]

    async def dead_letters(self, service: str | None = None) -> list[ConsumerRecord]:
        return await self.records(dead_letter_topic(service or self.name))

    async def reasons(self) -> list[str]:
        return [dict(each.headers)["so1s_reason"].decode() for each in await self.dead_letters()]

    async def waiting(self) -> int:
        """How many notes this service has not committed."""
        group = f"{self.name}.{self.Noted.topic.name}"
        partitions = [TopicPartition(self.Noted.topic.name, number) for number in range(PARTITIONS)]
        async with AIOKafkaConsumer(
            bootstrap_servers=self.kafka, group_id=group, enable_auto_commit=False
        ) as looking:
            ends = await looking.end_offsets(partitions)
            return sum([ends[each] - (await looking.committed(each) or 0) for each in partitions])

    async def is_done(self) -> bool:
        return await self.waiting() == 0


@pytest.fixture(autouse=True)
def logged() -> Iterator[list]:
    """What was logged, and is not printed."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def bench(kafka, tmp_path, monkeypatch) -> Bench:
    """Failures are tried again after 10 ms, where a service waits up to 30 s."""
    monkeypatch.setattr(subscribers, "_FETCH_WAIT_MS", 20)
    monkeypatch.setattr(subscribers, "backoff_seconds", lambda _failures: 0.01)
    return Bench(kafka, tmp_path)


@pytest.fixture
def numbers() -> list[int]:
    """The numbers of the events that a handler finished."""
    return []


@pytest.fixture
def opened() -> asyncio.Event:
    """What a handler may wait for."""
    return asyncio.Event()


@pytest.fixture
async def postgres_gate(postgres) -> AsyncIterator[Gate]:
    socket = postgres.partition("host=")[2]
    gate = Gate(lambda: asyncio.open_unix_connection(f"{socket}/.s.PGSQL.5432"))
    await gate.start()
    gate.url = f"postgresql+asyncpg://postgres@127.0.0.1:{gate.port}/postgres?ssl=disable"
    yield gate
    await gate.stop()
