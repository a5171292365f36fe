"""What the collector needs of the world, in its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.collector.domain.counters import Reading
from services.collector.domain.world import Replica, Running


class World(Protocol):
    """What runs."""

    async def read(self) -> Running:
        """Every replica and deployment; replicas stay for a day after their end."""
        ...


class GatewayMetrics(Protocol):
    """A source of what the gateway counted."""

    async def read(self) -> Mapping[str, Reading]:
        """The counters `requests`, `errors` and latency buckets by cluster; none where nothing was answered.

        Raises:
            TemporaryError: the gateway does not answer.
        """
        ...


class ReplicaMetrics(Protocol):
    """A source of what replicas use."""

    async def read(self, replicas: Sequence[Replica]) -> Mapping[str, Reading]:
        """The counter `cpu_microseconds` and the gauge `memory_bytes` of each that runs, by uid."""
        ...
