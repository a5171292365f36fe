"""A cluster on one machine: replicas are processes, started from their images' unpacked layers.

Replicas outlive the deployer: each is a session of its own, and a record on disk names its process,
so that a deployer that starts again finds, adopts and goes on to look after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

import structlog

from services.deployer.adapters.processes import log_files, prober
from services.deployer.adapters.processes.controller import Controller
from services.deployer.adapters.processes.launcher import WORLD_VARIABLE, Launcher
from services.deployer.adapters.processes.layout import remove_leftovers
from services.deployer.adapters.processes.options import Options
from services.deployer.adapters.processes.process import sessions_with
from services.deployer.adapters.processes.replica import Parts
from services.deployer.adapters.processes.world import DeploymentRecord, ReplicaRecord, World
from services.deployer.domain.capacity import Capacity
from services.deployer.domain.observation import Observation
from services.deployer.ports import Deployment

log = structlog.get_logger()

_PRUNE_SECONDS = 3600.0


class ClusterProcesses:
    """The `Cluster` port on processes of this machine."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._world = World(options.world)
        self._launcher = Launcher(options.unpacked, self._world.root, options.server_variables)
        self._controllers: dict[tuple[str, str], Controller] = {}
        self._changed: Callable[[], None] = _nobody
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Adopt the replicas that are running, and end the processes that no record names."""
        async with contextlib.AsyncExitStack() as stack:
            http = await stack.enter_async_context(prober.client(self._options.probes.timeout_seconds))
            self._parts = Parts(self._world, self._launcher, self._options, http)
            await self._find()
            stack.callback(asyncio.create_task(self._prune()).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave every replica running."""
        await asyncio.gather(*(each.abandon() for each in self._controllers.values()))
        self._controllers.clear()
        await self._stack.aclose()

    async def apply(self, deployment: Deployment) -> None:
        """Make the deployment be as said, from now on."""
        controller = self._controllers.get((deployment.account, deployment.name))
        if controller is None or controller.gone:
            controller = self._control(_new_deployment(deployment))
        controller.apply(deployment)

    async def remove(self, account: str, name: str) -> None:
        """Drain and end every replica."""
        if controller := self._controllers.get((account, name)):
            controller.remove()

    async def observe(self) -> list[Observation]:
        """Every deployment of which anything is there."""
        self._controllers = {key: each for key, each in self._controllers.items() if not each.gone}
        return [each.observe() for each in self._controllers.values()]

    async def logs(self, account: str, name: str, lines: int) -> list[str]:
        """The last lines that the deployment's replicas wrote."""
        return await asyncio.to_thread(self._logs, account, name, lines)

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` after anything that `observe` shows has changed."""
        self._changed = changed

    def _logs(self, account: str, name: str, lines: int) -> list[str]:
        records = [
            each for each in self._world.replicas() if (each.account, each.deployment) == (account, name)
        ]
        records.sort(key=lambda record: record.started_at)
        found = [
            f"{record.uid} {line}"
            for record in records
            if (record.account, record.deployment) == (account, name)
            for line in log_files.tail(self._world.log(record.uid), lines)
        ]
        return found[-lines:]

    def _control(self, record: DeploymentRecord) -> Controller:
        controller = Controller(record, self._parts, self._free, self._notify)
        self._controllers[record.account, record.deployment] = controller
        return controller

    def _controller_of(self, replica: ReplicaRecord) -> Controller:
        """Its controller; a replica whose deployment left no record is looked after all the same."""
        known = self._controllers.get((replica.account, replica.deployment))
        return known or self._control(_deployment_of(replica))

    async def _find(self) -> None:
        remove_leftovers(self._options.unpacked)
        adopted, lost = _sorted_out(self._world)
        await asyncio.to_thread(_end_orphans, self._world, adopted)
        for record in lost:
            self._bury(record)
        for deployment in self._world.deployments():
            self._control(deployment)
        for record in adopted:
            self._controller_of(record).adopt(record)

    def _notify(self) -> None:
        self._changed()

    def _free(self) -> Capacity:
        replicas = (
            each for controller in self._controllers.values() for each in controller.replicas.values()
        )
        return self._options.capacity.less(
            each.record.resources for each in replicas if not each.record.ended_at
        )

    def _bury(self, record: ReplicaRecord) -> None:
        """Record the end of a replica that ended while nobody looked."""
        ended_at = self._world.last_sign_of_life(record)
        self._world.write_replica(
            record.model_copy(
                update={"pid": None, "pid_started_at": None, "ready_at": None, "ended_at": ended_at}
            )
        )

    async def _prune(self) -> None:
        while True:
            await asyncio.to_thread(self._world.prune)
            await asyncio.sleep(_PRUNE_SECONDS)


def _sorted_out(world: World) -> tuple[list[ReplicaRecord], list[ReplicaRecord]]:
    """The replicas that are running, and those that ended unseen."""
    living = [record for record in world.replicas() if not record.ended_at]
    running = {record.uid: bool(record.process and record.process.is_running()) for record in living}
    return (
        [record for record in living if running[record.uid]],
        [record for record in living if not running[record.uid]],
    )


def _end_orphans(world: World, adopted: list[ReplicaRecord]) -> None:
    """End what a deployer started but did not live to record."""
    known = {record.pid for record in adopted}
    for process in sessions_with(WORLD_VARIABLE, str(world.root)):
        if process.pid not in known:
            log.warning("a process of no replica is ended", pid=process.pid)
            process.kill()


def _new_deployment(deployment: Deployment) -> DeploymentRecord:
    workload = deployment.workload
    return DeploymentRecord(
        account=deployment.account,
        deployment=deployment.name,
        revision=deployment.revision,
        model=workload.model,
        version=workload.version,
        endpoint=workload.endpoint,
        desired=workload.scaling.min_replicas,
    )


def _deployment_of(replica: ReplicaRecord) -> DeploymentRecord:
    return DeploymentRecord(desired=1, **replica.model_dump(include=set(DeploymentRecord.model_fields)))


def _nobody() -> None:
    """Until somebody watches."""
