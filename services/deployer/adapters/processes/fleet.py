"""The replicas of one deployment: which are there, which are as they are to be, which serve."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from services.deployer.adapters.processes.new_replica import new_record, same_process
from services.deployer.adapters.processes.replica import Parts, Replica
from services.deployer.adapters.processes.world import DeploymentRecord, ReplicaRecord
from services.deployer.domain import rollout
from services.deployer.domain.template import template
from services.deployer.ports import Deployment


class Fleet:
    """A deployment's replicas, and its candidate's: those are gated, and no mesh learns of them."""

    def __init__(self, record: DeploymentRecord, parts: Parts, moved: Callable[[], None]) -> None:
        """Begin with no replica.

        Args:
            record: of the deployment, as an earlier deployer left it.
            parts: shared ones.
            moved: called after each change of a replica.
        """
        self.replicas: dict[str, Replica] = {}
        """By uid."""
        self.applied: Deployment | None = None
        """Until it is known, replicas are kept as they are."""
        self._left_revision = record.revision
        self._restarts_of_ended = record.restarts
        self._parts = parts
        self._moved = moved
        self._in_mesh_since: dict[str, float] = {}
        """By uid: when the mesh was told of a replica, by the monotonic clock."""

    @property
    def candidate(self) -> Deployment | None:
        """What is brought up beside the deployment, if anything is."""
        return self.applied.candidate if self.applied else None

    @property
    def records(self) -> list[ReplicaRecord]:
        """Of all replicas."""
        return [replica.record for replica in self.replicas.values()]

    @property
    def restarts(self) -> int:
        """Of all replicas, since the deployment began."""
        return self._restarts_of_ended + sum(record.restarts for record in self.records)

    def adopt(self, record: ReplicaRecord) -> None:
        """Look after a replica that is running; the deployment's record counts its restarts, too."""
        self._restarts_of_ended = max(0, self._restarts_of_ended - record.restarts)
        self._look_after(record)

    def start(self, deployment: Deployment, *, gated: bool) -> None:
        """Start one replica more."""
        self._look_after(new_record(deployment, gated=gated))

    def aim(self, deployment: Deployment) -> None:
        """Learn what replicas are to be; those whose process would be the same one become so at once."""
        self.applied = deployment
        candidate = deployment.candidate
        for replica in [*self.staying(gated=False), *self.staying(gated=True)]:
            if replica.record.template == template(deployment.workload):
                replica.relabel(**same_process(deployment), gated=False)
            elif candidate and replica.record.gated and self.is_current(replica.record):
                replica.relabel(**same_process(candidate))

    def staying(self, *, gated: bool) -> Iterator[Replica]:
        """The replicas that are not told to end."""
        replicas = (each for each in self.replicas.values() if not each.record.leaving_at)
        return (each for each in replicas if each.record.gated == gated)

    def outdated(self) -> list[ReplicaRecord]:
        """The deployment's replicas that another one is to take the place of."""
        return [each.record for each in self.staying(gated=False) if not self.is_current(each.record)]

    def is_current(self, record: ReplicaRecord) -> bool:
        """Whether it is made as it is to be: as the candidate, if it takes no traffic."""
        target = self.candidate if record.gated else self.applied
        if target or record.gated:
            return bool(target) and record.template == template(target.workload)
        return record.revision == self._left_revision

    def seen(self, *, gated: bool) -> list[rollout.Replica]:
        """What a rollout needs to know."""
        return [
            rollout.Replica(
                uid=record.uid,
                current=self.is_current(record),
                ready=self._is_available(record),
                ending=record.leaving_at is not None,
                started_at=record.started_at.timestamp(),
            )
            for record in self.records
            if record.gated == gated
        ]

    def told_to_mesh(self) -> list[str]:
        """The addresses that the mesh is to know, sorted; it is taken to be told of them now."""
        serving = [record for record in self.records if record.takes_traffic]
        now, since = time.monotonic(), self._in_mesh_since
        self._in_mesh_since = {record.uid: since.get(record.uid, now) for record in serving}
        return sorted(record.url for record in serving)

    def forget_ended(self) -> None:
        """Let go of replicas that have ended."""
        for uid, replica in list(self.replicas.items()):
            if replica.record.ended_at:
                self._restarts_of_ended += replica.record.restarts
                del self.replicas[uid]

    def _look_after(self, record: ReplicaRecord) -> None:
        self.replicas[record.uid] = Replica(record, self._parts, self._moved)

    def _is_available(self, record: ReplicaRecord) -> bool:
        """Whether it is ready, and the mesh, where it is told of it, has had time to find that out."""
        known_for = time.monotonic() - self._in_mesh_since.get(record.uid, math.inf)
        return record.ready and (record.gated or known_for >= self._parts.options.min_ready_seconds)
