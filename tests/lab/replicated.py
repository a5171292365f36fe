"""So1s with three replicas of each service, of which a test knows who leads."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Select, select

from so1s.blocking import wait_for
from so1s.store import Store
from so1s.store.tables import leases
from so1s_lab.installation import Installation
from so1s_lab.platform import ClusterPlan
from so1s_lab.ports import any_port
from so1s_local.process import Process, Unit
from so1s_local.units import answers
from tests.lab.cluster import InCluster

TWINS = (1, 2)
"""Beside the first of each service."""
_INSTANCE = "SO1S_INSTANCE"


class Replicated(ClusterPlan):
    """Three pods of each service, each of which runs while its file is there."""

    def services(self) -> list[Unit]:
        first = super().services()
        units = [*first, *(self._twin(unit, number) for unit in first for number in TWINS)]
        return [replace(unit, requires=self._wanted(unit.name)) for unit in units]

    def _twin(self, unit: Unit, number: int) -> Unit:
        port = any_port()
        own = {_INSTANCE: f"{unit.name}-{number}", "SO1S_HTTP_PORT": str(port)}
        ready = answers(f"http://127.0.0.1:{port}/readyz")
        environment = unit.environment | own
        return replace(unit, name=f"{unit.name}-{number}", environment=environment, ready=ready)

    def _wanted(self, name: str) -> Path:
        file = self.state_dir / "wanted" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        return file


class Replicas:
    """The replicas of a platform's services, by the names that they have in their databases."""

    def __init__(self, platform: InCluster, installation: Installation) -> None:
        self._platform = platform
        self._world = installation.world
        self._dead: dict[str, str] = {}
        """Who led each service when it was killed."""

    @property
    def bereaved(self) -> set[str]:
        """The services whose leader was killed."""
        return {*self._dead}

    def kill_leader(self, service: str) -> None:
        """Kill the replica that holds the lease of its service; it stays dead."""
        (leader,) = self._leader(service)
        self._dead[service] = leader
        self.kill(leader)

    def kill(self, *instances: str) -> None:
        """Kill replicas, which stay dead."""
        for process in self._processes():
            wanted = process.unit.requires
            if process.unit.environment[_INSTANCE] in instances and wanted.exists():
                wanted.unlink()
                if pid := process.pid:  # none where it is dead already
                    os.kill(pid, signal.SIGKILL)

    def have_successors(self) -> bool:
        """Whether each service is led by another replica than the one that was killed."""
        return all(self._leader(service) not in ([], [killed]) for service, killed in self._dead.items())

    def living(self) -> dict[str, str]:
        """Where each service answers that has a replica which was not killed."""
        of_living = (each.unit.environment for each in self._processes() if each.unit.requires.exists())
        ports = {said[_INSTANCE].rpartition("-")[0]: said["SO1S_HTTP_PORT"] for said in of_living}
        return {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}

    def rows(self, service: str, query: Select[Any]) -> list[Any]:
        """What a service's own database answers."""
        return wait_for(self._rows(service, query))

    def _processes(self) -> list[Process]:
        """Those of services."""
        every = self._platform.supervisor.processes.values()
        return [each for each in every if _INSTANCE in each.unit.environment]

    def _leader(self, service: str) -> list[str]:
        found = self.rows(service, select(leases.c.holder).where(leases.c.name == "leader"))
        return [holder for (holder,) in found]

    async def _rows(self, service: str, query: Select[Any]) -> list[Any]:
        schema = self._world.services[service]["database_schema"]
        store = Store(self._world.common["database_url"], producer=service, schema=schema)
        try:
            async with store.read() as connection:
                return list((await connection.execute(query)).all())
        finally:
            await store.close()
