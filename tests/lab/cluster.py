"""So1s as it runs in a cluster, for the tests of the whole chain."""

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from so1s.blocking import wait_for
from so1s.kubernetes import connect
from so1s.platform import ClientSettings
from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from so1s_lab.node import Node
from so1s_lab.platform import ClusterPlan, World
from so1s_lab.registry import Registry
from so1s_lab.s3 import S3
from tests.scenarios.running import Running

SYSTEM = "so1s-system"
"""Where an operator puts So1s itself."""


class InCluster(Running):
    """The platform on the lab's parts."""

    def __init__(self, directory: Path, world: World, **settings: Any) -> None:
        self._world = world
        super().__init__(directory, partial(ClusterPlan, world=world), **settings)

    def start(self) -> None:
        super().start()
        builder = self._world.services["builder"]
        keys = {name: value for name, value in builder.items() if name.startswith("s3_")}
        self.client = ClientSettings(kafka=self.at.kafka, artifacts=self.at.artifacts, **keys)


@dataclass(frozen=True)
class Parts:
    """The lab's parts that a platform leans on."""

    kafka: str
    postgres: str
    s3: S3
    registry: Registry
    base_image: str
    kubernetes: ControlPlane
    istio: Istio
    node: Node


def world(parts: Parts, name: str) -> World:
    """What the services are told; `name` keeps two platforms on the same parts apart."""
    bucket = f"{name}-artifacts"
    kubeconfig = str(parts.kubernetes.kubeconfig)
    s3 = {
        "s3_endpoint_url": parts.s3.endpoint,
        "s3_region": parts.s3.region,
        "s3_access_key_id": parts.s3.access_key,
        "s3_secret_access_key": parts.s3.secret_key,
    }
    return World(
        kafka=parts.kafka,
        gateway=parts.istio.url,
        artifacts=f"s3://{bucket}/",
        common={"database_url": parts.postgres},
        services={
            "builder": {
                "artifact_prefixes": [f"s3://{bucket}/{{account}}/"],
                "image_registry": f"{parts.registry.url}/{name}/images",
                "image_registry_user": parts.registry.username,
                "image_registry_password": parts.registry.password,
                "base_image": parts.base_image,
                "database_schema": f"{name}_builder",
                **s3,
            },
            "deployer": {
                "cluster": "kubernetes",
                "kubeconfig": kubeconfig,
                "namespace_prefix": f"{name}-",
                "node_selector": parts.node.pool.selector,
                "tolerations": parts.node.pool.tolerations,
                "image_pull_secret": f"{SYSTEM}/registry",
                "database_schema": f"{name}_deployer",
            },
            "router": {
                "mesh": "istio",
                "kubeconfig": kubeconfig,
                "istio_namespace": SYSTEM,
                "istio_gateway": parts.istio.gateway,
                "istio_probes": [f"127.0.0.1:{parts.istio.port}"],
                "gateway_port": str(parts.istio.port),
                "database_schema": f"{name}_router",
            },
            **{each: {"database_schema": f"{name}_{each}"} for each in ("collector", "billing", "alerter")},
        },
    )


async def prepare(parts: Parts) -> None:
    """What an operator does before an installation: a namespace, and the Secret by which nodes pull."""
    user = f"{parts.registry.username}:{parts.registry.password}".encode()
    config = {"auths": {parts.registry.host: {"auth": base64.b64encode(user).decode()}}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "registry", "namespace": SYSTEM},
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
    }
    async with connect(parts.kubernetes.kubeconfig) as api:
        await api.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}, manager="lab"
        )
        await api.apply(secret, manager="lab")


@pytest.fixture(scope="session")
def parts(request: pytest.FixtureRequest) -> Parts:
    """Everything that a platform leans on."""
    return Parts(**{each.name: request.getfixturevalue(each.name) for each in fields(Parts)})


@pytest.fixture(scope="session")
def platform(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InCluster]:
    """So1s on the cluster; its services are processes of this machine."""
    name = f"w{uuid.uuid4().hex[:6]}"
    told = world(parts, name)
    keys = {"aws_access_key_id": parts.s3.access_key, "aws_secret_access_key": parts.s3.secret_key}
    s3 = boto3.client("s3", endpoint_url=parts.s3.endpoint, region_name=parts.s3.region, **keys)
    s3.create_bucket(Bucket=f"{name}-artifacts")
    wait_for(prepare(parts))
    running = InCluster(tmp_path_factory.mktemp("platform"), told)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.close()
