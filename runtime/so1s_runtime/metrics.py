"""Every metric of the server, in one place, in Prometheus' base units."""

from collections.abc import Callable
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from so1s_runtime.manifest import Manifest

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

# From a small forest (a third of a millisecond) to the largest sensible time limit.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


disable_created_metrics()  # a second series for each counter, which nobody reads


class Metrics:
    """The metrics of one server; `in_flight` tells the requests in work or waiting."""

    def __init__(self, manifest: Manifest, in_flight: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        # By path template and HTTP status; route `other` is any path that is not served.
        self._requests = Counter("http_requests", "Requests answered", ["route", "status"], registry=registry)
        # From the request's headers to the end of the answer.
        self._duration = Histogram(
            "http_request_duration_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=registry
        )
        # Looked up once: to find a metric by its labels takes longer than to count.
        self._of = cache(self._counted_by)
        # What the concurrency limit counts.
        waiting = Gauge("http_requests_in_flight", "Inference requests in work or waiting", registry=registry)
        waiting.set_function(in_flight)
        # By outcome, written or dropped: what was asked and answered, where a sink for it is named.
        self._payloads = Counter("payloads", "Payloads for the sink", ["outcome"], registry=registry)
        # Reading the model and the warm-up call; 0 until the model is ready.
        self.model_load_seconds = Gauge("model_load_seconds", "Time to load the model", registry=registry)
        # Always 1; the labels say what is served.
        labels = {"name": manifest.name, "version": manifest.version, "format": manifest.format}
        Gauge("model_info", "The served model", labels, registry=registry).labels(**labels).set(1)
        # process_cpu_seconds_total, process_resident_memory_bytes, python_info, python_gc_…
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        requests, duration = self._of(route, status)
        requests.inc()
        duration.observe(seconds)

    def payloads(self, outcome: str, number: int) -> None:
        """Count what became of some payloads."""
        self._payloads.labels(outcome).inc(number)

    def _counted_by(self, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(route, status), self._duration.labels(route)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
