"""One deployment: its replicas rolled over and scaled, as Kubernetes' controllers do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from services.deployer.adapters.processes.autoscaler import Autoscaler
from services.deployer.adapters.processes.fleet import Fleet
from services.deployer.adapters.processes.layout import ImageProblem
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
        self.gone = False
        self._record = record
        self._parts = parts
        self._free = free
        self._changed = changed
        self._fleet = Fleet(record, parts, self._moved)
        self._trouble: Trouble | None = None
        self._broken_images: dict[str, tuple[float, Trouble]] = {}
        """By reference: when to try again, and what is wrong."""
        self._autoscaler = Autoscaler(parts, record.desired)
        self._woken = asyncio.Event()
        self._published: object = None
        self._task = asyncio.create_task(self._run())

    @property
    def replicas(self) -> Mapping[str, Replica]:
        """The deployment's replicas and its candidate's, by uid."""
        return self._fleet.replicas

    def adopt(self, record: ReplicaRecord) -> None:
        """Look after a replica that is running."""
        self._fleet.adopt(record)

    def apply(self, deployment: Deployment) -> None:
        """Aim at another state."""
        if deployment == self._fleet.applied and not self._record.retiring:
            return
        workload = deployment.workload
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
        self._fleet.aim(deployment)
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
        record, fleet = self._record, self._fleet
        candidate = fleet.candidate
        ready = [each for each in fleet.records if each.ready]
        updated = [each for each in ready if each.gated == bool(candidate) and fleet.is_current(each)]
        return Observation(
            account=record.account,
            deployment=record.deployment,
            revision=candidate.revision if candidate else record.revision,
            candidate=bool(candidate),
            desired=_size(candidate) if candidate else self._desired,
            updated=len(updated),
            ready=len(ready),
            total=len(fleet.records),
            restarts=fleet.restarts,
            service=self._parts.world.endpoints(record.account, record.deployment).as_uri(),
            url=updated[0].url if updated else "",
            outdated=0 if candidate else sum(record.takes_traffic for record in fleet.outdated()),
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
        self._fleet.forget_ended()
        if self._record.retiring:
            self._stop(self.replicas)
            self._leave_if_empty()
        elif applied := self._fleet.applied:
            staying = [*self._fleet.staying(gated=False)]
            outdated = sum(record.takes_traffic for record in self._fleet.outdated())
            await self._autoscaler.step(applied.workload, staying, outdated)
            trouble = await self._roll(applied)
            trouble_of_candidate = await self._stage(applied.candidate)
            self._judge(trouble_of_candidate if applied.candidate else trouble)
        self._publish()

    async def _roll(self, deployment: Deployment) -> Trouble | None:
        workload = deployment.workload
        plan = rollout.plan(workload.strategy, self._autoscaler.desired, self._fleet.seen(gated=False))
        trouble = self._no_room(deployment) if workload.strategy == "static" and plan.stop else None
        if not trouble:
            trouble = await self._start(plan.start, deployment) if plan.start else None
            self._stop(plan.stop)
        return trouble or self._crash_loop(gated=False)

    async def _stage(self, candidate: Deployment | None) -> Trouble | None:
        """Bring up the candidate's replicas, and end those of an earlier one."""
        plan = rollout.plan_candidate(_size(candidate) if candidate else 0, self._fleet.seen(gated=True))
        self._stop(plan.stop)
        trouble = await self._start(plan.start, candidate, gated=True) if candidate and plan.start else None
        return trouble or self._crash_loop(gated=True)

    async def _start(self, count: int, deployment: Deployment, *, gated: bool = False) -> Trouble | None:
        """Start as many replicas as there is room for; answers why some were not started."""
        if trouble := await self._prepare(deployment.workload.image.reference):
            return trouble
        resources, free = deployment.workload.resources, self._free()
        for _ in range(min(count, max(0, fitting(resources, free)))):
            self._fleet.start(deployment, gated=gated)
        refused = refusal(resources, count, free)
        hint = f"; {_STATIC_HINT}" if self._fleet.outdated() and not gated else ""
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
        old = self._fleet.outdated()
        room = self._free().plus(record.resources for record in old)
        new = sum(self._fleet.is_current(each.record) for each in self._fleet.staying(gated=False))
        refused = refusal(deployment.workload.resources, self._autoscaler.desired - new, room)
        return Trouble("no_capacity", refused) if refused and old else None

    def _crash_loop(self, *, gated: bool) -> Trouble | None:
        limit = self._parts.options.crash_loop_failures
        for replica in self._fleet.staying(gated=gated):
            is_current = self._fleet.is_current(replica.record)
            if replica.failures >= limit and is_current and not replica.record.ready_at:
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
        urls = self._fleet.told_to_mesh()
        if (record, urls) == self._published:
            return
        self._published = (record, urls)
        self._parts.world.write_endpoints(record.account, record.deployment, urls)
        self._parts.world.write_deployment(record)

    @property
    def _desired(self) -> int:
        """Of the deployment itself, its candidate aside."""
        return 0 if self._record.retiring else self._autoscaler.desired


def _size(candidate: Deployment) -> int:
    """How many replicas a candidate has: what a rolling update starts at first."""
    return rollout.surge(candidate.workload.scaling.min_replicas)
