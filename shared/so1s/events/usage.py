"""Usage: what a window of time cost, in integers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from so1s.events.event import Event
from so1s.events.names import Actor, Labels, Name, Version

ListedMeter = Literal[
    "cpu_reserved",  # millicore-milliseconds
    "cpu_used",  # millicore-milliseconds, which are microseconds of one core
    "memory_reserved",  # mebibyte-milliseconds
    "memory_used",  # mebibyte-milliseconds
    "gpu_reserved",  # GPU-milliseconds
    "requests",  # answered at the gateway
]
"""What `quantities` may name. The list is closed, as a consumer that is older than a name would refuse the
whole event: what is metered since then is a field of its own, which such a consumer ignores."""
Meter = Literal[
    ListedMeter,
    "gpu_used",  # GPU-milliseconds
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
    quantities: dict[ListedMeter, Quantity]
    gpu_used: Quantity | None = None
    """GPU-milliseconds in which its GPUs worked; null or absent where nobody measured that."""
    quality: Quality
    user: Actor
    labels: Labels = {}

    @property
    def metered(self) -> dict[Meter, int]:
        """Every quantity, by its meter."""
        return {**self.quantities, **({} if self.gpu_used is None else {"gpu_used": self.gpu_used})}

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
