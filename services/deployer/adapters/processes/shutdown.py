"""Ends the replicas of a machine that is to rest: `make down`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from services.deployer.adapters.processes.launcher import WORLD_VARIABLE
from services.deployer.adapters.processes.options import Options
from services.deployer.adapters.processes.process import sessions_with
from services.deployer.adapters.processes.world import World

_KILL_SECONDS = 5.0
"""How long the kernel may take to end a process; then it hangs in a device, and nothing helps."""


async def end_all(options: Options) -> int:
    """End every replica of a world whose deployer does not run; answers how many processes there were.

    The deployments stay recorded: a deployer that starts again starts their replicas anew.
    """
    world = World(options.world)
    processes = await asyncio.to_thread(sessions_with, WORLD_VARIABLE, str(world.root))
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + options.grace_seconds
    for process in processes:
        if not await process.ended_within(deadline - time.monotonic()):
            process.kill()
            await process.ended_within(_KILL_SECONDS)
    _record(world)
    return len(processes)


def _record(world: World) -> None:
    for record in world.replicas():
        if not record.ended_at:
            world.write_replica(record.ended(datetime.now(UTC)))
    for deployment in world.deployments():
        world.write_deployment(deployment.model_copy(update={"ready": 0}))
        world.write_endpoints(deployment.account, deployment.deployment, [])
