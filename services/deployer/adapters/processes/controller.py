"""One deployment: its replicas rolled over and scaled, as Kubernetes' controllers do."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable

import structlog

from services.deployer.adapters.processes.autoscaler import Autoscaler
from services.deployer.adapters.processes.layout import ImageProblem
from services.deployer.adapters.processes.new_replica import new_record, same_process, template
from services.deployer.adapters.processes.replica import Parts, Replica
from services.deployer.adapters.processes.world import DeploymentRecord, ReplicaRecord
from services.deployer.domain import rollout
from services.deployer.domain.capacity import Capacity, fitting, refusal
from services.deployer.domain.observation import Observation, Trouble
from services.deployer.ports import Deployment

log = structlog.get_logger()

_ROUND_SECONDS = 1.0
"""Between two looks where nothing has changed: for what only time changes, such as free capacity."""
_IMAGE_RETRY_SECONDS = 10.0
_STATIC_HINT = "the strategy `static` would end the old replicas first"


class Controller:
    """Brings one deployment to what was applied, and keeps it there."""

    def __init__(
        self,
        record: DeploymentRecord,
        parts: Parts,
        free: Callable[[], Capacity],
        changed: Callable[[], None],
    ) -> None:
        """Take a deployment, as new or as an earlier deployer left it.

        Args:
            record: of the deployment.
            parts: shared ones.
            free: what no replica on this machine reserves.
            changed: called after each change.
        """
        self.replicas: dict[str, Replica] = {}
        self.applied: Deployment | None = None
        """Until it is known, replicas are kept as they are."""
        self.gone = False
        self._record = record
        self._parts = parts
        self._free = free
        self._changed = changed
        self._restarts_of_ended = record.restarts
        self._trouble: Trouble | None = None
        self._broken_images: dict[str, tuple[float, Trouble]] = {}
        """By reference: when to try again, and what is wrong."""
        self._autoscaler = Autoscaler(parts, record.desired)
        self._woken = asyncio.Event()
        self._published: object = None
        self._in_mesh_since: dict[str, float] = {}
        """By uid: when the mesh was told of a replica, by the monotonic clock."""
        self._task = asyncio.create_task(self._run())

    def adopt(self, record: ReplicaRecord) -> None:
        """Look after a replica that is running."""
        self._restarts_of_ended = max(0, self._restarts_of_ended - record.restarts)
        self.replicas[record.uid] = Replica(record, self._parts, self._moved)

    def apply(self, deployment: Deployment) -> None:
        """Aim at another state."""
        if deployment == self.applied and not self._record.retiring:
            return
        workload, candidate = deployment.workload, deployment.candidate
        self.applied = deployment
        self._broken_images.clear()
        self._record = self._record.model_copy(
            update={
                "revision": deployment.revision,
                "model": workload.model,
                "version": workload.version,
                "endpoint": workload.endpoint,
                "retiring": False,
            }
        )
        for replica in [*self._staying(gated=False), *self._staying(gated=True)]:
            if replica.record.template == template(workload):
                replica.relabel(**same_process(deployment), gated=False)
            elif candidate and replica.record.gated and self._is_current(replica.record):
                replica.relabel(**same_process(candidate))
        self._moved()

    def remove(self) -> None:
        """Aim at no replica."""
        if not self._record.retiring:
            self._record = self._record.model_copy(update={"retiring": True})
            self._moved()

    async def abandon(self) -> None:
        """Look after it no longer; its replicas live on."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await asyncio.gather(*(replica.abandon() for replica in self.replicas.values()))

    def observe(self) -> Observation:
        """How the deployment is now."""
        record, candidate = self._record, self._candidate
        ready = [replica.record for replica in self.replicas.values() if replica.record.ready]
        updated = [each for each in ready if each.gated == bool(candidate) and self._is_current(each)]
        return Observation(
            account=record.account,
            deployment=record.deployment,
            revision=candidate.revision if candidate else record.revision,
            candidate=bool(candidate),
            desired=_size(candidate) if candidate else self._desired,
            updated=len(updated),
            ready=len(ready),
            total=len(self.replicas),
            restarts=self._restarts(),
            service=self._parts.world.endpoints(record.account, record.deployment).as_uri(),
            url=updated[0].url if updated else "",
            outdated=0 if candidate else sum(record.takes_traffic for record in self._outdated()),
            trouble=self._trouble,
        )

    async def _run(self) -> None:
        while not self.gone:
            self._woken.clear()
            try:
                await self._step()
            except Exception:
                log.exception("a deployment's round failed; it goes on", deployment=self._record.deployment)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ROUND_SECONDS):
                    await self._woken.wait()

    async def _step(self) -> None:
        self._forget_ended()
        if self._record.retiring:
            self._stop(self.replicas)
            self._leave_if_empty()
        elif applied := self.applied:
            await self._autoscaler.step(applied.workload, [*self._staying(gated=False)])
            trouble = await self._roll(applied)
            trouble_of_candidate = await self._stage(applied.candidate)
            self._judge(trouble_of_candidate if applied.candidate else trouble)
        self._publish()

    async def _roll(self, deployment: Deployment) -> Trouble | None:
        workload = deployment.workload
        plan = rollout.plan(workload.strategy, self._autoscaler.desired, self._seen(gated=False))
        trouble = self._no_room(deployment) if workload.strategy == "static" and plan.stop else None
        if not trouble:
            trouble = await self._start(plan.start, deployment) if plan.start else None
            self._stop(plan.stop)
        return trouble or self._crash_loop(gated=False)

    async def _stage(self, candidate: Deployment | None) -> Trouble | None:
        """Bring up the candidate's replicas, and end those of an earlier one."""
        plan = rollout.plan_candidate(_size(candidate) if candidate else 0, self._seen(gated=True))
        self._stop(plan.stop)
        trouble = await self._start(plan.start, candidate, gated=True) if candidate and plan.start else None
        return trouble or self._crash_loop(gated=True)

    async def _start(self, count: int, deployment: Deployment, *, gated: bool = False) -> Trouble | None:
        """Start as many replicas as there is room for; answers why some were not started."""
        if trouble := await self._prepare(deployment.workload.image.reference):
            return trouble
        resources, free = deployment.workload.resources, self._free()
        for _ in range(min(count, max(0, fitting(resources, free)))):
            record = new_record(deployment, gated=gated)
            self.replicas[record.uid] = Replica(record, self._parts, self._moved)
        refused = refusal(resources, count, free)
        hint = f"; {_STATIC_HINT}" if self._outdated() and not gated else ""
        return Trouble("no_capacity", refused + hint) if refused else None

    async def _prepare(self, image: str) -> Trouble | None:
        retry_at, trouble = self._broken_images.get(image, (0.0, None))
        if time.monotonic() < retry_at:
            return trouble
        try:
            await self._parts.launcher.prepare(image)
        except ImageProblem as error:
            trouble = Trouble("image", str(error))
            self._broken_images[image] = (time.monotonic() + _IMAGE_RETRY_SECONDS, trouble)
            return trouble
        return None

    def _no_room(self, deployment: Deployment) -> Trouble | None:
        """Whether the new replicas would not fit even without the old ones, which then shall stay."""
        old = self._outdated()
        room = self._free().plus(record.resources for record in old)
        new = sum(self._is_current(replica.record) for replica in self._staying(gated=False))
        refused = refusal(deployment.workload.resources, self._autoscaler.desired - new, room)
        return Trouble("no_capacity", refused) if refused and old else None

    def _crash_loop(self, *, gated: bool) -> Trouble | None:
        limit = self._parts.options.crash_loop_failures
        for replica in self._staying(gated=gated):
            if replica.failures >= limit and self._is_current(replica.record) and not replica.record.ready_at:
                return Trouble(
                    "crash_loop", f"replica {replica.record.uid} ended {replica.failures} times in a row"
                )
        return None

    def _stop(self, uids: Iterable[str]) -> None:
        """Tell the mesh first, then the replicas."""
        stopping = [self.replicas[uid] for uid in uids if not self.replicas[uid].record.leaving_at]
        for replica in stopping:
            replica.leave()
        self._publish()
        for replica in stopping:
            replica.end()

    def _forget_ended(self) -> None:
        for uid, replica in list(self.replicas.items()):
            if replica.record.ended_at:
                self._restarts_of_ended += replica.record.restarts
                del self.replicas[uid]

    def _leave_if_empty(self) -> None:
        self.gone = not self.replicas
        if self.gone:
            self._parts.world.forget_deployment(self._record.account, self._record.deployment)
            self._changed()

    def _moved(self) -> None:
        self._publish()  # at once: a round may be busy with an image while a replica dies
        self._woken.set()
        self._changed()

    def _judge(self, trouble: Trouble | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._changed()

    def _publish(self) -> None:
        """Write the deployment's files, where they have changed."""
        if self.gone:
            return
        seen = self.observe()
        record = self._record.model_copy(
            update={"desired": self._desired, "ready": seen.ready, "restarts": seen.restarts}
        )
        serving = [each.record for each in self.replicas.values() if each.record.takes_traffic]
        now, since = time.monotonic(), self._in_mesh_since
        self._in_mesh_since = {each.uid: since.get(each.uid, now) for each in serving}
        urls = sorted(each.url for each in serving)
        if (record, urls) == self._published:
            return
        self._published = (record, urls)
        self._parts.world.write_endpoints(record.account, record.deployment, urls)
        self._parts.world.write_deployment(record)

    @property
    def _candidate(self) -> Deployment | None:
        return self.applied.candidate if self.applied else None

    @property
    def _desired(self) -> int:
        """Of the deployment itself, its candidate aside."""
        return 0 if self._record.retiring else self._autoscaler.desired

    def _staying(self, *, gated: bool) -> Iterable[Replica]:
        replicas = (each for each in self.replicas.values() if not each.record.leaving_at)
        return (each for each in replicas if each.record.gated == gated)

    def _outdated(self) -> list[ReplicaRecord]:
        return [each.record for each in self._staying(gated=False) if not self._is_current(each.record)]

    def _seen(self, *, gated: bool) -> list[rollout.Replica]:
        return [
            rollout.Replica(
                uid=record.uid,
                current=self._is_current(record),
                ready=self._is_available(record),
                ending=record.leaving_at is not None,
                started_at=record.started_at.timestamp(),
            )
            for record in (
                replica.record for replica in self.replicas.values() if replica.record.gated == gated
            )
        ]

    def _is_available(self, record: ReplicaRecord) -> bool:
        """Whether it is ready, and the mesh, where it is told of it, has had time to find that out."""
        known_for = time.monotonic() - self._in_mesh_since.get(record.uid, math.inf)
        return record.ready and (record.gated or known_for >= self._parts.options.min_ready_seconds)

    def _is_current(self, record: ReplicaRecord) -> bool:
        """Whether it is made as it is to be: as the candidate, if it takes no traffic."""
        target = self._candidate if record.gated else self.applied
        if target or record.gated:
            return bool(target) and record.template == template(target.workload)
        return record.revision == self._record.revision

    def _restarts(self) -> int:
        return self._restarts_of_ended + sum(each.record.restarts for each in self.replicas.values())


def _size(candidate: Deployment) -> int:
    """How many replicas a candidate has: what a rolling update starts at first."""
    return rollout.surge(candidate.workload.scaling.min_replicas)
