"""What a cluster's Prometheus scrapes: replicas, what their containers use, and the gateway.

Debian's Prometheus is built without Kubernetes' service discovery: `python -m so1s_lab.discovery KUBECONFIG
FILE` watches pods in its place, and writes a file of targets.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from so1s.kubernetes import connect
from so1s.kubernetes.labels import DEPLOYED
from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from so1s_lab.manifests import Manifest
from so1s_lab.node import Node
from so1s_local.process import Unit, python

GATEWAY_JOB = "istio-gateway"
_PORT = 8080
"""Of a replica's server."""


class PodDiscovery:
    """Keeps a file of the running replicas, as Prometheus reads it."""

    name = "pod-discovery"
    version = "-"

    def __init__(self, directory: Path, control_plane: ControlPlane) -> None:
        self.targets = directory / "replicas.json"
        self._kubeconfig = control_plane.kubeconfig

    def prepare(self) -> None:
        """Nothing is there yet."""
        self.targets.unlink(missing_ok=True)

    def unit(self) -> Unit:
        """Ready once it has written the file."""
        return Unit(
            self.name,
            python("so1s_lab.discovery", str(self._kubeconfig), str(self.targets)),
            _is_there(self.targets),
        )


def jobs(control_plane: ControlPlane, node: Node, istio: Istio, replicas: Path) -> list[Manifest]:
    """Prometheus' `scrape_configs`.

    Args:
        control_plane: whose authority the kubelet trusts.
        node: whose containers are measured.
        istio: whose gateway is.
        replicas: the file of a `PodDiscovery`.
    """
    return [
        {
            "job_name": "so1s-replicas",
            "file_sd_configs": [{"files": [str(replicas)], "refresh_interval": "1s"}],
        },
        _containers(control_plane, node),
        {
            "job_name": GATEWAY_JOB,
            "metrics_path": "/stats/prometheus",
            "static_configs": [{"targets": [urlsplit(istio.admin_url).netloc]}],
        },
    ]


def _containers(control_plane: ControlPlane, node: Node) -> Manifest:
    client = control_plane.server.authority.client("prometheus", group="system:masters")
    return {
        "job_name": "cadvisor",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        "static_configs": [{"targets": [node.address]}],
        "tls_config": {
            "cert_file": str(client.certificate),
            "key_file": str(client.key),
            "insecure_skip_verify": True,  # a kubelet signs its own certificate
        },
    }


_PAUSE_SECONDS = 0.5


def _is_there(file: Path) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return await asyncio.to_thread(file.exists)

    return ready


def targets(pods: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The running replicas in the format of `file_sd_configs`, with the labels of Kubernetes' discovery."""
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{_PORT}"],
            "labels": {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]},
        }
        for pod in pods
        if pod["status"].get("phase") == "Running" and "podIP" in pod["status"]
    ]


async def follow(kubeconfig: Path, file: Path) -> None:
    """Write the targets after each change, until cancelled."""
    changed = asyncio.Event()
    async with connect(kubeconfig) as api, api.mirror("v1", "Pod", label_selector=DEPLOYED) as pods:
        pods.on_change(changed.set)
        while True:
            changed.clear()
            beside = file.with_suffix(".new")
            beside.write_text(json.dumps(targets(pods.objects.values())))
            beside.replace(file)
            await changed.wait()
            await asyncio.sleep(_PAUSE_SECONDS)  # a rollout is many changes, and Prometheus looks each second


if __name__ == "__main__":
    asyncio.run(follow(Path(sys.argv[1]), Path(sys.argv[2])))
