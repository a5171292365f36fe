"""The router's own metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

PENDING = Gauge("so1s_router_pending_routes", "Routes that not every gateway answers with yet.")

APPLIED_SECONDS = Histogram(
    "so1s_router_applied_seconds",
    "From a decision on a route until every gateway answered with it.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

DRIFT = Counter("so1s_router_drift_total", "Routes that another hand changed, and that were restored.")

FAILING = Gauge(
    "so1s_router_failing_objects",
    "Objects of the mesh that could not be written, read or removed; each is tried again.",
)

STRANGERS = Gauge(
    "so1s_router_strangers",
    "Objects of the mesh that are kept, since the store had no endpoint when this router began.",
)
