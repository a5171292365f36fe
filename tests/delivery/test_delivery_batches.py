"""Batches: one transaction for all, and only those at fault are taken out."""

import pytest
import sqlalchemy as sa

from so1s.errors import PermanentError, TemporaryError
from so1s.events.envelope import Received, Record
from so1s.store import Transaction

sums = sa.Table("sums", sa.MetaData(), sa.Column("number", sa.Integer))


async def stored(service):
    async with service.store.read() as connection:
        return sorted((await connection.execute(sa.select(sums.c.number))).scalars())


@pytest.fixture
def batches(bench):
    """The sizes of the batches that the handler was given, and how it fails."""
    seen, failures = [], {}

    @bench.consumer.on(bench.Noted, batch=True)
    async def add(batch: list[Received], tx: Transaction) -> None:
        seen.append(len(batch))
        await tx.connection.run_sync(sums.metadata.create_all)
        await tx.execute(sa.insert(sums), [{"number": each.event.number} for each in batch])
        for each in batch:
            if failure := failures.get(each.event.number):
                raise failure

    return seen, failures


async def publish_both(bench, *numbers, ids=()):
    """Half of the events to each partition."""
    half = len(numbers) // 2
    await bench.publish(*(bench.note(each) for each in numbers[:half]), partition=0, ids=ids[:half])
    await bench.publish(*(bench.note(each) for each in numbers[half:]), partition=1, ids=ids[half:])


async def test_many_events_are_handled_in_one_transaction(bench, batches, eventually):
    await publish_both(bench, *range(100))
    async with bench.service() as service:
        await eventually(bench.is_done)
        assert await stored(service) == list(range(100))
    assert len(batches[0]) < 10


async def test_duplicates_inside_a_batch_and_across_batches_count_once(bench, batches, eventually):
    ids = [str(number) for number in (1, 2, 1, 3)]
    async with bench.service() as service:
        for _ in range(2):
            await publish_both(bench, 1, 2, 1, 3, ids=ids)
            await eventually(bench.is_done)
        assert await stored(service) == [1, 2, 3]
    assert sum(batches[0]) == 3


async def test_a_temporary_error_repeats_the_whole_batch_on_every_partition(bench, batches, eventually):
    sizes, failures = batches
    failures[7] = TemporaryError("away")
    await publish_both(bench, *range(10))
    async with bench.service() as service:
        await eventually(lambda: len(sizes) > 6)
        assert await bench.waiting() > 0
        failures.clear()
        await eventually(bench.is_done)
        assert await stored(service) == list(range(10))
    assert await bench.dead_letters() == []


@pytest.mark.parametrize("failure", [PermanentError("never"), ZeroDivisionError()])
async def test_of_a_batch_that_fails_only_the_events_at_fault_are_buried(bench, batches, eventually, failure):
    batches[1][7] = failure
    await publish_both(bench, *range(10))
    await bench.publish(bench.note(11), partition=0)
    async with bench.service() as service:
        await eventually(bench.is_done)
        assert await stored(service) == [number for number in range(12) if number not in (7, 10)]
    (letter,) = await bench.dead_letters()
    assert b'"number":7' in letter.value


async def test_bytes_that_are_no_event_are_buried_once_however_often_the_batch_repeats(
    bench, batches, eventually
):
    sizes, failures = batches
    failures[2] = TemporaryError("away")
    await bench.publish(bench.note(1), bench.note(2), partition=0)
    await bench.send(Record("", bench.Noted.topic.name, b"k", [], b"poison"), partition=0)
    await bench.publish(bench.note(3), partition=0)
    async with bench.service() as service:
        await eventually(lambda: len(sizes) > 6)
        failures.clear()
        await eventually(bench.is_done)
        assert await stored(service) == [1, 2, 3]
    assert await bench.reasons() == ["invalid"]


async def test_a_batch_says_events_by_ids_of_its_own(bench, eventually):
    @bench.consumer.on(bench.Noted, batch=True)
    async def total(batch: list[Received], tx: Transaction) -> None:
        for each in batch:
            tx.emit(bench.hear(each.event.number), id=f"total-{each.event.number}")

    await bench.publish(bench.note(1), bench.note(2), partition=0)
    async with bench.service():
        await eventually(bench.is_done)
    assert await bench.heard() == [1, 2]
