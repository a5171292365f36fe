"""Kafka hears of what is handled behind the handler; nothing is passed over, and little comes again."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from so1s.broker import offsets, subscribers
from so1s.broker.offsets import Offsets
from so1s.errors import TemporaryError
from so1s.service import Consumer, Service


@pytest.fixture
def seldom(monkeypatch):
    """After the first commit of a consumer, none comes by itself."""
    monkeypatch.setattr(offsets, "_BEHIND_SECONDS", 3600)


@pytest.fixture
def away(monkeypatch):
    """No commit comes to an end until this is set."""
    back, commit = asyncio.Event(), AIOKafkaConsumer.commit

    async def wait(consumer, told):
        await back.wait()
        await commit(consumer, told)

    monkeypatch.setattr(AIOKafkaConsumer, "commit", wait)
    monkeypatch.setattr(offsets, "_LATE_SECONDS", 3600)
    return back


def remembering(bench, numbers):
    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        numbers.append(noted.number)


async def test_an_event_waits_for_no_commit_of_the_one_before(bench, numbers, away, eventually):
    remembering(bench, numbers)
    await bench.publish(*map(bench.note, range(5)), partition=0)
    async with bench.service():
        await eventually(lambda: numbers == [0, 1, 2, 3, 4])
        assert await bench.waiting() == 5
        away.set()
        await eventually(bench.is_done)


async def test_an_event_waits_once_kafka_has_not_heard_of_others_for_long(
    bench, numbers, away, eventually, monkeypatch
):
    monkeypatch.setattr(offsets, "_LATE_SECONDS", 0)
    remembering(bench, numbers)
    await bench.publish(*map(bench.note, range(3)), partition=0)
    async with bench.service():
        await eventually(lambda: numbers == [0, 1])
        for _ in range(50):
            await asyncio.sleep(0.01)
            assert numbers == [0, 1]
        away.set()
        await eventually(bench.is_done)
    assert numbers == [0, 1, 2]


async def test_a_consumer_without_a_database_takes_an_event_once_kafka_knows_of_the_one_before(
    bench, numbers, away, eventually
):
    """Its inbox ends with its process: all that a crash repeats would be handled again."""
    remembering(bench, numbers)
    await bench.publish(bench.note(1), bench.note(2), partition=0)
    async with Service(bench.name, bench.settings(), consumer=bench.consumer).running():
        await eventually(lambda: numbers)
        for _ in range(50):
            await asyncio.sleep(0.01)
            assert numbers == [1]
        away.set()
        await eventually(bench.is_done)
    assert numbers == [1, 2]


async def test_no_commit_passes_an_event_that_is_not_handled(bench, numbers, eventually):
    tried = []

    @bench.consumer.on(bench.Noted)
    async def fail_at_two(noted):
        if noted.number == 2:
            tried.append(noted.number)
            raise TemporaryError("not yet")
        numbers.append(noted.number)

    await bench.publish(*map(bench.note, (0, 1, 2, 3)), partition=0)
    await bench.publish(bench.note(4), partition=1)
    async with bench.service():
        await eventually(lambda: sorted(numbers) == [0, 1, 4])
        await eventually(lambda: len(tried) > 3)
    assert await bench.waiting() == 2


@pytest.mark.parametrize("batch", [False, True])
async def test_a_service_that_stops_tells_kafka_of_all_that_it_handled(
    bench, numbers, seldom, eventually, batch
):
    @bench.consumer.on(bench.Noted, batch=batch)
    async def remember(noted):
        numbers.extend([each.event.number for each in noted] if batch else [noted.number])

    async def two_wait():
        return await bench.waiting() == 2

    async with bench.service():
        for number in range(3):  # each by itself: the first is told at once
            await bench.publish(bench.note(number), partition=number % 2)
            await eventually(lambda: len(numbers) == number + 1)  # noqa: B023 - it ends within the round
        await eventually(two_wait)
    assert await bench.is_done()


async def test_a_service_stops_though_kafka_does_not_hear_of_the_last_events(
    bench, numbers, away, eventually, monkeypatch
):
    monkeypatch.setattr(offsets, "_LAST_SECONDS", 0.01)
    remembering(bench, numbers)
    await bench.publish(bench.note(1))
    async with asyncio.timeout(60), bench.service():
        await eventually(lambda: numbers == [1])
    away.set()
    async with bench.service():
        await eventually(bench.is_done)
    assert numbers == [1], "what comes again is known"


async def test_a_partition_goes_to_another_replica_with_the_place_it_was_handled_to(
    bench, numbers, seldom, eventually
):
    """The other one has an inbox of its own, which hides nothing that comes twice."""

    def replica(name):
        consumer = Consumer(bench.name)

        @consumer.on(bench.Noted)
        async def remember(noted):
            numbers.append(noted.number)

        return bench.service(consumer, url=f"{bench.url}.{name}", instance=name)

    async with replica("one"):
        for number in range(4):
            await bench.publish(bench.note(number), partition=number % 2)
        await eventually(lambda: len(numbers) == 4)
        assert not await bench.is_done()
        async with replica("two"):
            await eventually(bench.is_done)
            await bench.publish(bench.note(4), partition=0)
            await bench.publish(bench.note(5), partition=1)
            await eventually(lambda: {4, 5} <= set(numbers))
    assert sorted(numbers) == [0, 1, 2, 3, 4, 5]


async def test_a_commit_that_kafka_refuses_is_logged_and_stops_nothing(
    bench, numbers, eventually, monkeypatch, logged
):
    async def refuse(_consumer, _told):
        raise GroupAuthorizationFailedError

    monkeypatch.setattr(offsets, "_BEHIND_SECONDS", 0.01)
    remembering(bench, numbers)
    async with bench.service():
        with monkeypatch.context() as forbidden:
            forbidden.setattr(AIOKafkaConsumer, "commit", refuse)
            await bench.publish(bench.note(1), partition=0)
            await eventually(lambda: [line for line in logged if "cannot be committed" in line["event"]])
        await bench.publish(bench.note(2), partition=0)
        await eventually(bench.is_done)
    assert numbers == [1, 2]


async def test_what_a_handler_says_is_sent_once_and_wakes_no_relay(bench, eventually, monkeypatch):
    @bench.consumer.on(bench.Noted)
    async def answer(noted):
        return bench.hear(noted.number)

    async with bench.service() as service:
        woken = []
        monkeypatch.setattr(service.store, "on_emitted", lambda: woken.append(True))
        await bench.publish(bench.note(1))
        await eventually(bench.heard)
    assert woken == []


async def test_a_handler_that_ends_after_its_partition_was_let_go_says_nothing_of_it(
    bench, numbers, opened, eventually, monkeypatch
):
    """Another replica may have gone on there since, and its place would be taken back."""
    monkeypatch.setattr(subscribers, "_REVOKE_SECONDS", 0.01)
    begun = asyncio.Event()

    @bench.consumer.on(bench.Noted)
    async def wait(noted):
        begun.set()
        await opened.wait()
        numbers.append(noted.number)

    await bench.publish(bench.note(1), partition=0)
    async with bench.service() as service:
        await begun.wait()
        (subscriber,) = service._health._subscribers
        await subscriber.release([TopicPartition(bench.Noted.topic.name, 0)])
        opened.set()
        await eventually(lambda: numbers == [1])
    assert await bench.waiting() == 1


class Group:
    """A consumer of two partitions, whose first commit takes until it is let go on, or is refused."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.committed, self.go_on, self.asked, self._refuses = {}, asyncio.Event(), asyncio.Event(), refuses

    def assignment(self):
        return {TopicPartition("notes", 0), TopicPartition("notes", 1)}

    async def commit(self, told):
        if not self.asked.is_set():
            self.asked.set()
            await self.go_on.wait()
            if self._refuses:
                raise GroupAuthorizationFailedError
        self.committed |= {each.partition: at for each, at in told.items()}


