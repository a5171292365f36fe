"""The metrics of a builder."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BUILDS = Counter(
    "so1s_builds_total", "Builds that ended.", ["outcome"]
)  # built, or the reason of the failure

STEP_SECONDS = Histogram(
    "so1s_build_step_seconds",
    "How long a step of a build took.",
    ["step"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)

RUNNING = Gauge("so1s_builds_running", "Builds in the hands of this replica's workers.")

SANDBOXED = Gauge("so1s_builder_sandboxed", "Whether models are tried in a sandbox: 1, or 0.")

POSTPONED = Counter("so1s_builds_postponed_total", "Builds put back into the queue by a temporary error.")

DISK_USED = Gauge(
    "so1s_builder_disk_used_bytes",
    "Libraries, unused wheels, layers of no image and work in progress on this builder's disk.",
)

EVICTED_BYTES = Counter(
    "so1s_builder_evicted_bytes_total", "Of libraries, wheels and layers that made room for others."
)
