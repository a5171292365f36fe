"""Usage: what a window of time cost, in integers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from so1s.events.event import Event
from so1s.events.names import Actor, Labels, Name, Version

Meter = Literal[
    "cpu_reserved",  # millicore-milliseconds
    "cpu_used",  # millicore-milliseconds, which are microseconds of one core
    "memory_reserved",  # mebibyte-milliseconds
    "memory_used",  # mebibyte-milliseconds
    "gpu_reserved",  # GPU-milliseconds
    "requests",  # answered at the gateway
]
Quantity = Annotated[int, Field(ge=0, le=2**62)]
Quality = Literal["complete", "partial", "gap"]
"""`partial`: a counter was reset or a scrape missed; `gap`: nothing was read, used meters are absent."""


class UsageSampled(Event, key=("account", "deployment", "replica"), partitions=24, retention_days=30):
    """What one replica reserved and used in one window of the UTC grid.

    Requests are counted at the gateway, by variant: their sample's `replica` is `gateway`.
    """

    deployment: Name
    model: Name
    version: Version
    replica: Annotated[str, Field(min_length=1, max_length=63)]
    """The replica's uid, unique for ever; or `gateway`."""
    window_start: AwareDatetime
    window_seconds: Annotated[int, Field(ge=1, le=3600)]
    quantities: dict[Meter, Quantity]
    quality: Quality
    user: Actor
    labels: Labels = {}

    @model_validator(mode="after")
    def _on_the_grid(self) -> Self:
        start = self.window_start.timestamp()
        if start % self.window_seconds:
            raise ValueError(f"allowed: a window_start that is a multiple of {self.window_seconds} s of UTC")
        return self


class UsageCorrected(
    UsageSampled, key=("account", "deployment", "replica"), partitions=24, retention_days=30
):
    """A window's later, better figures; billing books the difference."""
