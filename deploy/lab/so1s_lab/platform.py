"""So1s on the lab's cluster: its services are processes of this machine, all else is an operator's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so1s.platform import ClientSettings, Platform
from so1s_local.process import Unit
from so1s_local.settings import LocalSettings
from so1s_local.units import Plan

Told = dict[str, Any]
"""Settings of a service, by their names."""


@dataclass(frozen=True)
class World:
    """What an operator has, in the services' own words for it."""

    kafka: str
    """Bootstrap servers."""
    gateway: str
    """Where callers reach the mesh, such as `http://127.0.0.1:8080`."""
    artifacts: str
    """Where pipelines put what they upload: `s3://BUCKET/`."""
    pipelines: Told
    """What pipelines are told, beside where Kafka and the artifacts are."""
    common: Told
    """What every service is told."""
    services: dict[str, Told]
    """What one service is told beside that."""


class ClusterPlan(Plan):
    """A platform whose services lean on a cluster; the local Slack API is the only embedded part."""

    def __init__(self, settings: LocalSettings, state_dir: Path, world: World) -> None:
        super().__init__(settings, state_dir)
        self._world = world

    def platform(self) -> Platform:
        """What the command line needs to find the parts."""
        world = self._world
        found = {"kafka": world.kafka, "gateway": world.gateway, "artifacts": world.artifacts}
        return super().platform().model_copy(update=found)

    def client(self) -> ClientSettings:
        """What a pipeline on this platform is told."""
        at = self.platform()
        return ClientSettings(kafka=at.kafka, artifacts=at.artifacts, **self._world.pipelines)

    def embedded(self) -> list[Unit]:
        """The local Slack API."""
        return [self.slack()]

    def gateways(self) -> list[Unit]:
        """The mesh has its own."""
        return []

    def environment(self, service: str) -> dict[str, str]:
        """What a service is told, as its pod's environment would say it."""
        told = self._world.common | self._world.services.get(service, {})
        said = {f"SO1S_{name.upper()}": _said(value) for name, value in told.items()}
        return super().environment(service) | {"SO1S_KAFKA": self._world.kafka} | said


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
