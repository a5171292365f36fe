"""What every adapter of the `GatewayMetrics` port promises to whoever bills by it.

A module that makes a `source` runs them: a gateway of which it tells, minute by minute, and its adapter.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from services.collector.domain.counters import Accrual, Reading, born
from services.collector.domain.samples import ERRORS, REQUESTS
from services.collector.domain.world import Running, of_requests
from services.collector.ports import GatewayMetrics
from services.collector.scraper import Scraper
from tests.collector.cluster import DEPLOYMENT, REPLICA
from tests.collector.past import NoReplicas

Count = Callable[[int], int]
MINUTES = 8


@dataclass(frozen=True)
class Story:
    """What one gateway counts of `risk--fraud`, by the second since the beginning."""

    answered: Count
    failed: Count = lambda _: 0
    """With a 503; not among those that are answered."""
    restarted: int = 0
    """When it began anew."""
    away: tuple[int, int] = (0, 0)
    """Between these seconds it answers nobody."""

    def is_away(self, second: int) -> bool:
        first, last = self.away
        return first < second < last


class Source(Protocol):
    """An adapter, and the clock that it sees."""

    begin_ms: int

    def tell(self, story: Story) -> GatewayMetrics: ...

    def pass_to(self, second: int) -> None: ...


class Collected:
    """What a collector makes of a story, that looks at the end of the given minutes."""

    def __init__(self, source: Source, story: Story) -> None:
        self._source, self._scraper = source, Scraper(source.tell(story), NoReplicas())
        self._replica = replace(REPLICA, started_ms=source.begin_ms)

    async def look(self, *minutes: int) -> Accrual:
        for minute in minutes:
            self._source.pass_to(minute * 60)
            now_ms = self._source.begin_ms + minute * 60_000
            running = Running({"u1": self._replica}, {DEPLOYMENT.cluster: DEPLOYMENT})
            await self._scraper.scrape(running, now_ms)
        return self._scraper.accrual(of_requests(DEPLOYMENT.cluster), born(0))


async def test_each_request_is_counted_once_however_often_it_is_looked(source):
    collected = Collected(source, Story(lambda second: 2 * second, failed=lambda second: second))
    accrual = await collected.look(1, 2, 3, 5)
    assert (accrual.increases[REQUESTS], accrual.increases[ERRORS]) == (3 * 300, 300)
    assert not accrual.reset


async def test_what_was_counted_before_the_first_look_is_counted(source):
    collected = Collected(source, Story(lambda second: min(second, 75)))
    assert (await collected.look(4)).increases[REQUESTS] == 75


async def test_no_counter_of_a_reading_falls_but_where_the_reading_says_that_it_was_reset(source):
    collected = Collected(source, Story(lambda second: min(second, 130)))
    last: Reading = (await collected.look(1)).last
    for minute in (2, 3, 4):
        accrual = await collected.look(minute)
        assert not accrual.reset
        assert accrual.last.counters[REQUESTS] >= last.counters[REQUESTS]
        last = accrual.last


async def test_a_gateway_that_begins_anew_counts_from_zero_and_it_is_told(source):
    story = Story(lambda second: second if second < 90 else second - 90, restarted=90)
    accrual = await Collected(source, story).look(1, 2, 3)
    assert accrual.increases[REQUESTS] == 60 + 90
    assert accrual.reset


async def test_a_gateway_that_is_away_adds_nothing_and_loses_nothing(source):
    collected = Collected(source, Story(lambda second: second, away=(70, 230)))
    before = await collected.look(1)
    assert await collected.look(2, 3) == before
    after = await collected.look(4, 5)
    assert (after.increases[REQUESTS], after.reset) == (300, False)
