"""An installation of So1s on the lab's parts: what its services are told, what its operator makes first."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from so1s.kubernetes import connect
from so1s_lab.control_plane import ControlPlane
from so1s_lab.discovery import GATEWAY_JOB
from so1s_lab.istio import Istio
from so1s_lab.manifests import Manifest
from so1s_lab.manifests import namespace as namespace_manifest
from so1s_lab.node import Node
from so1s_lab.platform import Told, World
from so1s_lab.postgres import Postgres
from so1s_lab.prometheus import Prometheus
from so1s_lab.registry import Registry
from so1s_lab.s3 import S3

SYSTEM = "so1s-system"
"""The namespace where an operator puts So1s itself."""
_MANAGER = "lab"
_SMALL = {"cpu_millicores": 50, "memory_mib": 256}
"""Of a replica that says nothing else: the node has the cores of one machine."""


@dataclass(frozen=True)
class Parts:
    """What an installation leans on."""

    kafka: str
    """Bootstrap servers."""
    postgres: Postgres
    s3: S3
    registry: Registry
    base_image: str
    """In the registry, by digest."""
    kubernetes: ControlPlane
    istio: Istio
    node: Node
    prometheus: Prometheus


class Installation:
    """One So1s; its name keeps it apart from others on the same parts."""

    def __init__(self, name: str, parts: Parts) -> None:
        self.name = name
        self._parts = parts
        self._bucket = f"{name}-artifacts"
        self._artifacts = f"s3://{self._bucket}/"

    @property
    def kubeconfig(self) -> Path:
        """For a client of the cluster that may do everything."""
        return self._parts.kubernetes.kubeconfig

    @property
    def _s3(self) -> Told:
        """How services and pipelines reach S3."""
        store = self._parts.s3
        return {
            "s3_endpoint_url": store.endpoint,
            "s3_region": store.region,
            "s3_access_key_id": store.access_key,
            "s3_secret_access_key": store.secret_key,
        }

    @property
    def world(self) -> World:
        """What the services are told."""
        own = {
            "builder": self._builder,
            "deployer": self._deployer,
            "router": self._router,
            "collector": self._collector,
            "console": {"artifacts": self._artifacts, **self._s3},
        }
        names = [*own, "billing", "alerter"]
        return World(
            kafka=self._parts.kafka,
            gateway=self._parts.istio.url,
            artifacts=self._artifacts,
            pipelines=self._s3,
            common={"database_url": self._parts.postgres.url},
            services={each: own.get(each, {}) | {"database_schema": f"{self.name}_{each}"} for each in names},
        )

    async def prepare(self) -> None:
        """Make a bucket, a namespace, and the Secret by which nodes pull images."""
        store = self._parts.s3
        client = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            region_name=store.region,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
        )
        client.create_bucket(Bucket=self._bucket)
        async with connect(self.kubeconfig) as api:
            await api.apply(namespace_manifest(SYSTEM), manager=_MANAGER)
            await api.apply(pull_secret(self._parts.registry), manager=_MANAGER)

    @property
    def _builder(self) -> Told:
        registry = self._parts.registry
        return {
            "artifact_prefixes": [f"{self._artifacts}{{account}}/"],
            "image_registry": f"{registry.url}/{self.name}/images",
            "image_registry_user": registry.username,
            "image_registry_password": registry.password,
            "base_image": self._parts.base_image,
            **self._s3,
        }

    @property
    def _deployer(self) -> Told:
        pool = self._parts.node.pool
        return {
            "cluster": "kubernetes",
            **self._cluster,
            "node_selector": pool.selector,
            "tolerations": pool.tolerations,
            "image_pull_secret": f"{SYSTEM}/registry",
            "default_resources": _SMALL,
        }

    @property
    def _router(self) -> Told:
        istio = self._parts.istio
        return {
            "mesh": "istio",
            "kubeconfig": self._cluster["kubeconfig"],
            "istio_namespace": SYSTEM,
            "istio_gateway": istio.gateway,
            "istio_probes": [f"127.0.0.1:{istio.port}"],
            "gateway_port": istio.port,
        }

    @property
    def _collector(self) -> Told:
        return {
            "source": "cluster",
            **self._cluster,
            "prometheus_url": self._parts.prometheus.url,
            "gateway_metrics": "envoy",  # the stock Envoy has no Istio telemetry
            "gateway_up": f'up{{job="{GATEWAY_JOB}"}}',
            "settle_seconds": 3,
            "stale_seconds": 5,
        }

    @property
    def _cluster(self) -> dict[str, Any]:
        return {"kubeconfig": str(self.kubeconfig), "namespace_prefix": f"{self.name}-"}


def pull_secret(registry: Registry) -> Manifest:
    """The Secret by which nodes pull from a registry."""
    user = f"{registry.username}:{registry.password}".encode()
    config = {"auths": {registry.host: {"auth": base64.b64encode(user).decode()}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "registry", "namespace": SYSTEM},
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
    }
