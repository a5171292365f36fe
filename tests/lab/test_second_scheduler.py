"""A cluster whose own scheduler cannot be changed runs a second one, as its manifest and its rights say."""

import json
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_asyncio.client import AuthenticationV1TokenRequest, CoreV1Api, V1TokenRequestSpec

from so1s_lab.apiserver import ApiServer
from so1s_lab.command import command
from so1s_lab.control_plane import ControlPlane
from so1s_lab.kubernetes import VERSION, kubernetes_program
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_lab.runner import Runner
from so1s_lab.scheduler import PROGRAM
from so1s_local.process import Unit
from tests.lab.test_control_plane import GpuPods, gpu_pods  # noqa: F401 - a fixture

SHIPPED = Path("deploy/scheduler")
MANIFEST = (SHIPPED / "second.yaml").read_text()
NAME = "so1s-gpu-scheduler"
PROFILE = "second"
"""The lab's first scheduler has the shipped profile, too, by its own name."""


def configuration() -> dict[str, Any]:
    (config_map,) = [each for each in yaml.safe_load_all(MANIFEST) if each["kind"] == "ConfigMap"]
    return yaml.safe_load(config_map["data"]["config.yaml"])


class SecondScheduler:
    """The real program, with the configuration of the manifest and the token of its ServiceAccount."""

    name = "second-scheduler"
    version = PROGRAM.version

    def __init__(self, directory: Path, server: ApiServer, token: str) -> None:
        self._directory = directory
        self._server = server
        self._token = token
        self._port = any_port()
        self._binary = Path()

    def prepare(self) -> None:
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        kubeconfig = self._kubeconfig()
        told = configuration() | {"clientConnection": {"kubeconfig": str(kubeconfig)}}
        (profile,) = told["profiles"]
        profile["schedulerName"] = PROFILE
        path = self._directory / "config.json"
        path.write_text(json.dumps(told))
        own = self._server.authority.server(self.name)
        line = command(
            self._binary,
            config=path,
            bind_address="127.0.0.1",
            secure_port=self._port,
            tls_cert_file=own.certificate,
            tls_private_key_file=own.key,
            authentication_kubeconfig=kubeconfig,
            authorization_kubeconfig=kubeconfig,
        )
        ca = self._server.authority.certificate
        return Unit(self.name, line, answers(f"https://127.0.0.1:{self._port}/readyz", ca=ca))

    def _kubeconfig(self) -> Path:
        cluster = {
            "server": self._server.url,
            "certificate-authority": str(self._server.authority.certificate),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": NAME, "user": {"token": self._token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": NAME}}],
            "current-context": "lab",
        }
        path = self._directory / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path


def kubectl(kubernetes: ControlPlane, *arguments: str, manifest: str) -> None:
    program = kubernetes_program("kubectl").build()
    line = [str(program), f"--kubeconfig={kubernetes.kubeconfig}", *arguments, "-f", "-"]
    done = subprocess.run(line, input=manifest, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
async def second(kubernetes: ControlPlane, tmp_path: Path) -> AsyncGenerator[None]:
    manifest = MANIFEST.replace("KUBERNETES_VERSION", VERSION)
    kubectl(kubernetes, "apply", "--server-side", "--validate=strict", manifest=manifest)
    async with kubernetes.client() as api:
        wanted = AuthenticationV1TokenRequest(spec=V1TokenRequestSpec(audiences=[]))
        given = await CoreV1Api(api).create_namespaced_service_account_token(NAME, "kube-system", wanted)
    with Runner(tmp_path / "run") as runner:
        scheduler = SecondScheduler(runner.directory("scheduler"), kubernetes.server, given.status.token)
        runner.start(scheduler)
        yield
    kubectl(kubernetes, "delete", "--wait=false", manifest=manifest)


def test_the_second_scheduler_has_the_shipped_profile() -> None:
    assert configuration()["profiles"] == [yaml.safe_load((SHIPPED / "profile.yaml").read_text())]


async def test_a_second_scheduler_packs_gpus_beside_the_first_one(gpu_pods: GpuPods, second: None) -> None:  # noqa: F811
    ones = [await gpu_pods.make(f"one-{number}", gpus=1, profile=PROFILE) for number in range(6)]
    nodes = [pod.spec.node_name for pod in ones]
    assert sorted(map(nodes.count, gpu_pods.nodes)) == [2, 4]
    two = await gpu_pods.make("two", gpus=2, profile=PROFILE)
    assert nodes.count(two.spec.node_name) == 2
