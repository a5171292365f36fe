"""Containers without a Docker daemon: podman, which serves Docker's API to testcontainers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import httpx
import pytest
from testcontainers.core.config import testcontainers_config

from so1s_lab import CHECKOUT
from so1s_lab.debian import program
from so1s_lab.part import MissingPartError
from so1s_lab.registry import Registry
from so1s_lab.runner import Runner
from so1s_local.process import Unit, python

_LONGEST_SOCKET = 107
"""In characters: the kernel's bound."""


class Podman:
    """An engine whose images, containers and sockets are in one directory; it needs root."""

    name = "podman"

    def __init__(self, directory: Path, registry: Registry) -> None:
        self._directory = directory
        self._registry = registry
        self.control_group = f"so1s-lab-containers-{os.getpid()}"

    @property
    def version(self) -> str:
        line = subprocess.run([program("podman"), "--version"], capture_output=True, text=True, check=True)
        return line.stdout.split()[-1]

    @property
    def url(self) -> str:
        """What Docker's clients take as DOCKER_HOST."""
        return f"unix://{self._socket}"

    def prepare(self) -> None:
        if os.geteuid() != 0:
            raise MissingPartError("containers need root here")
        if len(str(self._socket)) > _LONGEST_SOCKET:
            raise MissingPartError(f"the path is too long for a socket: {self._socket}")
        program("podman")
        self._write("runc", _runtime(program("runc"))).chmod(0o755)
        self._write("containers.conf", self._engine())
        self._write("storage.conf", self._storage())
        self._write("registries.conf", f'[[registry]]\nlocation = "{self._registry.host}"\ninsecure = true\n')
        self._write("start.sh", self._script())

    def unit(self) -> Unit:
        script = str(self._directory / "start.sh")
        line = python("tests.lab.containers_enclosure", script, self.control_group)
        settings = {
            "CONTAINERS_CONF": str(self._directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self._directory / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self._directory / "registries.conf"),
            "PYTHONPATH": str(CHECKOUT),
        }
        return Unit(self.name, line, self._ready, settings)

    async def _ready(self) -> bool:
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://podman") as client:
                return (await client.get("/_ping")).is_success
        except httpx.TransportError:
            return False

    @property
    def _socket(self) -> Path:
        return self._directory / "podman.sock"

    def _write(self, name: str, content: str) -> Path:
        path = self._directory / name
        path.write_text(content)
        return path

    def _script(self) -> str:
        # Not in place of the shell, which waits for the orphans of its namespace.
        return f"podman system service --time=0 {self.url} &\nwait -n\n"

    def _engine(self) -> str:
        return (
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "lab"\n'
            f'[engine.runtimes]\nlab = ["{self._directory / "runc"}"]\n'
        )

    def _storage(self) -> str:
        images = self._directory / "images"
        return f'[storage]\ndriver = "overlay"\ngraphroot = "{images}"\nrunroot = "/run/containers/storage"\n'


def _runtime(runc: str) -> str:
    """Runc, but no limit of a process is raised, which not every machine permits."""
    return f"""#!{sys.executable}
import json, os, sys
from pathlib import Path

arguments = sys.argv[1:]
if "--bundle" in arguments:
    path = Path(arguments[arguments.index("--bundle") + 1], "config.json")
    config = json.loads(path.read_text())
    config["process"].pop("rlimits", None)
    path.write_text(json.dumps(config))
os.execv("{runc}", ["runc", *arguments])
"""


@pytest.fixture(scope="session")
def podman(lab: Runner, start, registry: Registry) -> Iterator[Podman]:
    """An engine that testcontainers finds by itself; it pulls from the lab's registry."""
    engine = Podman(lab.directory("podman"), registry)
    start(engine)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOCKER_HOST", engine.url)
        environment.setattr(testcontainers_config, "ryuk_disabled", True)
        yield engine


@pytest.fixture(scope="session")
def pull(podman: Podman, registry: Registry):
    """Pulls an image from the lab's registry: `pull("REFERENCE")`."""
    credentials = {"username": registry.username, "password": registry.password}
    client = docker.DockerClient(podman.url)
    yield lambda reference: client.images.pull(reference, auth_config=credentials)
    client.close()
