"""The lab's parts, and So1s's deployer and router on them."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

import so1s
from so1s.events import DeploymentReady, DeploymentRequested, Image, Resources, Workload
from so1s.kubernetes import Api, connect
from so1s.settings import ServiceSettings
from so1s_lab import LAB_DIR
from so1s_lab.control_plane import ControlPlane
from so1s_lab.installation import SYSTEM
from so1s_lab.istio import Istio
from so1s_lab.kafka import Kafka
from so1s_lab.manifests import namespace
from so1s_lab.platform import ClusterPlan, Told, World
from so1s_lab.postgres import Postgres
from so1s_lab.runner import Runner
from so1s_local.process import Unit
from tests.load.bench.cluster.heard import Heard
from tests.load.bench.cluster.usage import Usage
from tests.scenarios.running import ACCOUNT, Running

PREFIX = "bench-"
BARE = "bare-mesh"
"""The namespace of the routes that the router does not know of."""
RESOURCES = Resources(cpu_millicores=10, memory_mib=16)
"""Small, so that a thousand replicas find room on kwok's nodes."""
_SERVICES = ("deployer", "router")


@dataclass(frozen=True)
class Parts:
    """What So1s leans on here."""

    runner: Runner
    kafka: Kafka
    postgres: Postgres
    kubernetes: ControlPlane
    istio: Istio


@dataclass(frozen=True)
class Site:
    """So1s while it runs, and how it is spoken with."""

    parts: Parts
    publisher: so1s.AsyncPublisher
    heard: Heard
    api: Api
    http: httpx.AsyncClient
    running: Running

    @property
    def gateway(self) -> str:
        """Where callers reach every endpoint."""
        return self.parts.istio.url

    @property
    def domain(self) -> str:
        """Of the hosts."""
        return self.parts.istio.domain

    def usage(self, service: str) -> Usage:
        """What a service has used so far."""
        pid = self.running.supervisor.processes[service].pid
        assert pid, f"{service} has ended"
        return Usage.of(pid)

    async def publish(self, *events: so1s.events.Event) -> None:
        """Say events, at once."""
        await asyncio.gather(*map(self.publisher.publish, events))


class _Plan(ClusterPlan):
    """A platform with nothing beside its services."""

    def embedded(self) -> list[Unit]:
        return []


@contextmanager
def started():
    """The parts, each started here and ended with the block.

    Raises:
        MissingPartError: one cannot run on this machine.
    """
    with Runner(LAB_DIR / "run" / f"bench-{os.getpid()}") as runner:
        kubernetes = ControlPlane(runner.directory("kubernetes"))
        istio = Istio(runner.directory("istio"), kubernetes)
        kafka, postgres = Kafka(runner.directory("kafka")), Postgres(runner.directory("postgres"))
        kubernetes.start(runner)
        istio.start(runner)
        runner.start(kafka, postgres)
        yield Parts(runner, kafka, postgres, kubernetes, istio)


@asynccontextmanager
async def running(parts: Parts, directory: Path, deployer: Told | None = None) -> AsyncGenerator[Site]:
    """So1s on the parts; the deployer may be told more than others would be."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(parts.kubernetes.kubeconfig))
        for name in (SYSTEM, BARE):
            await api.apply(namespace(name), manager="bench")
        platform = Running(
            directory / "cluster",
            partial(_Plan, world=_world(parts, deployer or {})),
            services={name: {} for name in _SERVICES},
        )
        stack.callback(platform.close)
        await asyncio.to_thread(platform.start)
        stack.push_async_callback(asyncio.to_thread, platform.stop)
        told = ServiceSettings(kafka=parts.kafka.bootstrap_servers)
        heard = await stack.enter_async_context(Heard(told))
        publisher = await stack.enter_async_context(so1s.AsyncPublisher(told))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        yield Site(parts, publisher, heard, api, http, platform)


def requested(
    deployment: str, endpoint: str | None = None, *, before: int = 0, **changes: Any
) -> DeploymentRequested:
    """A request for a deployment: one replica of an image that nobody has.

    Args:
        deployment: its name.
        endpoint: that it joins; its own where none is named.
        before: the revision that it has; what is said twice of one is one event.
        changes: of the workload.
    """
    digest = "sha256:" + "0" * 64
    image = Image(reference=f"registry.test/risk/fraud@{digest}", digest=digest, size_bytes=1)
    standard = {"model": "fraud", "version": "1", "image": image, "resources": RESOURCES}
    standard |= {"endpoint": endpoint or deployment, "user": "airflow:risk_daily"}
    return DeploymentRequested(
        account=ACCOUNT,
        deployment=deployment,
        workload=Workload(**standard | changes),
        expected_revision=before,
        requested_by="user:bench",
    )


def service_of(deployment: str) -> str:
    """The Service that the deployer makes for a deployment."""
    return f"k8s://{deployment}.{PREFIX}{ACCOUNT}.svc.cluster.local:80"


def became_ready(endpoint: str, service: str, deployment: str | None = None) -> DeploymentReady:
    """That an endpoint has a new variant, of its own name where none is said; others made its replicas."""
    return DeploymentReady(
        account=ACCOUNT,
        deployment=deployment or endpoint,
        revision=1,
        model="fraud",
        version="1",
        endpoint=endpoint,
        initial_percent=0,
        requires=[],
        service=service,
        url=service.replace("k8s", "http", 1),
        replicas=1,
        user="airflow:risk_daily",
        seconds=1.0,
    )


def _world(parts: Parts, more: Told) -> World:
    kubeconfig = str(parts.kubernetes.kubeconfig)
    deployer = {
        "cluster": "kubernetes",
        "kubeconfig": kubeconfig,
        "namespace_prefix": PREFIX,
        "deadline_seconds": 600,  # many at once on a loaded machine shall be measured, not given up
    } | more
    router = {
        "mesh": "istio",
        "kubeconfig": kubeconfig,
        "istio_namespace": SYSTEM,
        "istio_gateway": parts.istio.gateway,
        "istio_probes": [f"127.0.0.1:{parts.istio.port}"],
        "gateway_port": parts.istio.port,
    }
    return World(
        kafka=parts.kafka.bootstrap_servers,
        gateway=parts.istio.url,
        artifacts="s3://none/",
        pipelines={},
        common={"database_url": parts.postgres.url},
        services={
            name: told | {"database_schema": name}
            for name, told in {"deployer": deployer, "router": router}.items()
        },
    )
