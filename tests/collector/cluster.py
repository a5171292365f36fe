"""A cluster that the test moves: what runs, and what its counters say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.collector.domain.counters import Reading
from services.collector.domain.samples import CPU_MICROSECONDS, MEMORY_BYTES
from services.collector.domain.world import Deployment, Replica, Running
from so1s.errors import TemporaryError
from so1s.events.envelope import Cause

START_MS = 1_800_000_000_000
WINDOW_SECONDS = 5
MIB = 2**20

REPLICA = Replica(
    uid="u1",
    account="risk",
    deployment="fraud",
    model="fraud",
    version="3",
    user="airflow:risk_daily",
    labels={"team": "fraud-ds"},
    cpu_millicores=500,
    memory_mib=512,
    gpus=1,
    pid=1,
    pid_started_at=0.0,
    started_ms=START_MS,
    ended_ms=None,
    cause=Cause("upload-1", "chain-1", ""),
)
DEPLOYMENT = Deployment("risk", "fraud", "fraud", "3", "fraud", desired=2, ready=1, restarts=4)


@dataclass
class FakeCluster:
    """World, gateway and processes in one, moved by the test."""

    now_ms: int = START_MS
    replicas: dict[str, Replica] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    gateway: dict[str, Reading] | None = field(default_factory=dict)
    cpu: dict[str, tuple[int, str]] = field(default_factory=dict)

    def run(self, replica: Replica) -> None:
        self.replicas[replica.uid] = replica

    def end(self, uid: str, at_ms: int) -> None:
        self.replicas[uid] = replace(self.replicas[uid], ended_ms=at_ms)

    def deploy(self, deployment: Deployment) -> None:
        self.deployments[deployment.cluster] = deployment

    def remove(self, deployment: Deployment) -> None:
        """Remove a deployment, whose replicas end now."""
        del self.deployments[deployment.cluster]
        for uid, each in self.replicas.items():
            if each.cluster == deployment.cluster and each.ended_ms is None:
                self.end(uid, self.now_ms)

    def answer(self, **counters: int) -> None:
        self.gateway = {"risk--fraud": Reading(0, counters)}

    def spend(self, uid: str, microseconds: int, epoch: str = "first") -> None:
        self.cpu[uid] = (microseconds, epoch)


class FakeWorld:
    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def read(self) -> Running:
        return Running(dict(self._cluster.replicas), dict(self._cluster.deployments))


class FakeGateway:
    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def read(self, *_) -> Mapping[str, Reading]:
        if self._cluster.gateway is None:
            raise TemporaryError("the gateway is away")
        now_ms = self._cluster.now_ms
        return {name: replace(each, at_ms=now_ms) for name, each in self._cluster.gateway.items()}


class FakeProcesses:
    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def read(self, replicas: Sequence[Replica], *_) -> Mapping[str, Reading]:
        return {each.uid: self._reading(each.uid) for each in replicas if each.uid in self._cluster.cpu}

    def _reading(self, uid: str) -> Reading:
        spent, epoch = self._cluster.cpu[uid]
        return Reading(self._cluster.now_ms, {CPU_MICROSECONDS: spent}, {MEMORY_BYTES: 100 * MIB}, epoch)
