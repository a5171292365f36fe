"""The chart: Helm installs every service's own image as a pod of the real node, with its own rights alone."""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from deploy.images import sources
from so1s import events, publish_model
from so1s.blocking import wait_for
from so1s.cli.ask import ask
from so1s.errors import So1sError
from so1s.kubernetes import Api, Refused, connect
from so1s.platform import ClientSettings
from so1s_lab import CHECKOUT
from so1s_lab.helm import CHART, Helm, HelmError
from so1s_lab.installation import SYSTEM, Installation, Parts
from so1s_lab.ports import any_port
from tests.lab.missing import skipped_where_missing
from tests.lab.service_containers import TAG, base_layout, image
from tests.scenarios.models import ROWS, predicted, write_model

# ruff: noqa: F401, F811 - fixtures

pytestmark = [pytest.mark.chart, pytest.mark.timeout(600)]

RELEASE = "so1s"
SECRETS = "told"
MINUTES = "2m"
SERVE_SECONDS = 120
_HERE = ("kubeconfig",)
"""What a service of this machine is told, and a pod is not."""


@dataclass(frozen=True)
class Installed:
    """What pipelines and callers of the release are told."""

    helm: Helm
    pipelines: ClientSettings
    gateway: str
    kubeconfig: Path


@pytest.fixture(scope="module")
def helm(lab, kubernetes) -> Helm:
    with skipped_where_missing():
        return Helm(lab.directory("helm"), kubernetes.kubeconfig)


@pytest.fixture(scope="module")
def installed(
    helm: Helm, parts: Parts, image: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    for name in sources.services():
        image(name)
    installation = Installation(f"h{uuid.uuid4().hex[:6]}", parts)
    wait_for(installation.prepare())
    values, secrets = _values(installation, parts)
    wait_for(_keep(installation.kubeconfig, secrets))
    path = tmp_path_factory.mktemp("chart") / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    try:
        helm.run("install", RELEASE, CHART, "-n", SYSTEM, "-f", path, "--wait", "--timeout", MINUTES)
    except HelmError as error:
        pytest.fail(f"{error}\n{wait_for(_states(installation.kubeconfig))}")
    world = installation.world
    settings = ClientSettings(
        kafka=world.kafka, artifacts=world.artifacts, account="risk", gateway=world.gateway, **world.pipelines
    )
    yield Installed(helm, settings, world.gateway, installation.kubeconfig)
    helm.run("uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", MINUTES)


def _values(installation: Installation, parts: Parts) -> tuple[dict[str, Any], dict[str, str]]:
    """The chart's values for the lab, whose servers are on this machine's loopback; and the Secret's data."""
    world = installation.world
    told = {name: dict(world.services.get(name, {})) for name in sources.services()}
    told["alerter"] |= {
        "slack_channel": "C0MODELS",
        "slack_url": "http://127.0.0.1:9/",
        "slack_token": "xoxb-none",
    }
    told["console"] |= {"artifacts": world.artifacts, **world.pipelines}
    told["router"] |= {"domain": "so1s.localhost"}
    data = {"database_url": parts.postgres.url}
    return {
        "image": {"registry": f"{parts.registry.host}/so1s/services", "tag": TAG, "pullSecret": "registry"},
        "settings": {"kafka": world.kafka},
        "secrets": {"database_url": {"name": SECRETS, "key": "database_url"}},
        "pod": {
            "hostNetwork": True,
            "nodeSelector": parts.node.pool.selector,
            "tolerations": parts.node.pool.tolerations,
            **_authorities_of_this_machine(),
        },
        "services": {name: _service(name, said, parts, data) for name, said in told.items()},
    }, data


def _service(name: str, said: dict[str, Any], parts: Parts, data: dict[str, str]) -> dict[str, Any]:
    secret = {key for key in said if key.endswith(("_password", "_key", "_key_id", "_token"))}
    data |= {f"{name}.{key}": said[key] for key in secret}
    server = urlsplit(parts.kubernetes.url)
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    return {
        "replicas": 1,
        "port": any_port(),
        "settings": {key: value for key, value in said.items() if key not in {*secret, *_HERE}},
        "secrets": {key: {"name": SECRETS, "key": f"{name}.{key}"} for key in sorted(secret)},
        "environment": environment | _index(),
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        **({"volumeMounts": [_MOUNT]} if _AUTHORITIES else {}),
    }


_AUTHORITIES = os.environ.get("SSL_CERT_FILE")
"""By which a package index is known."""
_MOUNT = {"name": "authorities", "mountPath": _AUTHORITIES, "readOnly": True}


def _authorities_of_this_machine() -> dict[str, Any]:
    if not _AUTHORITIES:
        return {}
    return {"volumes": [{"name": "authorities", "hostPath": {"path": _AUTHORITIES, "type": "File"}}]}


def _index() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_CERT"))}


async def _keep(kubeconfig: Path, data: dict[str, str]) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRETS, "namespace": SYSTEM}}
    async with connect(kubeconfig) as api:
        await api.apply(secret | {"stringData": data}, manager="test")


