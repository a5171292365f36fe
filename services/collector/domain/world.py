"""What runs, as the collector needs to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

    def replicas_of(self, deployment: Deployment) -> list[Replica]:
        """A deployment's replicas, oldest first."""
        name = (deployment.account, deployment.deployment)
        found = [each for each in self.replicas.values() if (each.account, each.deployment) == name]
        return sorted(found, key=lambda replica: replica.started_ms)

    def first_start_ms(self, deployment: Deployment) -> int | None:
        """When a deployment's first replica started, as far as is known."""
        found = self.replicas_of(deployment)
        return found[0].started_ms if found else None

    def __or__(self, newer: Running) -> Running:
        """This and what is newer; the newer state of a thing wins."""
        return Running({**self.replicas, **newer.replicas}, {**self.deployments, **newer.deployments})


NOTHING = Running({}, {})


def of_replica(uid: str) -> str:
    """The subject of a replica's samples."""
    return f"replica/{uid}"


def of_requests(deployment: Deployment) -> str:
    """The subject of the samples of a deployment's requests, which the gateway counts."""
    return f"gateway/{deployment.cluster}"


def of_gateway(gateway: Gateway) -> str:
    """The subject of the samples of a gateway itself."""
    return f"scrapes/{gateway.name}"
