"""What runs, as the collector needs to know it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from so1s.events.envelope import Cause


@dataclass(frozen=True)
class Replica:
    """One replica, from its start until a day after its end."""

    uid: str
    account: str
    deployment: str
    model: str
    version: str
    user: str
    labels: Mapping[str, str]
    cpu_millicores: int
    memory_mib: int
    gpus: int
    pid: int | None
    """None between two processes of a replica that is restarted."""
    pid_started_at: float | None
    """Seconds since the epoch, by which a process that reuses the pid is told apart."""
    started_ms: int
    ended_ms: int | None
    cause: Cause
    """What the replica was started for."""
    pod: str | None = None
    """Its pod's name; None where it is a process of this machine."""
    restarts: int = 0
    """How many times its server was started again within its pod."""
    end_estimated: bool = False
    """It ended while nobody watched: its end is the best that is known."""

    @property
    def cluster(self) -> str:
        """The name that the gateway counts its requests under."""
        return f"{self.account}--{self.deployment}"

    def lived_until(self, at_ms: int) -> int:
        """A moment, or its end where that was before."""
        return at_ms if self.ended_ms is None else min(at_ms, self.ended_ms)


@dataclass(frozen=True)
class Deployment:
    """One deployment's state."""

    account: str
    deployment: str
    model: str
    version: str
    endpoint: str | None
    desired: int
    ready: int
    restarts: int

    @property
    def cluster(self) -> str:
        """The name that the gateway counts its requests under."""
        return f"{self.account}--{self.deployment}"


@dataclass(frozen=True)
class Variant:
    """Whose requests the gateway counts under one name: a deployment's replicas, be it removed by now."""

    replicas: Sequence[Replica]
    """Oldest first; at least one."""
    deployment: Deployment | None
    """None once it was removed."""

    @property
    def started_ms(self) -> int:
        """When its first replica started, as far as is known."""
        return self.replicas[0].started_ms

    @property
    def ended_ms(self) -> int | None:
        """When its last replica ended; None while one lives, or may be started."""
        ends = [each.ended_ms for each in self.replicas if each.ended_ms is not None]
        return None if self.deployment or len(ends) < len(self.replicas) else max(ends)


@dataclass(frozen=True)
class Gateway:
    """What all endpoints are served by."""

    account: str
    """The operator's."""
    name: str


@dataclass(frozen=True)
class Running:
    """All that runs: replicas by uid, deployments by cluster."""

    replicas: Mapping[str, Replica]
    deployments: Mapping[str, Deployment]

    @cached_property
    def variants(self) -> Mapping[str, Variant]:
        """Whose requests may have been counted, by cluster: those of all replicas that are remembered."""
        found: defaultdict[str, list[Replica]] = defaultdict(list)
        for each in sorted(self.replicas.values(), key=lambda replica: replica.started_ms):
            found[each.cluster].append(each)
        return {name: Variant(replicas, self.deployments.get(name)) for name, replicas in found.items()}


def of_replica(uid: str) -> str:
    """The subject of a replica's samples."""
    return f"replica/{uid}"


def of_requests(cluster: str) -> str:
    """The subject of the samples of the requests that the gateway counts under a name."""
    return f"gateway/{cluster}"


def of_gateway(gateway: Gateway) -> str:
    """The subject of the samples of a gateway itself."""
    return f"scrapes/{gateway.name}"
