from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from kubernetes_asyncio.client import CoreV1Api, V1Pod

from so1s_lab.control_plane import ControlPlane
from so1s_lab.node import PAUSE_IMAGE, Node


def _pod(node: Node) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    server = {
        "name": "server",
        "image": PAUSE_IMAGE,
        "imagePullPolicy": "Never",
        "args": [":8080"],
        "readinessProbe": probe,
        "securityContext": {"runAsNonRoot": True, "readOnlyRootFilesystem": True},
        "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}},
    }
    return {
        "metadata": {"name": "server"},
        "spec": {
            "containers": [server],
            "nodeSelector": node.pool.selector,
            "tolerations": node.pool.tolerations,
            "terminationGracePeriodSeconds": 1,
        },
    }


def _is_ready(pod: V1Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])


@pytest.fixture
async def core(kubernetes: ControlPlane) -> AsyncGenerator[CoreV1Api]:
    async with kubernetes.client() as api:
        yield CoreV1Api(api)


async def test_a_pod_on_the_real_node_runs_answers_and_shows_its_log(
    node: Node, core: CoreV1Api, namespace: str, eventually
) -> None:
    await core.create_namespaced_pod(namespace, _pod(node))

    async def ready() -> bool:
        return _is_ready(await core.read_namespaced_pod("server", namespace))

    await eventually(ready, seconds=30)
    pod = await core.read_namespaced_pod("server", namespace)
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{pod.status.pod_ip}:8080/")
    assert answer.text == "server\n"
    assert "server answers on :8080" in await core.read_namespaced_pod_log("server", namespace)
