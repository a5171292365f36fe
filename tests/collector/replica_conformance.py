"""What every adapter of the `ReplicaMetrics` port promises to whoever bills by it.

A module that makes a `source` runs them: replicas of which it tells, minute by minute, and its adapter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from services.collector.domain.counters import Accrual, Reading, born
from services.collector.domain.samples import CPU_MICROSECONDS, MEMORY_BYTES
from services.collector.domain.world import Replica, Running, of_replica
from services.collector.ports import ReplicaMetrics
from services.collector.scraper import Scraper
from tests.collector.cluster import MIB

MINUTES = 5
MINUTE_MS = 60_000
MOST_OVERHEAD_BYTES = 200 * MIB
"""What a server holds beside what a story says."""


@dataclass(frozen=True)
class Story:
    """What the server of one replica does."""

    spends_ms: tuple[int, ...] = (100,) * MINUTES
    """CPU time in each minute."""
    holds_mib: int = 1
    restarted: int | None = None
    """After so many minutes another server takes its place."""
    ended: int | None = None
    """After so many minutes the replica is no more."""


class Source(Protocol):
    """An adapter, and the clock and the replicas that it sees."""

    begin_ms: int
    unsure_us: int
    """To so much CPU time the adapter can know what was used."""

    def tell(self, *stories: Story) -> None:
        """Begin: the replicas are `u1`, `u2` and so on."""

    def metrics(self) -> ReplicaMetrics:
        """As a collector has it that starts now."""
        ...

    def pass_to(self, minute: int) -> Mapping[str, Replica]:
        """Let time pass; answers the replicas, as they are known then."""
        ...

    def used_us(self, uid: str) -> int:
        """The CPU time that a replica used until now, by its own account."""
        ...


class NoGateway:
    """GatewayMetrics of which nothing is known."""

    async def read(self, *_: object) -> Mapping[str, Reading]:
        return {}


class Collected:
    """What a collector makes of the stories, that looks at the end of the given minutes."""

    def __init__(self, source: Source) -> None:
        self._source, self._scraper = source, Scraper(NoGateway(), source.metrics())

    async def look(self, *minutes: int) -> Accrual:
        """Look, and answer what accrued of the first replica."""
        for minute in minutes:
            running = Running(self._source.pass_to(minute), {})
            await self._scraper.scrape(running, self._source.begin_ms + minute * MINUTE_MS)
        return self.of("u1")

    def of(self, uid: str) -> Accrual:
        return self._scraper.accrual(of_replica(uid), born(self._source.begin_ms))

    def followed_by_another(self) -> "Collected":
        """A collector that starts now, and knows what the store does."""
        other = Collected(self._source)
        other._scraper.resume({of_replica("u1"): self.of("u1").last})
        return other


def is_all(source: Source, accrual: Accrual, uid: str = "u1", before_us: int = 0) -> bool:
    """Whether what accrued is what was used, no more and no less, as far as the adapter can know."""
    used_us = source.used_us(uid) - before_us
    return abs(accrual.increases[CPU_MICROSECONDS] - used_us) <= source.unsure_us


async def test_the_cpu_time_of_a_replica_is_counted_once_however_often_it_is_looked(source):
    source.tell(Story(spends_ms=(100, 200, 0, 300, 0)))
    accrual = await Collected(source).look(1, 2, 3, 5)
    assert is_all(source, accrual)
    assert not accrual.reset


async def test_what_was_used_before_the_first_look_is_counted(source):
    source.tell(Story(spends_ms=(300, 0, 100, 0, 0)))
    assert is_all(source, await Collected(source).look(4))


async def test_each_replica_has_its_own_cpu_time_and_memory(source):
    source.tell(Story(spends_ms=(100, 100), holds_mib=50), Story(spends_ms=(300, 200), holds_mib=250))
    collected = Collected(source)
    await collected.look(1, 2)
    for uid, holds_mib in (("u1", 50), ("u2", 250)):
        assert is_all(source, collected.of(uid), uid)
        held = collected.of(uid).last.gauges[MEMORY_BYTES] - holds_mib * MIB
        assert 0 <= held < MOST_OVERHEAD_BYTES


async def test_a_server_that_begins_anew_counts_from_zero_and_keeps_what_was_counted(source):
    source.tell(Story(spends_ms=(300, 0, 200, 100), restarted=2))
    accrual = await Collected(source).look(1, 2, 3, 4)
    assert is_all(source, accrual)


async def test_what_nobody_saw_of_a_server_that_began_anew_is_counted_or_told_of(source):
    source.tell(Story(spends_ms=(100, 300, 100, 200), restarted=2))
    accrual = await Collected(source).look(1, 4)
    assert accrual.increases[CPU_MICROSECONDS] <= source.used_us("u1") + source.unsure_us
    assert accrual.reset or is_all(source, accrual)


async def test_another_collector_goes_on_from_what_was_read_last(source):
    source.tell(Story(spends_ms=(100, 300, 0, 200)))
    first = Collected(source)
    await first.look(1, 2)
    before_us = source.used_us("u1")
    accrual = await first.followed_by_another().look(3, 4)
    assert is_all(source, accrual, before_us=before_us)
    assert not accrual.reset


async def test_after_its_end_a_replica_uses_nothing_and_loses_nothing_that_was_counted(source):
    source.tell(Story(spends_ms=(200, 100, 0, 0), ended=2))
    collected = Collected(source)
    before = await collected.look(1)
    accrual = await collected.look(3, 4)
    assert accrual.increases[CPU_MICROSECONDS] >= before.increases[CPU_MICROSECONDS]
    assert accrual.increases[CPU_MICROSECONDS] <= source.used_us("u1") + source.unsure_us
    assert accrual.last.at_ms <= source.begin_ms + 2 * MINUTE_MS


async def test_of_a_replica_that_nobody_knows_nothing_is_told(source):
    source.tell(Story())
    known = source.pass_to(1)["u1"]
    strange = replace(known, uid="u9", pid=None, pid_started_at=None, pod="strange")
    last, at_ms = {each: born(source.begin_ms) for each in ("u1", "u9")}, source.begin_ms + MINUTE_MS
    assert [*await source.metrics().read([known, strange], last, at_ms)] == ["u1"]
    assert await source.metrics().read([], last, at_ms) == {}
