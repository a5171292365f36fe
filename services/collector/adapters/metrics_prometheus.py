"""What gateways and replicas counted, from the Prometheus of a cluster.

A gateway's requests are Istio's telemetry, or Envoy's own statistics of its clusters; what a replica uses is
cAdvisor's, of the pod's inference server, and of its GPUs DCGM's.

https://istio.io/latest/docs/reference/config/metrics/
https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats
https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from services.collector.adapters.prometheus.api import Value, in_promql
from services.collector.adapters.prometheus.gpus import GPU_UTIL, GpuMetric, Gpus, Pod
from services.collector.adapters.prometheus.history import History, Told, by_moment, onward
from services.collector.domain.counters import Reading, Shown
from services.collector.domain.samples import CPU_MICROSECONDS, ERRORS, MEMORY_BYTES, REQUESTS, bucket
from services.collector.domain.world import Replica
from so1s.errors import TemporaryError
from so1s.kubernetes import labels

_CPU = "container_cpu_usage_seconds_total"
_MEMORY = "container_memory_working_set_bytes"
_BY_POD = "namespace, pod"
_ANSWERED = "12345"
"""The classes of answers; Istio's code 0 is a caller who left before there was one."""

Counters = dict[str, int]


@dataclass(frozen=True)
class Dialect:
    """How a gateway's metrics are called."""

    requests: str
    latencies: str
    """Buckets, in milliseconds."""
    destination: str
    """The label that names a deployment's Service."""
    code: str
    """The label whose first character is the class of the answer."""
    matchers: str
    """What tells the gateway's series from those of other proxies, in PromQL."""


ISTIO = Dialect(
    "istio_requests_total",
    "istio_request_duration_milliseconds_bucket",
    destination="destination_service",
    code="response_code",
    matchers='reporter="source"',
)
ENVOY = Dialect(  # with the labels that Istio's proxies give their statistics
    "envoy_cluster_upstream_rq",
    "envoy_cluster_upstream_rq_time_bucket",
    destination="cluster_name",
    code="response_code_class",
    matchers="",
)


class PrometheusGateway:
    """GatewayMetrics by a dialect."""

    def __init__(self, history: History, dialect: Dialect, *, up: str, namespace_prefix: str) -> None:
        """Take where and what.

        Args:
            history: of Prometheus.
            dialect: of the gateway.
            up: a PromQL selector of `up` that finds the gateway's pods.
            namespace_prefix: an account's namespace is this and its name.
        """
        self._history = history
        self._dialect = dialect
        self._up = up
        prefix = re.escape(namespace_prefix)
        # Envoy's name of a cluster ends with the Service's host: `outbound|80||fraud.so1s-risk.svc.DOMAIN`.
        self._host = re.compile(rf"(?:.*\|)?(?P<service>[^.|]+)\.{prefix}(?P<account>[^.]+)\.svc\..+")
        ours = f'{dialect.destination}=~".*[.]{in_promql(prefix)}[^.]+[.]svc[.].+"'
        matchers = ",".join(filter(None, [dialect.matchers, ours]))
        counts = f'{dialect.requests}{{{matchers},{dialect.code}!=""}}'
        self._counts = counts, f"{dialect.destination}, {dialect.code}"
        self._buckets = f"{dialect.latencies}{{{matchers}}}", f"{dialect.destination}, le"

    async def read(self, last: Mapping[str, Reading], at_ms: int) -> Mapping[str, Reading] | None:
        """What was counted until a moment, by cluster.

        Raises:
            Unreachable: Prometheus does not answer.
            TemporaryError: the gateway did not answer it.
        """
        up = await self._history.fresh(self._up, "", at_ms)
        if not up:
            return None
        if not up[0].number:
            raise TemporaryError("the gateway does not answer Prometheus")
        readings = dict(last)
        for since_ms, clusters in by_moment(last, at_ms).items():
            told = await self._told(clusters, since_ms, at_ms)
            readings |= {each: onward(last[each], at_ms, told[each]) for each in clusters}
        return readings

    async def _told(self, clusters: Iterable[str], since_ms: int, at_ms: int) -> dict[str, Told]:
        history = self._history
        account, latencies = await asyncio.gather(
            history.account(*self._counts, since_ms, at_ms, up=self._up),
            # Twenty times as many; nobody pays by them.
            history.recently(*self._buckets, since_ms, at_ms),
        )
        gained = _summed([*self._requests(account.gained), *self._latencies(latencies)])
        before, after = (_summed(self._requests(each or [])) for each in (account.before, account.after))
        reset = {self._cluster(value) for value in account.reset}
        return {
            each: Told(
                gained.get(each, {}),
                None if account.before is None else before.get(each, {}),
                Shown(account.question, after.get(each, {})),
                reset=each in reset,
                lookback_ms=history.lookback_ms,
            )
            for each in clusters
        }

    def _requests(self, values: Iterable[Value]) -> Iterator[tuple[str, str, int]]:
        for value in values:
            kind = value.labels.get(self._dialect.code, "")[:1]
            if kind and kind in _ANSWERED and (cluster := self._cluster(value)):
                yield cluster, REQUESTS, round(value.number)
                if kind == "5":
                    yield cluster, ERRORS, round(value.number)

    def _latencies(self, values: Iterable[Value]) -> Iterator[tuple[str, str, int]]:
        for value in values:
            if cluster := self._cluster(value):
                yield cluster, bucket(float(value.labels["le"])), round(value.number)

    def _cluster(self, value: Value) -> str | None:
        """The name that the collector gives a deployment's requests."""
        found = self._host.fullmatch(value.labels.get(self._dialect.destination, ""))
        return f"{found['account']}--{found['service']}" if found else None


