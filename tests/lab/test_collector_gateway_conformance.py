"""The `GatewayMetrics` of a cluster, by either dialect, on a real Prometheus."""

from contextlib import AsyncExitStack, ExitStack

import httpx
import pytest

from services.collector.adapters.metrics_prometheus import ENVOY, ISTIO, Dialect, PrometheusGateway
from services.collector.adapters.prometheus.api import Prometheus
from services.collector.adapters.prometheus.history import History
from tests.collector.gateway_conformance import (  # noqa: F401 - the port's conformance suite
    MINUTES,
    Story,
    test_a_gateway_that_begins_anew_counts_from_zero_and_it_is_told,
    test_a_gateway_that_is_away_adds_nothing_and_loses_nothing,
    test_each_request_is_counted_once_however_often_it_is_looked,
    test_no_counter_of_a_reading_falls_but_where_the_reading_says_that_it_was_reset,
    test_what_was_counted_before_the_first_look_is_counted,
)
from tests.lab.history import BEGIN, FRESHNESS, HOST, UP, requests
from tests.lab.missing import skipped_where_missing
from tests.lab.recorded import Values, recorded

SERIES = {
    "istio": (ISTIO, requests(code=200), requests(code=503)),
    "envoy": (
        ENVOY,
        f'envoy_cluster_upstream_rq{{response_code_class="2xx",cluster_name="outbound|80||{HOST}"}}',
        f'envoy_cluster_upstream_rq{{response_code_class="5xx",cluster_name="outbound|80||{HOST}"}}',
    ),
}


class Recorded:
    """A Prometheus that scraped the whole story."""

    begin_ms = BEGIN * 1000

    def __init__(self, dialect: Dialect, answered: str, failed: str) -> None:
        self._dialect, self._answered, self._failed = dialect, answered, failed
        self._servers, self._clients = ExitStack(), AsyncExitStack()

    def pass_to(self, second: int) -> None:
        """It knows the past, whatever the time is."""

    def tell(self, story: Story) -> PrometheusGateway:
        def scraped(count: Values) -> Values:
            return lambda second: None if story.is_away(second) else count(second)

        series: dict[str, Values] = {
            UP: lambda second: 0 if story.is_away(second) else 1,
            self._answered: scraped(story.answered),
            self._failed: scraped(story.failed),
        }
        with skipped_where_missing():
            prometheus = self._servers.enter_context(recorded(series, BEGIN, MINUTES * 60))
        http = httpx.AsyncClient(base_url=prometheus.url, trust_env=False)
        self._clients.push_async_callback(http.aclose)
        history = History(Prometheus(http), FRESHNESS)
        return PrometheusGateway(history, self._dialect, up='up{job="gateway"}', namespace_prefix="so1s-")

    async def close(self) -> None:
        await self._clients.aclose()
        self._servers.close()


@pytest.fixture(params=SERIES)
async def source(request):
    made = Recorded(*SERIES[request.param])
    yield made
    await made.close()
