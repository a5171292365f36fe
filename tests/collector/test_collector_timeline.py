import pytest

from services.collector.domain.counters import born
from services.collector.domain.steps import Cursor
from services.collector.store import advance
from services.collector.timeline import Timeline
from so1s.errors import Unreachable

WINDOW_MS = 60_000
NOON_MS = 1_800_000_000_000


class Looks:
    """Takes the moments that are looked at, until the source is away."""

    def __init__(self):
        self.moments = []
        self.away = False
        self.clock_ms = NOON_MS

    def timeline(self, store, reach_seconds=86_400.0):
        self.line = Timeline(
            store, lambda: self.clock_ms, window_seconds=60, settle_seconds=10, reach_seconds=reach_seconds
        )
        return self

    async def look(self):
        if self.away:
            raise Unreachable("Prometheus is away")
        self.moments.append((self.line.now_ms() - NOON_MS) / WINDOW_MS)

    async def until(self, minute):
        self.clock_ms = NOON_MS + minute * WINDOW_MS + 10_000
        while self.line.now_ms() < NOON_MS + minute * WINDOW_MS:
            await self.line.follow(self.look)


@pytest.fixture
def looks():
    return Looks()


@pytest.fixture
def slept(monkeypatch):
    """For how long it was slept; no time passes."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("services.collector.timeline.asyncio.sleep", sleep)
    return slept


async def sampled(store, minute):
    async with store.transaction() as tx:
        await advance(tx, "gateway/a", None, Cursor(NOON_MS + minute * WINDOW_MS, born(0)))


async def test_the_first_moment_is_the_newest_that_has_settled(store, looks):
    looks.timeline(store).clock_ms = NOON_MS + 5 * WINDOW_MS + 9_999
    await looks.line.follow(looks.look)
    assert looks.moments == [4]


async def test_each_windows_end_is_looked_at_once(store, looks):
    looks.timeline(store).clock_ms = NOON_MS + 10_000
    await looks.line.follow(looks.look)
    await looks.until(3)
    assert looks.moments == [0, 1, 2, 3]


async def test_a_start_goes_on_from_what_was_sampled(store, looks):
    await sampled(store, 2)
    await looks.timeline(store).until(5)
    assert looks.moments == [2, 3, 4, 5]


async def test_a_source_that_was_away_is_asked_for_every_moment(store, looks, slept):
    await sampled(store, 0)
    await looks.timeline(store).until(1)
    looks.away = True
    looks.clock_ms = NOON_MS + 9 * WINDOW_MS + 10_000
    for _ in range(3):
        await looks.line.follow(looks.look)
    looks.away = False
    await looks.until(4)
    assert looks.moments == [0, 1, 2, 3, 4]


async def test_what_is_out_of_reach_is_passed_over(store, looks):
    await sampled(store, 0)
    await looks.timeline(store, reach_seconds=120).until(60)
    assert looks.moments == [58, 59, 60]


async def test_what_another_collector_sampled_is_not_looked_at_again(store, looks):
    await sampled(store, 0)
    await looks.timeline(store).until(1)
    async with store.transaction() as tx:
        before = Cursor(NOON_MS, born(0))
        await advance(tx, "gateway/a", before, Cursor(NOON_MS + 7 * WINDOW_MS, born(0)))
    await looks.until(8)
    assert looks.moments == [0, 1, 7, 8]


async def test_a_moment_that_has_not_settled_is_waited_for(store, looks, slept):
    await sampled(store, 1)
    looks.timeline(store).clock_ms = NOON_MS + WINDOW_MS + 4_000
    await looks.line.follow(looks.look)
    assert slept == [6]
