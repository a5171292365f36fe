"""The builder's sandbox in a pod, as docs/sandbox.md says that it must be made; and what one without says."""

import base64
import json
import re
from collections.abc import AsyncGenerator, Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml
from kubernetes_asyncio.client import CoreV1Api

from so1s_lab import CHECKOUT, containerd
from so1s_lab.control_plane import ControlPlane
from so1s_lab.node import Node
from so1s_lab.registry import Registry
from so1s_lab.runner import Runner
from tests.lab.service_containers import base_layout, image

# ruff: noqa: F401, F811 - fixtures

pytestmark = pytest.mark.sandbox

LOOKS = """
import sys
from pathlib import Path
from services.builder.adapters.bubblewrap import find
found, why = find("auto", Path(sys._base_executable))
print(why or "it works")
"""


@pytest.fixture(scope="session")
def node(lab: Runner, kubernetes: ControlPlane, start) -> Node:
    """Debian's containerd gives no pod a user namespace."""
    real = Node(lab.directory("node"), kubernetes, containerd.PROGRAMS)
    start(real)
    return real


@pytest.fixture
async def core(kubernetes: ControlPlane) -> AsyncGenerator[CoreV1Api]:
    async with kubernetes.client() as api:
        yield CoreV1Api(api)


def documented() -> dict[str, Any]:
    """What a builder's pod needs, as the document has it."""
    text = (CHECKOUT / "docs/sandbox.md").read_text()
    (block,) = re.findall(r"```yaml\n(spec:.*?)```", text, re.DOTALL)
    return yaml.safe_load(block)["spec"]


@pytest.fixture
async def builder(
    core: CoreV1Api, namespace: str, registry: Registry, image: Callable[[str], str]
) -> dict[str, Any]:
    """What of a pod says that it is the builder's image, with the password to pull it."""
    password = {"auths": {registry.host: {"username": registry.username, "password": registry.password}}}
    data = {".dockerconfigjson": base64.b64encode(json.dumps(password).encode()).decode()}
    secret = {"metadata": {"name": "registry"}, "type": "kubernetes.io/dockerconfigjson", "data": data}
    await core.create_namespaced_secret(namespace, secret)
    return {
        "imagePullSecrets": [{"name": "registry"}],
        "containers": [{"image": image("builder"), "command": ["python3", "-P", "-c", LOOKS]}],
    }


@pytest.fixture
def say(core: CoreV1Api, namespace: str, node: Node, builder: dict[str, Any], eventually):
    """What the builder says of the sandbox in a pod."""

    async def run(spec: dict[str, Any]) -> str:
        (documented,), (own,) = spec["containers"], builder["containers"]
        written = {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}
        whole = {
            "restartPolicy": "Never",
            "nodeSelector": node.pool.selector,
            "tolerations": node.pool.tolerations,
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        }
        whole |= spec | builder | {"containers": [documented | own | written]}
        manifest = {"metadata": {"name": "builder"}, "spec": whole}
        await core.create_namespaced_pod(namespace, manifest)

        async def ended() -> bool:
            pod = await core.read_namespaced_pod("builder", namespace)
            return pod.status.phase in {"Succeeded", "Failed"}

        await eventually(ended, seconds=120)
        return (await core.read_namespaced_pod_log("builder", namespace)).strip()

    return run


async def test_the_sandbox_works_in_a_pod_as_it_is_documented(say):
    assert await say(documented()) == "it works"


@pytest.mark.parametrize(
    ("without", "why"),
    [
        ("seccompProfile", "No permissions to create new namespace"),
        ("procMount", "mount proc on /newroot/proc: Operation not permitted"),
    ],
)
async def test_a_pod_without_one_of_the_permissions_says_why_there_is_no_sandbox(say, without, why):
    spec = deepcopy(documented())
    context = spec["containers"][0]["securityContext"]
    context.pop(without)
    if without == "seccompProfile":
        context["seccompProfile"] = {"type": "RuntimeDefault"}
    assert why in await say(spec)
