"""The world's files: what is there, for the collector, the mesh, and a deployer that starts again.

All are JSON, written beside their place and moved onto it, so that a reader sees a whole file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer

from services.deployer.adapters.processes.process import Process
from so1s.events import Resources

_KEPT_SECONDS = 24 * 3600
"""How long the record and the log of an ended replica stay, for readers that were away."""


def _rfc3339(time_: datetime) -> str:
    return time_.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[AwareDatetime, PlainSerializer(_rfc3339)]


class ReplicaRecord(BaseModel):
    """One replica, from its start until a day after its end."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    uid: str
    account: str
    deployment: str
    revision: int
    model: str
    version: str
    endpoint: str | None
    user: str
    labels: dict[str, str]
    resources: Resources
    url: str = ""
    pid: int | None = None
    """None while it waits for its start or restart."""
    pid_started_at: float | None = None
    started_at: Time
    ready_at: Time | None = None
    """Since when it is ready; None while it is not."""
    gated: bool = False
    """It is a candidate's, and takes no traffic however ready it is."""
    leaving_at: Time | None = None
    """Since when it takes no new traffic, on its way to its end."""
    ended_at: Time | None = None
    restarts: int = 0
    image: str
    """The reference it was started from, and is restarted from."""
    template: str
    """A digest of what makes a replica another one."""
    event_id: str
    correlation_id: str
    traceparent: str

    @property
    def process(self) -> Process | None:
        """Its process, if it has one."""
        if self.pid is None or self.pid_started_at is None:
            return None
        return Process(self.pid, self.pid_started_at)

    @property
    def ready(self) -> bool:
        """Whether it is ready and stays."""
        return bool(self.ready_at) and not self.leaving_at and not self.ended_at

    @property
    def takes_traffic(self) -> bool:
        """Whether the mesh is told of it."""
        return self.ready and not self.gated

    def ended(self, at: datetime) -> Self:
        """The record of a replica that is no more."""
        return self.model_copy(update={"pid": None, "pid_started_at": None, "ready_at": None, "ended_at": at})


class DeploymentRecord(BaseModel):
    """One deployment, for as long as it has replicas."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    account: str
    deployment: str
    revision: int
    model: str
    version: str
    endpoint: str | None
    desired: int
    ready: int = 0
    restarts: int = 0
    """Of all replicas, since the deployment began."""
    retiring: bool = False
    """It is being removed."""


class World:
    """The files under one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        for part in ("replicas", "deployments", "endpoints", "logs"):
            (self.root / part).mkdir(parents=True, exist_ok=True)

    def replicas(self) -> list[ReplicaRecord]:
        """Every replica that lives or ended within a day."""
        return [ReplicaRecord.model_validate_json(text) for text in _texts(self.root / "replicas")]

    def deployments(self) -> list[DeploymentRecord]:
        """Every deployment."""
        return [DeploymentRecord.model_validate_json(text) for text in _texts(self.root / "deployments")]

    def write_replica(self, record: ReplicaRecord) -> None:
        """Write a replica's present state."""
        _write(self._replica(record.uid), record.model_dump(mode="json"))

    def write_deployment(self, record: DeploymentRecord) -> None:
        """Write a deployment's present state."""
        _write(self._deployment(record.account, record.deployment), record.model_dump(mode="json"))

    def write_endpoints(self, account: str, deployment: str, urls: Iterable[str]) -> None:
        """Tell the mesh where a deployment's traffic goes."""
        _write(self.endpoints(account, deployment), _cluster_load_assignment(account, deployment, urls))

    def endpoints(self, account: str, deployment: str) -> Path:
        """The file that the mesh watches."""
        return self.root / "endpoints" / f"{account}--{deployment}.json"

    def log(self, uid: str) -> Path:
        """Where a replica's output goes."""
        return self.root / "logs" / f"{uid}.log"

    def last_sign_of_life(self, record: ReplicaRecord) -> datetime:
        """When a replica that is gone was surely there: its record or its log was written."""
        paths = [path for path in (self._replica(record.uid), self.log(record.uid)) if path.exists()]
        return datetime.fromtimestamp(max(path.stat().st_mtime for path in paths), UTC)

    def forget_deployment(self, account: str, deployment: str) -> None:
        """Remove the files of a deployment that has no replica any more."""
        self._deployment(account, deployment).unlink(missing_ok=True)
        self.endpoints(account, deployment).unlink(missing_ok=True)

    def prune(self) -> None:
        """Forget the replicas that ended more than a day ago."""
        horizon = time.time() - _KEPT_SECONDS
        for record in self.replicas():
            if record.ended_at and record.ended_at.timestamp() < horizon:
                for path in self.root.glob(f"logs/{record.uid}.log*"):
                    path.unlink(missing_ok=True)
                self._replica(record.uid).unlink(missing_ok=True)

    def _replica(self, uid: str) -> Path:
        return self.root / "replicas" / f"{uid}.json"

    def _deployment(self, account: str, deployment: str) -> Path:
        return self.root / "deployments" / f"{account}--{deployment}.json"


def _texts(directory: Path) -> list[str]:
    return [path.read_text() for path in sorted(directory.glob("[!.]*.json"))]


def _write(path: Path, content: object) -> None:
    temporary = path.with_name(f".{path.name}")  # hidden, so that nobody takes it for a record
    temporary.write_text(json.dumps(content, indent=1))
    temporary.replace(path)


def _cluster_load_assignment(account: str, deployment: str, urls: Iterable[str]) -> dict:
    """Envoy's endpoint discovery response (`envoy.service.discovery.v3.DiscoveryResponse`)."""
    addresses = [url.removeprefix("http://").rsplit(":", 1) for url in urls]
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
        for host, port in addresses
    ]
    return {
        "resources": [
            {
                "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": f"{account}--{deployment}",
                "endpoints": [{"lb_endpoints": endpoints}],
            }
        ]
    }
