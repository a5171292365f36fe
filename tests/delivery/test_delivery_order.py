"""Order is kept, and what is away is waited for without bound."""

import uuid
from asyncio import CancelledError

import pytest

from so1s.errors import TemporaryError
from so1s.store import Store


async def test_a_temporary_error_holds_its_partition_in_order_and_no_other(
    bench, numbers, opened, eventually
):
    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        if noted.number < 10 and not opened.is_set():
            raise TemporaryError("away")
        numbers.append(noted.number)

    await bench.publish(*(bench.note(number) for number in (1, 2, 3)), partition=0)
    await bench.publish(*(bench.note(number) for number in (11, 12, 13)), partition=1)
    async with bench.service():
        await eventually(lambda: numbers == [11, 12, 13])
        opened.set()
        await eventually(lambda: numbers == [11, 12, 13, 1, 2, 3])
        await eventually(bench.is_done)
    assert await bench.dead_letters() == []


async def test_what_passes_by_itself_is_tried_far_more_often_than_five_times(bench, numbers, eventually):
    tries = []

    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        tries.append(noted.number)
        if len(tries) < 12:
            raise ConnectionRefusedError
        numbers.append(noted.number)

    await bench.publish(bench.note(1))
    async with bench.service():
        await eventually(lambda: numbers == [1])
    assert await bench.dead_letters() == []


async def test_an_attempt_that_cannot_be_taken_back_while_the_database_is_away_is_taken_back_later(
    bench, numbers, eventually, monkeypatch
):
    tries, forgive = [], Store.forgive

    async def away_every_other_time(store, source, event_id):
        tries.append(event_id)
        if len(tries) % 2:
            raise ConnectionRefusedError
        await forgive(store, source, event_id)

    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        if len(tries) < 24:
            raise ConnectionRefusedError
        numbers.append(noted.number)

    monkeypatch.setattr(Store, "forgive", away_every_other_time)
    await bench.publish(bench.note(1))
    async with bench.service():
        await eventually(bench.is_done)
    assert numbers == [1]
    assert await bench.dead_letters() == []


async def test_a_database_that_is_away_for_longer_than_all_retries_loses_nothing(
    bench, numbers, postgres_gate, eventually
):
    @bench.consumer.on(bench.Noted)
    async def answer(noted):
        numbers.append(noted.number)
        return bench.hear(noted.number)

    async with bench.service(url=postgres_gate.url) as service:
        await bench.publish(bench.note(1))
        await eventually(bench.is_done)
        await postgres_gate.close()
        await bench.publish(bench.note(2), bench.note(3))
        await eventually(lambda: postgres_gate.refused > 8)
        assert numbers == [1]
        await postgres_gate.open()
        await eventually(bench.is_done)
        assert service.store.engine.dialect.name == "postgresql"
    assert numbers == [1, 2, 3]
    assert await bench.heard() == [1, 2, 3]
    assert await bench.dead_letters() == []


@pytest.mark.parametrize("leak", [CancelledError, SystemExit])
async def test_a_handler_that_leaks_a_cancellation_or_an_exit_stops_nothing(bench, numbers, eventually, leak):
    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        if noted.number == 1:
            raise leak
        numbers.append(noted.number)

    await bench.publish(bench.note(1), bench.note(2))
    async with bench.service() as service:
        await eventually(lambda: numbers == [2])
        assert service._health.problems() == []
    assert await bench.reasons() == ["RuntimeError"]


async def test_a_handler_that_answers_none_publishes_nothing(bench, numbers, eventually):
    @bench.consumer.on(bench.Noted)
    async def sometimes(noted):
        numbers.append(noted.number)
        answers = {1: None, 2: bench.hear(2), 3: [bench.hear(3), bench.hear(4)], 5: []}
        return answers[noted.number]

    await bench.publish(*(bench.note(number) for number in (1, 2, 3, 5)))
    async with bench.service():
        await eventually(bench.is_done)
    assert await bench.heard() == [2, 3, 4]


async def test_a_duplicate_is_not_handled_again_and_its_answer_has_the_same_id(bench, numbers, eventually):
    @bench.consumer.on(bench.Noted)
    async def answer(noted):
        numbers.append(noted.number)
        return bench.hear(noted.number)

    same = uuid.uuid4().hex
    await bench.publish(bench.note(1), bench.note(1), bench.note(2), ids=[same, same, "other"])
    async with bench.service():
        await eventually(bench.is_done)
    assert numbers == [1, 2]
    assert await bench.heard() == [1, 2]


async def test_an_answer_names_its_cause_its_chain_and_its_trace(bench, eventually):
    @bench.consumer.on(bench.Noted)
    async def answer(noted):
        return bench.hear(noted.number)

    await bench.publish(bench.note(1), ids=["upload-1"])
    async with bench.service():
        await eventually(bench.is_done)
    ((note,), (heard,)) = await bench.records(bench.Noted.topic), await bench.records(bench.Heard.topic)
    said = {name: value.decode() for name, value in heard.headers}
    trace = dict(note.headers)["ce_traceparent"].decode()[:35]
    assert (said["ce_causationid"], said["ce_correlationid"]) == ("upload-1", "upload-1")
    assert said["ce_source"] == f"so1s/{bench.name}"
    assert said["ce_traceparent"].startswith(trace)