def noted(offset, partition=0):
    fields = dict.fromkeys(ConsumerRecord.__dataclass_fields__)
    return ConsumerRecord(**fields | {"topic": "notes", "partition": partition, "offset": offset})


@pytest.fixture
def group():
    return Group()


async def test_a_commit_that_takes_long_does_not_take_a_later_one_back(group, monkeypatch):
    monkeypatch.setattr(offsets, "_LATE_SECONDS", -1)
    told = Offsets(behind=True)
    told.consumer = group
    told.handled([noted(0)])
    await told.commit()
    await group.asked.wait()
    told.handled([noted(1)])
    later = asyncio.create_task(told.commit())
    await asyncio.sleep(0)
    group.go_on.set()
    await later
    await asyncio.sleep(0)  # for the first one to come to its end
    await told.stop()
    assert group.committed == {0: 2}


async def test_what_kafka_refused_to_hear_is_told_again_with_the_next_event():
    group = Group(refuses=True)
    group.go_on.set()
    told = Offsets(behind=False)
    told.consumer = group
    told.handled([noted(0)])
    await told.commit()
    assert group.committed == {}
    told.handled([noted(5, partition=1)])
    await told.commit()
    assert group.committed == {0: 1, 1: 6}


async def test_a_partition_that_is_another_replicas_holds_up_no_commit_of_ours(group):
    group.go_on.set()
    told = Offsets(behind=False)
    told.consumer = group
    told.handled([noted(0), noted(9, partition=2)])
    await told.commit()
    assert group.committed == {0: 1}