async def _states(kubeconfig: Path, *, of_all: bool = False) -> str:
    """What became of the release's pods, and what those wrote that are not ready, or all."""
    told = []
    async with connect(kubeconfig) as api:
        for pod in (await api.read(f"/api/v1/namespaces/{SYSTEM}/pods", {}))["items"]:
            status, name = pod["status"], pod["metadata"]["name"]
            told.append(f"{name}: {status.get('conditions')} {status.get('containerStatuses')}")
            if of_all or not all(
                each["ready"] for each in status.get("containerStatuses", [{"ready": False}])
            ):
                told.append(await _log(api, name))
    return "\n".join(told)


async def _log(api: Api, pod: str) -> str:
    try:
        return await api.text(f"/api/v1/namespaces/{SYSTEM}/pods/{pod}/log", {"tailLines": "1000"})
    except Refused as error:
        return str(error)


def test_values_that_are_missing_are_all_named(helm: Helm):
    with pytest.raises(HelmError) as refused:
        helm.run("template", RELEASE, CHART)
    for missing in ("artifact_prefixes", "slack_token", "/settings/kafka", "/image/registry"):
        assert missing in str(refused.value)


@pytest.fixture
def render(helm: Helm, tmp_path: Path) -> Callable[..., dict[tuple[str, str], Any]]:
    """The chart's objects by kind and name, by the documented values and others."""
    (documented,) = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "docs/deploy.md").read_text(), re.DOTALL)
    files = [tmp_path / "documented.yaml", tmp_path / "more.yaml"]

    def template(more: dict[str, Any], namespace: str = SYSTEM) -> dict[tuple[str, str], Any]:
        for file, text in zip(files, (documented, yaml.safe_dump(more)), strict=True):
            file.write_text(text)
        said = [word for file in files for word in ("-f", file)]
        told = helm.run("template", RELEASE, CHART, "-n", namespace, *said)
        return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(told) if each}

    return template


def pod_of(objects: dict[tuple[str, str], Any], service: str) -> dict[str, Any]:
    return objects["Deployment", f"{RELEASE}-{service}"]["spec"]["template"]["spec"]


def test_a_namespace_of_the_release_that_could_be_an_accounts_is_refused(render):
    with pytest.raises(HelmError, match="so1s-account-one would be an account's"):
        render({}, "so1s-account-one")


def test_what_is_said_of_one_service_wins_also_where_it_is_false(render):
    more = {
        "settings": {"provision_topics": True},
        "pod": {"hostNetwork": True},
        "services": {"deployer": {"settings": {"provision_topics": False}, "pod": {"hostNetwork": False}}},
    }
    rendered = render(more)
    for service, said in (("deployer", False), ("router", True)):
        pod = pod_of(rendered, service)
        (container,) = pod["containers"]
        told = {each["name"]: each.get("value") for each in container["env"]}
        assert (told["SO1S_PROVISION_TOPICS"], pod["hostNetwork"]) == (str(said).lower(), said)


def test_a_service_that_is_not_enabled_has_no_object(render):
    rendered = render({"services": {"deployer": {"enabled": False}}})
    assert [name for _, name in rendered if "deployer" in name] == []


def test_the_console_is_told_of_the_releases_builder_and_of_another_where_that_is_said(render):
    other = {"services": {"console": {"settings": {"builder_url": "http://builds.example.org"}}}}
    for more, said in (({}, f"http://{RELEASE}-builder:8000"), (other, "http://builds.example.org")):
        rendered = render(more)
        (container,) = pod_of(rendered, "console")["containers"]
        assert {"name": "SO1S_BUILDER_URL", "value": said} in container["env"]
    (port,) = rendered["Service", f"{RELEASE}-builder"]["spec"]["ports"]
    assert port["port"] == 8000


