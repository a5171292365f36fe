"""The `ReplicaMetrics` of a cluster, by what cAdvisor counts, on a real Prometheus."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace

import httpx
import pytest

from services.collector.adapters.metrics_prometheus import PrometheusReplicas
from services.collector.adapters.prometheus.api import Prometheus
from services.collector.adapters.prometheus.history import History
from services.collector.domain.world import Replica
from tests.collector.cluster import MIB
from tests.collector.replica_conformance import (  # noqa: F401 - the port's conformance suite
    MINUTE_MS,
    MINUTES,
    Story,
    test_a_server_that_begins_anew_counts_from_zero_and_keeps_what_was_counted,
    test_after_its_end_a_replica_uses_nothing_and_loses_nothing_that_was_counted,
    test_another_collector_goes_on_from_what_was_read_last,
    test_each_replica_has_its_own_cpu_time_and_memory,
    test_of_a_replica_that_nobody_knows_nothing_is_told,
    test_the_cpu_time_of_a_replica_is_counted_once_however_often_it_is_looked,
    test_what_nobody_saw_of_a_server_that_began_anew_is_counted_or_told_of,
    test_what_was_used_before_the_first_look_is_counted,
)
from tests.lab.history import BEGIN, CPU, FRESHNESS, MEMORY, POD, always, between
from tests.lab.missing import skipped_where_missing
from tests.lab.recorded import Values, recorded


@dataclass(frozen=True)
class Told:
    """A replica's story, as Prometheus scraped it: a server that begins anew is another container."""

    number: int
    story: Story

    def used_us(self, until: float, since: float = 0) -> int:
        """The CPU time that was used between two minutes."""
        return sum(
            round(1000 * spent * max(0, min(until, minute + 1) - max(since, minute)))
            for minute, spent in enumerate(self.story.spends_ms)
        )

    def series(self) -> dict[str, Values]:
        ended = self.story.ended or MINUTES
        restarted = self.story.restarted or ended
        return self._server("a", 0, restarted) | self._server("b", restarted, ended)

    def _server(self, container: str, begin: int, end: int) -> dict[str, Values]:
        def spent(second: int) -> float:
            return self.used_us(second / 60, begin) / 1_000_000

        def named(series: str) -> str:
            return series.replace("fraud-1", f"fraud-{self.number}").replace('id="a"', f'id="{container}"')

        alive = {named(CPU): spent, named(MEMORY): always(self.story.holds_mib * MIB)}
        first = begin * 60 + bool(begin)
        return {name: between(values, first, end * 60) for name, values in alive.items()}

    def replica(self, minute: int) -> Replica:
        ended = self.story.ended
        ended_ms = None if ended is None or minute < ended else BEGIN * 1000 + ended * MINUTE_MS
        return replace(POD, uid=f"u{self.number}", pod=f"fraud-{self.number}", ended_ms=ended_ms)


class Recorded:
    """A Prometheus that scraped all stories."""

    begin_ms = BEGIN * 1000
    unsure_us = 0

    def __init__(self) -> None:
        self._servers, self._clients = ExitStack(), AsyncExitStack()
        self._told: dict[str, Told] = {}
        self._minute = 0

    def tell(self, *stories: Story) -> None:
        told = [Told(number, story) for number, story in enumerate(stories, start=1)]
        self._told = {f"u{each.number}": each for each in told}
        series = {name: values for each in told for name, values in each.series().items()}
        with skipped_where_missing():
            self._prometheus = self._servers.enter_context(recorded(series, BEGIN, MINUTES * 60))

    def metrics(self) -> PrometheusReplicas:
        http = httpx.AsyncClient(base_url=self._prometheus.url, trust_env=False)
        self._clients.push_async_callback(http.aclose)
        return PrometheusReplicas(History(Prometheus(http), FRESHNESS), namespace_prefix="so1s-")

    def pass_to(self, minute: int) -> Mapping[str, Replica]:
        self._minute = minute
        return {uid: told.replica(minute) for uid, told in self._told.items()}

    def used_us(self, uid: str) -> int:
        told = self._told[uid]
        return told.used_us(min(self._minute, told.story.ended or MINUTES))

    async def close(self) -> None:
        await self._clients.aclose()
        self._servers.close()


@pytest.fixture
async def source() -> AsyncIterator[Recorded]:
    made = Recorded()
    yield made
    await made.close()
