"""Health: how a variant fares, and the gateway before all of them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

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


class GatewaySampled(Event, key=("account", "gateway"), retention_days=2):
    """Whether a gateway answered those who measure it, in one window; its account is the operator's.

    One that is down altogether serves no endpoint, and nobody can sample the health of its variants: it
    speaks for all of them.
    """

    gateway: Name
    window_start: AwareDatetime
    window_seconds: Annotated[int, Field(ge=1, le=3600)]
    scrapes: Annotated[int, Field(ge=1)]
    """How often it was asked for its counters."""
    answered: Count
    """How many of the scrapes it answered."""

    @model_validator(mode="after")
    def _answers_what_is_asked(self) -> Self:
        if self.answered > self.scrapes:
            raise ValueError(f"allowed: answered of at most scrapes, {self.scrapes}")
        return self
