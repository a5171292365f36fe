"""The lab's parts, each started once for the session when a test first asks for it."""

import os
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes_asyncio.client import CoreV1Api

from so1s_lab import LAB_DIR
from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from so1s_lab.kwok import NodePool, add_nodes
from so1s_lab.manifests import create
from so1s_lab.manifests import namespace as namespace_manifest
from so1s_lab.node import Node
from so1s_lab.part import Part
from so1s_lab.runner import Runner
from tests.lab.cluster import cluster_prometheus, parts  # noqa: F401 - fixtures, which a session has once
from tests.lab.missing import skipped_where_missing
from tests.lab.parts import (  # noqa: F401 - fixtures
    autoscaling_rules,
    base_image,
    kafka,
    kafka_part,
    keda,
    postgres,
    postgres_part,
    prometheus,
    prometheus_adapter,
    registry,
    s3,
    tls_registry,
)
from tests.scheduling import ByPart, begin_with

Start = Callable[..., None]


# asyncio.wait_for of Python 3.11 may lose a connection of aiokafka that is given up just as it is made. Its
# socket is told of once it is collected, in whatever test runs then.
_ANOTHERS_SOCKETS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


_OF_THE_NODE = tuple(
    f"tests/lab/test_{name}.py"
    for name in ("whole_chain", "cluster_real_servers", "three_replicas", "control_plane_node")
)
"""A machine has one real node: one of two processes has it, the other a control plane alone."""

_LONGEST = (
    *_OF_THE_NODE,
    "tests/lab/istio_mesh/",
    "tests/lab/test_istio.py",
    "tests/lab/test_service_images",
    "tests/lab/test_base_image.py",
    "tests/lab/test_autoscaling_hpa.py",
    "tests/lab/test_second_scheduler.py",
    "tests/lab/test_collector_",
    "tests/lab/test_cluster_",
    "tests/lab/test_s3_drops_serve.py",
    "tests/lab/test_registry_builds.py",
    "tests/lab/test_kafka_delivery.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    begin_with(_LONGEST, items)
    for item in items:
        apart = any(item.get_closest_marker(name) for name in ("keda", "chart", "sandbox"))
        if "tests/lab/" in item.nodeid:
            item.add_marker(_ANOTHERS_SOCKETS)
            if not apart:
                item.add_marker("lab")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPart:
    return ByPart(config, log, dict.fromkeys(_OF_THE_NODE, "node"))


@pytest.fixture(scope="session")
def lab() -> Iterator[Runner]:
    """The run that all parts of this session belong to; nothing of it may be left when it ends."""
    with Runner(LAB_DIR / "run" / f"tests-{os.getpid()}") as runner:
        yield runner
    told_of_it = [process for process in psutil.process_iter(["cmdline"]) if _names(process, runner.run_dir)]
    assert told_of_it == []


def _names(process: psutil.Process, directory: Path) -> bool:
    """Whether a process was given a file of a directory."""
    return str(directory) in " ".join(process.info["cmdline"] or [])


@pytest.fixture(scope="session")
def start(lab: Runner) -> Start:
    """Starts parts together: `start(kafka)`."""

    def start_or_skip(*together: Part) -> None:
        with skipped_where_missing():
            lab.start(*together)

    return start_or_skip


@pytest.fixture(scope="session")
def kubernetes(lab: Runner) -> ControlPlane:
    """A control plane whose standing nodes take any pod."""
    control_plane = ControlPlane(lab.directory("kubernetes"))
    with skipped_where_missing():
        control_plane.start(lab)
    return control_plane


@pytest.fixture(scope="session")
def istio(lab: Runner, kubernetes: ControlPlane) -> Istio:
    """Istio with one gateway for every host: use hosts of your own."""
    mesh = Istio(lab.directory("istio"), kubernetes)
    with skipped_where_missing():
        mesh.start(lab)
    return mesh


@pytest.fixture(scope="session")
def node(lab: Runner, kubernetes: ControlPlane, start: Start) -> Node:
    """A real kubelet, for pods that select and tolerate `node.pool`; it needs root."""
    real = Node(lab.directory("node"), kubernetes)
    start(real)
    return real


@pytest.fixture
async def namespace(kubernetes: ControlPlane, eventually) -> AsyncGenerator[str]:
    """A namespace of the test's own, ready for pods; its deletion takes seconds and is not waited for."""
    name = f"lab-{uuid.uuid4().hex[:8]}"
    async with kubernetes.client() as api:
        core = CoreV1Api(api)
        await create(api, namespace_manifest(name))
        await eventually(lambda: _has_service_account(core, name))
        yield name
        await core.delete_namespace(name)


async def _has_service_account(core: CoreV1Api, namespace: str) -> bool:
    """Pods are refused before the namespace's default account is there."""
    return bool((await core.list_namespaced_service_account(namespace)).items)


@pytest.fixture
async def kwok_nodes(kubernetes: ControlPlane) -> AsyncGenerator[Callable[..., Awaitable[NodePool]]]:
    """Makes fake nodes for the pods of this test alone: `pool = await kwok_nodes(2, gpus=4)`."""
    made: list[str] = []
    async with kubernetes.client() as api:

        async def make(count: int, *, gpus: int = 4) -> NodePool:
            pool = NodePool(f"pool-{uuid.uuid4().hex[:8]}", count, gpus)
            await add_nodes(api, pool.manifests())
            made.extend(pool.nodes)
            return pool

        yield make
        for name in made:
            await CoreV1Api(api).delete_node(name)
