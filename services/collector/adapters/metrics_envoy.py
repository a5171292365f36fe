"""What Envoy counted, from its admin interface.

https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats
`upstream_rq_xx` counts each request once, by the class of its final answer: neither retries nor health
checks, but also the 503 and 504 that Envoy gives where no replica answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from services.collector.domain.counters import Reading
from services.collector.domain.samples import ERRORS, REQUESTS, bucket
from so1s.errors import TemporaryError

_FILTER = r"^cluster\.[^.]+\.upstream_rq_([1-5]xx|time)$|^server\.uptime$"
_UPTIME = "uptime_seconds"


class EnvoyMetrics:
    """GatewayMetrics of one Envoy; a cluster bears the name `ACCOUNT--DEPLOYMENT`."""

    def __init__(self, admin: httpx.AsyncClient, now_ms: Callable[[], int]) -> None:
        self._admin = admin
        self._now_ms = now_ms

    async def read(self, *_: object) -> Mapping[str, Reading]:
        """Scrape the counters of all clusters, as they are now.

        Raises:
            TemporaryError: Envoy does not answer.
        """
        try:
            answer = await self._admin.get("/stats/prometheus", params={"filter": _FILTER})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise TemporaryError(f"Envoy's admin interface does not answer: {error!r}") from error
        return parse(answer.text, self._now_ms())


def parse(exposition: str, at_ms: int) -> dict[str, Reading]:
    """Read Prometheus' text format: the counters of each cluster, by its name.

    Envoy's uptime is among them: where it fell, all of them began anew.
    """
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    uptime = next((int(sample.value) for sample in samples if sample.name == "envoy_server_uptime"), 0)
    clusters: dict[str, dict[str, int]] = {}
    for cluster, counter, value in _counters(samples):
        counters = clusters.setdefault(cluster, {_UPTIME: uptime})
        counters[counter] = counters.get(counter, 0) + value
    return {cluster: Reading(at_ms, counters) for cluster, counters in clusters.items()}


def _counters(samples: Iterable[Sample]) -> Iterator[tuple[str, str, int]]:
    for sample in samples:
        cluster = sample.labels.get("envoy_cluster_name", "")
        if sample.name == "envoy_cluster_upstream_rq_xx_total":  # the parser's suffix of a counter
            yield cluster, REQUESTS, int(sample.value)
            if sample.labels["envoy_response_code_class"] == "5":
                yield cluster, ERRORS, int(sample.value)
        elif sample.name == "envoy_cluster_upstream_rq_time_bucket":
            yield cluster, bucket(float(sample.labels["le"])), int(sample.value)
