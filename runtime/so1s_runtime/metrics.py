"""Every metric of the server, in one place, in Prometheus' base units."""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from so1s_runtime.manifest import Manifest

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

# From a small forest (a third of a millisecond) to the largest sensible time limit.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LIMITS = [*map(floatToGoString, _SECONDS), "+Inf"]


disable_created_metrics()  # a second series for each counter, which nobody reads


class Metrics:
    """The metrics of one server; `in_flight` tells the requests in work or waiting."""

    def __init__(self, manifest: Manifest, in_flight: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        answers = _Answers()
        registry.register(answers)
        self.answered = answers.see  # of each answer, so that a call within a call counts
        # What the concurrency limit counts.
        waiting = Gauge("http_requests_in_flight", "Inference requests in work or waiting", registry=registry)
        waiting.set_function(in_flight)
        # By outcome, written or dropped: what was asked and answered, where a sink for it is named.
        self._payloads = Counter("payloads", "Payloads for the sink", ["outcome"], registry=registry)
        # By outcome, written or dropped: requests of sampled traces, where a collector for them is named.
        self._spans = Counter("spans", "Spans for the collector", ["outcome"], registry=registry)
        # Reading the model and the warm-up call; 0 until the model is ready.
        self.model_load_seconds = Gauge("model_load_seconds", "Time to load the model", registry=registry)
        # 1 where no calls are shared; 0 until the model is ready.
        self.model_batch_rows = Gauge("model_batch_rows", "Rows of one call at most", registry=registry)
        # Always 1; the labels say what is served.
        labels = {"name": manifest.name, "version": manifest.version, "format": manifest.format}
        Gauge("model_info", "The served model", labels, registry=registry).labels(**labels).set(1)
        # process_cpu_seconds_total, process_resident_memory_bytes, python_info, python_gc_…
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def payloads(self, outcome: str, number: int) -> None:
        """Count what became of some payloads."""
        self._payloads.labels(outcome).inc(number)

    def spans(self, outcome: str, number: int) -> None:
        """Count what became of some spans."""
        self._spans.labels(outcome).inc(number)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


@dataclass(slots=True)
class _Answered:
    """The answers of one route."""

    statuses: Tally[int] = field(default_factory=Tally)
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_SECONDS) + 1))


class _Answers(Collector):
    """Counts every answer. No locks, unlike the library's own: the event loop alone has it."""

    def __init__(self) -> None:
        self._routes: dict[str, _Answered] = {}

    def see(self, route: str, status: int, seconds: float) -> None:
        """Count one answer, on the event loop."""
        answered = self._routes.get(route) or self._routes.setdefault(route, _Answered())
        answered.statuses[status] += 1
        answered.seconds += seconds
        answered.buckets[bisect_left(_SECONDS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        # By path template and HTTP status; route `other` is any path that is not served.
        requests = CounterMetricFamily("http_requests", "Requests answered", labels=["route", "status"])
        # From the request's headers to the end of the answer; a quick one's from its body to what is written.
        duration = HistogramMetricFamily("http_request_duration_seconds", "Time to answer", labels=["route"])
        for route, answered in self._routes.items():
            for status, number in answered.statuses.items():
                requests.add_metric([route, str(status)], number)
            buckets = zip(_LIMITS, accumulate(answered.buckets), strict=True)
            duration.add_metric([route], list(buckets), answered.seconds)
        yield requests
        yield duration
