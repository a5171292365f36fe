"""The figures of a pod that autoscalers decide on, and how Prometheus finds them.

Prometheus must scrape `/metrics` of the replicas and name each one's `namespace` and `pod`, at least twice
in a minute. `python -m services.deployer.rules` writes the rules of `deploy/rules/` from here.
"""

from __future__ import annotations

from dataclasses import dataclass

_OVER = "[1m]"
"""Two scrapes of half a minute: shorter would say nothing, longer would scale late."""
_PREDICTIONS = '{route=~"/predict|.+/infer",namespace!="",pod!=""}'
"""The routes of the inference server that predict: probes and scrapes are no load."""
_ANSWERED = f"sum by (namespace, pod) (rate(http_requests_total{_PREDICTIONS}{_OVER}))"


@dataclass(frozen=True, slots=True)
class PodMetric:
    """A figure of each pod, under the name by which an autoscaler asks for it."""

    name: str
    query: str
    """In PromQL; its result has the labels `namespace` and `pod`."""


def _latency(percent: int) -> PodMetric:
    """A quantile of the time to answer; a pod that answers nothing is no reason for another one."""
    buckets = f"rate(http_request_duration_seconds_bucket{_PREDICTIONS}{_OVER})"
    quantile = f"histogram_quantile({percent / 100}, sum by (namespace, pod, le) ({buckets}))"
    idle = f"0 * {_ANSWERED}"  # a quantile of nothing is NaN, which is not at least 0
    return PodMetric(f"so1s_latency_p{percent}_milliseconds", f"(1000 * {quantile} >= 0) or {idle}")


REQUESTS_PER_SECOND = PodMetric("so1s_requests_per_second", _ANSWERED)
LATENCY_P90 = _latency(90)
LATENCY_P99 = _latency(99)

POD_METRICS = (REQUESTS_PER_SECOND, LATENCY_P90, LATENCY_P99)
