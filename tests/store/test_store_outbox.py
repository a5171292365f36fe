"""The outbox sends everything that was committed, in its order, with the same bytes however often."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
import structlog
from prometheus_client import REGISTRY
from sqlalchemy import select

from so1s.errors import Refused
from so1s.events.envelope import Cause, Record
from so1s.store.outbox import _PAGE, _TRIED_AGAIN
from so1s.store.tables import outbox

CAUSE = Cause("upload-1", "upload-1")


async def say(store, greeted, *names):
    async with store.transaction(CAUSE) as tx:
        for name in names:
            tx.emit(greeted(account="risk", name=name))


def name(record):
    return record.key.decode().removeprefix("risk/")


def names(wire):
    return [name(record) for record in wire.records]


async def test_events_leave_in_the_order_of_their_commits(store, greeted, wire):
    many = [f"n{number}" for number in range(_PAGE + 10)]
    await say(store, greeted, *many)
    await say(store, greeted, "last")
    await store.outbox.flush(wire)
    assert names(wire) == [*many, "last"]
    assert (await store.outbox.depth()).unsent == 0


async def test_what_could_not_be_sent_stays_and_leaves_again_with_the_same_bytes(store, greeted, wire):
    wire.broken = True
    await say(store, greeted, "ada", "bob")
    with pytest.raises(ConnectionError):
        await store.outbox.flush(wire)
    assert (await store.outbox.depth()).unsent == 2
    wire.broken = False
    await store.outbox.flush(wire)
    assert wire.records[:2] == wire.records[2:]


async def test_what_a_dead_replica_left_is_sent_by_the_next(store, open_store, greeted, wire):
    await say(store, greeted, "ada")
    assert await open_store().outbox.flush(wire) == 1
    assert await store.outbox.flush(wire) == 0


async def test_two_flushes_at_once_send_everything_once(store, greeted, wire):
    await say(store, greeted, *(f"n{number}" for number in range(50)))
    await asyncio.gather(*(store.outbox.flush(wire) for _ in range(5)))
    assert len(wire.records) == 50


async def test_what_is_on_its_way_when_a_flush_is_cancelled_is_not_sent_again(store, greeted, wire):
    arrived, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        async def send(self, records: Sequence[Record]) -> None:
            await wire.send(records)
            arrived.set()
            await go_on.wait()  # as if Kafka had it, and its answer was on the way

    await say(store, greeted, "ada")
    flushing = asyncio.create_task(store.outbox.flush(Slow()))
    await arrived.wait()
    flushing.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    await store.outbox.flush(wire)
    assert names(wire) == ["ada"]


async def test_what_was_sent_is_counted_by_topic_once_it_is(store, greeted, wire):
    def counted():
        return REGISTRY.get_sample_value("so1s_published_total", {"topic": greeted.topic.name}) or 0

    before = counted()
    await say(store, greeted, "ada", "bob")
    wire.broken = True
    with pytest.raises(ConnectionError):
        await store.outbox.flush(wire)
    assert counted() == before
    wire.broken = False
    await store.outbox.flush(wire)
    assert counted() == before + 2


async def test_a_record_of_a_stranger_keeps_every_byte(store, wire):
    strange = Record("place", "so1s.dlq.x", None, [("a", b"\xff\x00"), ("b", None), ("é", b"")], None)
    async with store.transaction() as tx:
        tx.records.append(strange)
    await store.outbox.flush(wire)
    assert wire.records == [strange]


async def test_sent_events_are_forgotten_in_time_and_waiting_ones_never(store, clock, greeted, wire):
    await say(store, greeted, "sent")
    await store.outbox.flush(wire)
    await say(store, greeted, "waits")
    clock.now += timedelta(days=10_000)
    await store.prune(older_than_days=45)
    async with store.transaction(CAUSE) as tx:  # an id that was forgotten is new again
        tx.emit(greeted(account="risk", name="sent"))
    await store.outbox.flush(wire)
    assert names(wire) == ["sent", "waits", "sent"]


class Choosy:
    """A sender that refuses what its `refuses` names, and takes the rest."""

    def __init__(self, *refuses):
        self.refuses = set(refuses)
        self.records = []
        self.tries = 0

    async def send(self, records):
        self.tries += 1
        refused = {each.event_id: ValueError("too large") for each in records if name(each) in self.refuses}
        self.records += [each for each in records if each.event_id not in refused]
        if refused:
            raise Refused(refused)


async def test_what_kafka_refuses_is_set_aside_and_the_rest_goes_on(store, greeted):
    sender = Choosy("bob")
    await say(store, greeted, "ada", "bob", "cyd")
    await store.outbox.flush(sender)
    await say(store, greeted, "dan")
    await store.outbox.flush(sender)
    assert names(sender) == ["ada", "cyd", "dan"]
    assert await store.outbox.depth() == (1, 1)


async def test_the_outbox_keeps_when_and_why_an_event_was_refused_and_logs_it(store, clock, greeted):
    await say(store, greeted, "bob")
    with structlog.testing.capture_logs() as lines:
        await store.outbox.flush(Choosy("bob"))
    async with store.read() as connection:
        row = (await connection.execute(select(outbox))).one()
    assert (row.refusal, row.refused_at, row.refusals) == ("too large", clock.now.timestamp(), 1)
    (line,) = lines
    assert line["log_level"] == "error"
    assert (line["topic"], line["event_id"], line["reason"]) == (row.topic, row.event_id, "too large")


async def test_a_refused_event_is_tried_again_ever_more_rarely_and_for_ever(store, clock, greeted):
    sender = Choosy("bob")
    await say(store, greeted, "bob")
    await store.outbox.flush(sender)
    for tries, pause in enumerate([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], start=1):
        clock.now += timedelta(seconds=pause - 0.1)
        await store.outbox.retry(sender)
        assert sender.tries == tries
        clock.now += timedelta(seconds=0.1)
        await store.outbox.retry(sender)
        assert sender.tries == tries + 1


async def test_a_refused_event_leaves_by_itself_once_the_cause_is_mended(store, clock, greeted):
    sender = Choosy("bob")
    await say(store, greeted, "bob")
    await store.outbox.flush(sender)
    sender.refuses.clear()
    assert await store.outbox.retry(sender) == 0
    clock.now += timedelta(seconds=1)
    assert await store.outbox.retry(sender) == 1
    assert names(sender) == ["bob"]
    assert await store.outbox.depth() == (0, 0)


async def test_what_was_refused_goes_with_nothing_new(store, clock, greeted):
    sender = Choosy("bob")
    await say(store, greeted, "bob")
    await store.outbox.flush(sender)
    clock.now += timedelta(days=1)
    await say(store, greeted, "cyd")
    sender.refuses.clear()
    await store.outbox.flush(sender)
    assert names(sender) == ["cyd"]


async def test_of_many_refused_events_a_few_are_tried_at_once_those_that_were_refused_least_first(
    store, clock, greeted
):
    many = [f"n{number}" for number in range(_TRIED_AGAIN + 1)]
    sender = Choosy(*many)
    await say(store, greeted, *many)
    await store.outbox.flush(sender)
    clock.now += timedelta(days=1)
    await store.outbox.retry(sender)
    assert sender.tries == 2
    clock.now += timedelta(days=1)
    sender.refuses.clear()
    assert await store.outbox.retry(sender) == len(many)
    assert names(sender) == [many[-1], *many[:-1]]
