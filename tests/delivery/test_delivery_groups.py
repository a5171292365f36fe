"""Replicas share a topic's partitions, and hand them over without an event in two hands."""

import asyncio

import pytest

from so1s.broker import subscribers
from so1s.service import Consumer


@pytest.fixture
def revoked(monkeypatch):
    """Every partition that any replica had to give up."""
    seen = []
    release = subscribers.Subscriber.release

    async def noting(subscriber, partitions):
        seen.extend(partitions)
        await release(subscriber, partitions)

    monkeypatch.setattr(subscribers.Subscriber, "release", noting)
    return seen


def replica(bench, handler, name):
    """Another process of the service, with a database of its own: no inbox hides what comes twice."""
    consumer = Consumer(bench.name)
    consumer.on(bench.Noted)(handler)
    return bench.service(consumer, url=f"{bench.url}.{name}", instance=name)


async def test_a_rebalance_waits_for_the_handler_in_flight(bench, numbers, opened, revoked, eventually):
    running, most = [], []

    async def slow(noted):
        running.append(noted.number)
        most.append(len(running))
        if not revoked or not opened.is_set():
            await opened.wait()
        running.remove(noted.number)
        numbers.append(noted.number)

    await bench.publish(bench.note(1), partition=0)
    await bench.publish(bench.note(2), partition=1)
    async with replica(bench, slow, "one"):
        await eventually(lambda: len(running) == 1)
        joining = replica(bench, slow, "two")
        entering = asyncio.create_task(joining.__aenter__())
        await eventually(lambda: revoked)
        for _ in range(50):  # who does not wait gives the event in flight to the other replica now
            await asyncio.sleep(0.01)
            assert len(running) == 1
        opened.set()
        await entering
        await eventually(bench.is_done)
        await joining.__aexit__(None, None, None)
    assert sorted(numbers) == [1, 2]


async def test_a_replica_that_restarts_has_its_partitions_back_and_disturbs_no_other(
    bench, numbers, revoked, eventually
):
    async def remember(noted):
        numbers.append(noted.number)

    async with replica(bench, remember, "one"):
        async with replica(bench, remember, "two"):
            await bench.publish(bench.note(1), partition=0)
            await bench.publish(bench.note(2), partition=1)
            await eventually(bench.is_done)
            revoked.clear()
        async with replica(bench, remember, "two"):
            await bench.publish(bench.note(3), partition=0)
            await bench.publish(bench.note(4), partition=1)
            await eventually(bench.is_done)
            assert revoked == []
    assert sorted(numbers) == [1, 2, 3, 4]
