"""What runs on a laptop: the directory that stands for what a cluster's API server holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import AwareDatetime, BaseModel, ValidationError

from services.collector.domain.grid import milliseconds
from services.collector.domain.world import Deployment, Replica, Running
from so1s.events import Resources
from so1s.events.envelope import Cause
from so1s.events.names import Account, Labels, Name, Version

M = TypeVar("M", bound=BaseModel)
log = structlog.get_logger()


class ReplicaRecord(BaseModel):
    """`replicas/UID.json`."""

    uid: str
    account: Account
    deployment: Name
    model: Name
    version: Version
    user: str
    labels: Labels
    resources: Resources
    pid: int | None
    pid_started_at: float | None
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    event_id: str
    correlation_id: str
    traceparent: str

    def replica(self) -> Replica:
        """The same in the collector's words."""
        shared = self.model_dump(
            include={"uid", "account", "deployment", "model", "version", "user", "labels"}
        )
        return Replica(
            **shared,
            **self.resources.model_dump(),
            pid=self.pid,
            pid_started_at=self.pid_started_at,
            started_ms=milliseconds(self.started_at),
            ended_ms=None if self.ended_at is None else milliseconds(self.ended_at),
            cause=Cause(self.event_id, self.correlation_id, self.traceparent),
        )


class DeploymentRecord(BaseModel):
    """`deployments/ACCOUNT--DEPLOYMENT.json`."""

    account: Account
    deployment: Name
    model: Name
    version: Version
    endpoint: Name | None
    desired: int
    ready: int
    restarts: int


class WorldDirectory:
    """World as files, each replaced as a whole."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def read(self) -> Running:
        """Read every record."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> Running:
        replicas = _records(self._root / "replicas", ReplicaRecord)
        deployments = _records(self._root / "deployments", DeploymentRecord)
        found = [Deployment(**record.model_dump()) for record in deployments]
        return Running(
            {record.uid: record.replica() for record in replicas},
            {deployment.cluster: deployment for deployment in found},
        )


def _records(directory: Path, model: type[M]) -> Iterator[M]:
    for path in sorted(directory.glob("[!.]*.json")):
        try:
            yield model.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            continue  # it went after the listing
        except ValidationError as error:
            # One broken record shall not stop the others from being sampled.
            log.warning("a record of the world cannot be read", file=path.name, problem=_first(error))


def _first(error: ValidationError) -> dict[str, Any]:
    detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return {"field": ".".join(map(str, detail["loc"])), "rule": detail["msg"]}
