"""A consumer that hears nothing asks Kafka less often, and takes what comes all the same."""

import pytest

from so1s.broker import subscribers
from so1s.broker.subscribers import Subscriber

SHORT, LONG = 20, subscribers._REST_FETCH_WAIT_MS


@pytest.fixture
def waits(monkeypatch) -> list[int]:
    """How long Kafka may hold fetches, in milliseconds: each change."""
    made: list[int] = []
    change = Subscriber._wait_for_events

    def note(self, fetch_ms, batch_ms):
        made.append(fetch_ms)
        change(self, fetch_ms, batch_ms)

    monkeypatch.setattr(Subscriber, "_wait_for_events", note)
    monkeypatch.setattr(subscribers, "_REST_SECONDS", 0.05)
    return made


async def test_a_consumer_rests_until_an_event_comes_and_then_again(bench, numbers, waits, eventually):
    @bench.consumer.on(bench.Noted)
    async def remember(noted):
        numbers.append(noted.number)

    async with bench.service() as service:
        (subscriber,) = service._health._subscribers
        await eventually(lambda: waits[:2] == [SHORT, LONG])
        assert subscriber._consumer._fetcher._fetch_max_wait_ms == LONG
        await bench.publish(bench.Noted(account="risk", name="a", number=7))
        await eventually(lambda: waits[-2:] == [SHORT, LONG] and numbers == [7])


async def test_a_consumer_of_batches_rests_too(bench, numbers, waits, eventually):
    @bench.consumer.on(bench.Noted, batch=True)
    async def remember(batch):
        numbers.extend(each.event.number for each in batch)

    async with bench.service() as service:
        (subscriber,) = service._health._subscribers
        await eventually(lambda: waits[:2] == [SHORT, LONG])
        assert subscriber._endpoint.batch_timeout_ms == subscribers._REST_BATCH_WAIT_MS
        await bench.publish(bench.Noted(account="risk", name="a", number=7))
        await eventually(lambda: waits[-2:] == [SHORT, LONG] and numbers == [7])
