"""The figures of a pod that autoscalers decide on: their names, and how Prometheus finds them.

Prometheus must scrape `/metrics` of the replicas, and NVIDIA's DCGM exporter where there are GPUs, and name
each replica's `namespace` and `pod`. `python -m services.deployer.rules` writes the rules of `deploy/rules/`
from here; HorizontalPodAutoscalers and KEDA's ScaledObjects ask for what those record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from so1s.events.workload import ScalingTargets

_PODS = 'namespace!="",pod!=""'
_PREDICTIONS = f'route=~"/predict|.+/infer",{_PODS}'
"""The routes of the inference server that predict: probes and scrapes are no load."""


@dataclass(frozen=True, slots=True)
class PodMetric:
    """A figure of each pod."""

    target: str
    """The field of `scaling` that names its average."""
    name: str
    """Under which an autoscaler asks for it, and Prometheus keeps it."""
    query: Callable[[str], str]
    """In PromQL, over such a time as `1m`; its result has the labels `namespace` and `pod`."""


def wanted(targets: ScalingTargets) -> list[tuple[PodMetric, float]]:
    """Each figure that has a target, with that."""
    values = [(metric, getattr(targets, metric.target)) for metric in POD_METRICS]
    return [(metric, value) for metric, value in values if value is not None]


_IDLE = f"0 * sum by (namespace, pod) (http_requests_in_flight{{{_PODS}}})"
"""Nothing, of each pod that runs: a server counts a route's requests from the first one on."""


def _requests_per_second(over: str) -> str:
    return f"sum by (namespace, pod) (rate(http_requests_total{{{_PREDICTIONS}}}[{over}])) or {_IDLE}"


def _concurrency(over: str) -> str:
    return f"sum by (namespace, pod) (avg_over_time(http_requests_in_flight{{{_PODS}}}[{over}]))"


def _latency_milliseconds(percent: int, over: str) -> str:
    """A quantile of the time to answer; a pod that answers nothing is no reason for another one."""
    buckets = f"rate(http_request_duration_seconds_bucket{{{_PREDICTIONS}}}[{over}])"
    quantile = f"histogram_quantile({percent / 100}, sum by (namespace, pod, le) ({buckets}))"
    return f"(1000 * {quantile} >= 0) or {_IDLE}"  # a quantile of nothing is NaN, which is not at least 0


def _gpu_percent(over: str) -> str:
    """How busy a pod's GPUs are on average.

    DCGM's exporter runs in a pod of its own: where Prometheus puts that one's labels on the series, it keeps
    those of the pod that has the GPU as `exported_…`.
    """
    busy = f'avg_over_time(DCGM_FI_DEV_GPU_UTIL{{exported_pod="",{_PODS}}}[{over}])'
    renamed = f'avg_over_time(DCGM_FI_DEV_GPU_UTIL{{exported_pod!=""}}[{over}])'
    for label in ("namespace", "pod"):
        renamed = f'label_replace({renamed}, "{label}", "$1", "exported_{label}", "(.+)")'
    return f"avg by (namespace, pod) ({busy} or {renamed})"


POD_METRICS = (
    PodMetric("requests_per_second", "so1s_requests_per_second", _requests_per_second),
    PodMetric("concurrency", "so1s_concurrency", _concurrency),
    PodMetric("gpu_percent", "so1s_gpu_percent", _gpu_percent),
    PodMetric("latency_p90_ms", "so1s_latency_p90_milliseconds", partial(_latency_milliseconds, 90)),
    PodMetric("latency_p99_ms", "so1s_latency_p99_milliseconds", partial(_latency_milliseconds, 99)),
)
