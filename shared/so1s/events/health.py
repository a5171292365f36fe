"""Health: how a variant fares."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from so1s.events.deployment import Count
from so1s.events.event import Event
from so1s.events.names import Name, Version

Milliseconds = Annotated[float, Field(ge=0)]


class HealthSampled(Event, key=("account", "endpoint", "variant"), partitions=24, retention_days=2):
    """One variant of an endpoint in one window, as the gateway saw it."""

    endpoint: Name
    variant: Name
    model: Name
    version: Version
    window_start: AwareDatetime
    window_seconds: Annotated[int, Field(ge=1, le=3600)]
    requests: Count
    errors: Count
    """Answers of 5xx, and requests that got none."""
    latency_p50_ms: Milliseconds | None
    latency_p90_ms: Milliseconds | None
    latency_p99_ms: Milliseconds | None
    replicas_ready: Count
    replicas_desired: Count
    restarts: Count
    """Of all replicas, since the deployment began."""
