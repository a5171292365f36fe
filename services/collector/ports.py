"""What the collector needs of the world, in its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.collector.domain.counters import Reading
from services.collector.domain.world import Replica, Running


class World(Protocol):
    """What runs."""

    async def read(self) -> Running:
        """Every replica and deployment.

        Replicas stay for a day after their end: so long it is asked what was counted for them.

        Raises:
            Unreachable: who knows does not answer; the moment is looked at again.
        """
        ...


class GatewayMetrics(Protocol):
    """A source of what the gateway counted."""

    async def read(self, last: Mapping[str, Reading], at_ms: int, /) -> Mapping[str, Reading] | None:
        """The counters `requests`, `errors` and latency buckets by cluster; none where nothing was answered.

        Args:
            last: the last reading of each cluster that runs, for a source that knows the past.
            at_ms: the moment that is looked at; a source that knows only the present answers for that.

        Returns:
            None where nothing is known of the moment, and nothing will be.

        Raises:
            Unreachable: who knows does not answer; the moment is looked at again.
            TemporaryError: the gateway does not answer.
        """
        ...


class ReplicaMetrics(Protocol):
    """A source of what replicas use."""

    async def read(
        self, replicas: Sequence[Replica], last: Mapping[str, Reading], at_ms: int, /
    ) -> Mapping[str, Reading]:
        """The counter `cpu_microseconds` and the gauge `memory_bytes` of each that is known, by uid.

        Where its GPUs are watched, the integral `gpu_microseconds`, too: for how long they worked since its
        last reading, all together.

        Args:
            replicas: those that lived since their last reading.
            last: that reading, by uid.
            at_ms: the moment that is looked at, as for a gateway.

        Raises:
            Unreachable: who knows does not answer; the moment is looked at again.
        """
        ...
