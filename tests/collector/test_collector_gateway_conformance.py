"""The `GatewayMetrics` of a laptop's Envoy; that of a cluster is asked in the lab."""

import httpx
import pytest

from services.collector.adapters.metrics_envoy import EnvoyMetrics
from tests.collector.cluster import START_MS
from tests.collector.gateway_conformance import (  # noqa: F401 - the port's conformance suite
    Story,
    test_a_gateway_that_begins_anew_counts_from_zero_and_it_is_told,
    test_a_gateway_that_is_away_adds_nothing_and_loses_nothing,
    test_each_request_is_counted_once_however_often_it_is_looked,
    test_no_counter_of_a_reading_falls_but_where_the_reading_says_that_it_was_reset,
    test_what_was_counted_before_the_first_look_is_counted,
)


class EnvoyAdmin:
    """Envoy's admin interface, as it answers at a second."""

    begin_ms = START_MS

    def __init__(self) -> None:
        self._second = 0

    def pass_to(self, second: int) -> None:
        self._second = second

    def tell(self, story: Story) -> EnvoyMetrics:
        async def answer(_: httpx.Request) -> httpx.Response:
            if story.is_away(self._second):
                raise httpx.ConnectError("refused")
            return httpx.Response(200, text=self._exposition(story))

        http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://envoy")
        return EnvoyMetrics(http, lambda: self.begin_ms + self._second * 1000)

    def _exposition(self, story: Story) -> str:
        classes = {"2": story.answered(self._second), "5": story.failed(self._second)}
        uptime = self._second - (story.restarted if self._second >= story.restarted else 0)
        lines = ["# TYPE envoy_server_uptime gauge", f"envoy_server_uptime{{}} {uptime}"]
        lines += ["# TYPE envoy_cluster_upstream_rq_xx counter"]
        lines += [
            f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="{each}",'
            f'envoy_cluster_name="risk--fraud"}} {count}'
            for each, count in classes.items()
        ]
        return "\n".join([*lines, ""])


@pytest.fixture
def source() -> EnvoyAdmin:
    return EnvoyAdmin()
