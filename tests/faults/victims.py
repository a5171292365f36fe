"""A platform whose services die where a test wants them to."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from so1s.events import (
    DeploymentRemovalRequested,
    EndpointRemovalRequested,
    EndpointRemoved,
    RoutesRejected,
)
from so1s_local.process import Unit, python
from so1s_local.units import Plan
from tests.faults.points import Point
from tests.scenarios.running import ACCOUNT, Running, until


class CrashingPlan(Plan):
    """Services that die where a test wants them to."""

    def services(self) -> list[Unit]:
        fuses = str(self.state_dir / "fuses")
        return [
            replace(unit, command=python("tests.faults.crashing", unit.name, fuses))
            for unit in super().services()
        ]


class Victims(Running):
    """A platform whose parts can be killed."""

    def remove(self, name: str) -> None:
        """Take the endpoint of a deployment away, where it has one of its name, and let the deployment go."""
        by = {"account": ACCOUNT, "requested_by": "user:ada"}
        self.say(EndpointRemovalRequested(endpoint=name, **by))
        until(lambda: self.records(EndpointRemoved, RoutesRejected, about=f'"endpoint":"{name}"'))
        self.say(DeploymentRemovalRequested(deployment=name, **by))

    def arm(self, point: Point, model: str, *, victim: int | None = None) -> Callable[[], Any]:
        """Let the point kill, once; answers what waits for the death."""
        fuse = self.state / "fuses" / f"{point.service}.json"
        fuse.parent.mkdir(exist_ok=True)
        order = {"point": str(point), "model": model, "victim": victim}
        beside = fuse.with_suffix(".new")
        beside.write_text(json.dumps(order))
        beside.replace(fuse)
        return lambda: until(lambda: not fuse.exists(), 60)