def test_only_who_asks_kubernetes_has_a_token_for_it(render):
    rendered = render({})
    tokens = {name: pod_of(rendered, name)["automountServiceAccountToken"] for name in sources.services()}
    assert [name for name, has_one in tokens.items() if has_one] == ["collector", "deployer", "router"]


def test_a_model_that_is_uploaded_serves(installed: Installed, tmp_path: Path):
    path = write_model(tmp_path / "model.onnx", 1)
    published = publish_model("fraud", path, version="1", settings=installed.pipelines)

    try:
        serving = published.wait_until_serving(SERVE_SECONDS)
    except So1sError as error:
        pytest.fail(f"{error}\n{wait_for(_states(installed.kubeconfig, of_all=True))}")

    host = {"host": urlsplit(str(serving.url)).netloc}
    answer = httpx.post(
        f"{installed.gateway}/predict", json={"x": ROWS.tolist()}, headers=host, trust_env=False
    )
    assert answer.raise_for_status().json()["y"] == predicted(path)


async def test_what_another_hand_adds_to_a_route_is_taken_back(installed: Installed, eventually):
    about = ("networking.istio.io/v1", "VirtualService")
    async with connect(installed.kubeconfig) as api:
        meta = {"name": "fraud--risk", "namespace": SYSTEM}
        foreign = {"apiVersion": about[0], "kind": about[1], "metadata": meta, "spec": {"exportTo": ["."]}}
        await api.apply(foreign, manager="another-hand")

        async def is_gone() -> bool:
            route = await api.get(*about, SYSTEM, meta["name"])
            return route is not None and "exportTo" not in route["spec"]

        await eventually(is_gone, seconds=SERVE_SECONDS)


async def test_what_another_hand_adds_to_a_deployment_is_taken_back(installed: Installed, eventually):
    async with connect(installed.kubeconfig) as api:
        (before,) = await _of_account(api, "/apis/apps/v1/deployments")
        meta = {name: before["metadata"][name] for name in ("name", "namespace")}
        about = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
        await api.apply(about | {"spec": {"minReadySeconds": 7}}, manager="another-hand")

        async def is_gone() -> bool:
            (now,) = await _of_account(api, "/apis/apps/v1/deployments")
            return "minReadySeconds" not in now["spec"]

        await eventually(is_gone, seconds=SERVE_SECONDS)


async def _of_account(api: Api, where: str) -> list[dict[str, Any]]:
    selector = "app.kubernetes.io/managed-by=so1s-deployer,so1s.io/account=risk"
    return (await api.read(where, {"labelSelector": selector}))["items"]


def test_a_model_that_is_removed_leaves_no_workload(installed: Installed):
    said = {"account": "risk", "requested_by": "test"}
    about = installed.pipelines
    gone = events.EndpointRemovalRequested(endpoint="fraud", **said)
    ask(about, gone, [events.EndpointRemoved], timeout_seconds=SERVE_SECONDS)
    gone = events.DeploymentRemovalRequested(deployment="fraud", **said)
    (answer,) = ask(about, gone, [events.DeploymentRemoved], timeout_seconds=SERVE_SECONDS)
    assert answer.key == "risk/fraud"


async def test_an_account_without_a_deployment_has_nothing_to_run_or_pull_by(
    installed: Installed, eventually
):
    async with connect(installed.kubeconfig) as api:

        async def is_gone() -> bool:
            kinds = ("serviceaccounts", "secrets")
            return not [each for kind in kinds for each in await _of_account(api, f"/api/v1/{kind}")]

        await eventually(is_gone, seconds=SERVE_SECONDS)


async def test_no_service_asked_for_what_it_may_not(installed: Installed):
    async with connect(installed.kubeconfig) as api:
        pods = (await api.read(f"/api/v1/namespaces/{SYSTEM}/pods", {}))["items"]
        written = [await _log(api, pod["metadata"]["name"]) for pod in pods]
    assert [line for text in written for line in text.splitlines() if "forbidden" in line] == []


async def test_each_pod_is_confined(installed: Installed):
    async with connect(installed.kubeconfig) as api:
        found = await api.read(f"/api/v1/namespaces/{SYSTEM}/pods", {})
    pods = [each for each in found["items"] if "app.kubernetes.io/part-of" in each["metadata"]["labels"]]
    assert len(pods) == len(sources.services())
    for pod in pods:
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