def _summed(counted: Iterable[tuple[str, str, int]]) -> dict[str, Counters]:
    found: defaultdict[str, Counters] = defaultdict(dict)
    for cluster, counter, value in counted:
        found[cluster][counter] = found[cluster].get(counter, 0) + value
    return dict(found)


class PrometheusReplicas:
    """ReplicaMetrics by cAdvisor, and by DCGM where there are GPUs."""

    def __init__(self, history: History, *, namespace_prefix: str, gpu_metric: GpuMetric = GPU_UTIL) -> None:
        """Take where, what an account's namespace begins with, and how busy GPUs are."""
        self._history = history
        self._gpus = Gpus(history, gpu_metric, namespace_prefix=namespace_prefix)
        self._prefix = namespace_prefix
        ours = in_promql(re.escape(namespace_prefix))
        self._matchers = f'{{namespace=~"{ours}.+",container="{labels.SERVER}"}}'

    async def read(
        self, replicas: Sequence[Replica], last: Mapping[str, Reading], at_ms: int
    ) -> Mapping[str, Reading]:
        """What was used until a moment, or until the end of those that ended before.

        Raises:
            Unreachable: Prometheus does not answer.
        """
        if not replicas:
            return {}
        found = {replica.uid: replica for replica in replicas}
        fresh = _by_pod(await self._history.fresh(_CPU + self._matchers, _BY_POD, at_ms))
        readings: dict[str, Reading] = {}
        counted = {uid: last[uid] for uid in found if last[uid].counters}
        spans: dict[int | None, list[str]] = {**by_moment(counted, at_ms)}
        if begun := [uid for uid in found if uid not in counted]:
            spans[None] = begun
        for since_ms, uids in spans.items():
            used = await self._used(since_ms, min(last[uid].at_ms for uid in uids), at_ms)
            for replica in (found[uid] for uid in uids):
                pod = (f"{self._prefix}{replica.account}", replica.pod or "")
                ended = replica.ended_ms is not None and replica.ended_ms <= at_ms
                if (ended or pod in fresh) and pod in used.cpu:
                    readings[replica.uid] = used.reading(pod, last[replica.uid], replica.lived_until(at_ms))
        return await self._gpus.add_to(readings, found, last, at_ms)

    async def _used(self, since_ms: int | None, first_ms: int, at_ms: int) -> _Used:
        history = self._history
        account, memory = await asyncio.gather(
            history.account(_CPU + self._matchers, _BY_POD, since_ms, at_ms),
            history.average(_MEMORY + self._matchers, _BY_POD, first_ms, at_ms),
        )
        return _Used(
            _counters(account.gained),
            None if since_ms is None else _counters(account.before or []),
            _counters(account.after),
            account.question,
            _by_pod(memory),
            set(_by_pod(account.reset)),
            history.lookback_ms,
        )


@dataclass(frozen=True)
class _Used:
    """What pods used in a span."""

    cpu: Mapping[Pod, Counters]
    before: Mapping[Pod, Counters] | None
    """In all at the span's begin; None where they began in it."""
    after: Mapping[Pod, Counters]
    """In all at its end."""
    question: str
    """What was asked for these sums."""
    memory: Mapping[Pod, float]
    """Bytes, on average."""
    reset: set[Pod]
    lookback_ms: int

    def reading(self, pod: Pod, last: Reading, at_ms: int) -> Reading:
        """The reading of a pod that follows on its last one."""
        before = {} if self.before is None else self.before.get(pod)
        shown = Shown(self.question, self.after.get(pod, {}))
        told = Told(self.cpu[pod], before, shown, pod in self.reset, self.lookback_ms)
        gauges = {MEMORY_BYTES: round(self.memory[pod])} if pod in self.memory else {}
        return replace(onward(last, at_ms, told), gauges=gauges)


def _counters(values: Iterable[Value]) -> dict[Pod, Counters]:
    seconds = _by_pod(values)
    return {pod: {CPU_MICROSECONDS: round(number * 1_000_000)} for pod, number in seconds.items()}


def _by_pod(values: Iterable[Value]) -> dict[Pod, float]:
    return {(each.labels.get("namespace", ""), each.labels.get("pod", "")): each.number for each in values}
