"""The images of the services that act on a cluster, in containers, against the lab's API server and Istio."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from so1s import events
from so1s.kubernetes import connect
from tests import played_events
from tests.lab.containers import podman, pull  # noqa: F401 - fixtures
from tests.lab.test_service_images_in_containers import (  # noqa: F401 - fixtures
    Running,
    base_layout,
    image,
    platform,
    run,
    servers,
    start_service,
)

# ruff: noqa: F811 - fixtures

KUBECONFIG = "/etc/so1s/kubeconfig"
_FILES = {
    "clusters": ("cluster", ["certificate-authority"]),
    "users": ("user", ["client-certificate", "client-key"]),
}


@pytest.fixture
def account() -> str:
    return f"c{uuid.uuid4().hex[:8]}"


@pytest.fixture
def kubeconfig(kubernetes, tmp_path) -> dict[Path, str]:
    """A file for services, by where they find it; the certificates are in it."""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(_whole(json.loads(kubernetes.kubeconfig.read_text()))))
    return {path: KUBECONFIG}


def _whole(config: dict) -> dict:
    """A kubeconfig with what it names the files of."""
    for kind, (part, names) in _FILES.items():
        for entry in config[kind]:
            for name in names:
                content = Path(entry[part].pop(name)).read_bytes()
                entry[part][f"{name}-data"] = base64.b64encode(content).decode()
    return config


@pytest.fixture
def deployer(start_service: Callable[..., Running], account: str, kubeconfig) -> Iterator[Running]:
    running = start_service(
        "deployer",
        account=account,
        files=kubeconfig,
        SO1S_CLUSTER="kubernetes",
        SO1S_KUBECONFIG=KUBECONFIG,
        SO1S_NAMESPACE_PREFIX="images-",
    )
    yield running
    running.stop()


@pytest.fixture
def router(
    start_service: Callable[..., Running], account: str, kubeconfig, istio, namespace
) -> Iterator[Running]:
    running = start_service(
        "router",
        account=account,
        files=kubeconfig,
        SO1S_MESH="istio",
        SO1S_KUBECONFIG=KUBECONFIG,
        SO1S_ISTIO_NAMESPACE=namespace,
        SO1S_ISTIO_GATEWAY=istio.gateway,
        SO1S_ISTIO_PROBES=json.dumps([f"127.0.0.1:{istio.port}"]),
        SO1S_GATEWAY_PORT=istio.port,
        SO1S_HEALTH_WAIT_SECONDS=1,
    )
    yield running
    running.stop()


async def test_what_was_built_is_deployed_and_routed(
    deployer: Running, router: Running, kubernetes, namespace: str, eventually
):
    account = deployer.account
    built = played_events.built("fraud")
    reference = f"registry.test/{account}/fraud@{built.image.digest}"
    image = built.image.model_copy(update={"reference": reference})

    await deployer.say(built.model_copy(update={"image": image}))

    await eventually(lambda: deployer.said(events.DeploymentReady), seconds=60)
    await eventually(lambda: router.said(events.RoutesApplied), seconds=60)
    async with connect(kubernetes.kubeconfig) as api:
        workload = await api.get("apps/v1", "Deployment", f"images-{account}", "fraud")
        route = await api.get("networking.istio.io/v1", "VirtualService", namespace, f"fraud--{account}")
        await api.delete("v1", "Namespace", None, f"images-{account}")
    assert workload
    assert workload["spec"]["template"]["spec"]["containers"][0]["image"] == reference
    assert route
    assert (deployer.stop(), router.stop()) == (0, 0)
