"""The services' own images in containers, beside Kafka and PostgreSQL in containers of their own."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from testcontainers.core.container import DockerContainer

from deploy.images import base
from deploy.images.credentials import Credentials
from deploy.images.pushing import Destination, pusher
from so1s.blocking import wait_for
from so1s.broker.reader import Reader
from so1s.events import Event
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from so1s_lab import CHECKOUT, LAB_DIR
from so1s_lab.ports import any_port
from so1s_lab.readiness import listens
from tests.lab.containers import Podman, podman, pull  # noqa: F401 - fixtures
from tests.lab.containers_images import ServerImages
from tests.lab.missing import skipped_where_missing
from tests.scenarios.running import until

IMAGES = LAB_DIR / "images"
TAG = "lab"
NO_FILES: Mapping[Path, str] = {}
GRACE_SECONDS = 30
"""Of a pod, from SIGTERM to SIGKILL."""


@dataclass(frozen=True)
class Platform:
    """What a service leans on, each in a container."""

    kafka: str
    database_url: str


@pytest.fixture(scope="session")
def base_layout(base_image) -> Path:
    """The base that the lab's registry has, on disk."""
    return IMAGES / f"base-{base.fingerprint()}"


@pytest.fixture(scope="session")
def image(base_layout, registry) -> Callable[[str], str]:
    """Makes a service's image, and pushes it to the lab's registry, as an operator does; its reference."""
    credentials = {
        "SO1S_IMAGE_REGISTRY_USER": registry.username,
        "SO1S_IMAGE_REGISTRY_PASSWORD": registry.password,
    }
    where = ["--registry", f"{registry.url}/so1s/services", "--tag", TAG]
    what = ["--directory", str(IMAGES / "services"), "--base", str(base_layout)]

    def make(name: str) -> str:
        line = [sys.executable, "-m", "deploy.images", name, *where, *what]
        subprocess.run(line, env=os.environ | credentials, cwd=CHECKOUT, check=True)
        return f"{registry.host}/so1s/services/{name}:{TAG}"

    return make


@pytest.fixture(scope="session")
def servers(base_layout, registry, tmp_path_factory) -> dict[str, str]:
    """The references of the images of Kafka and PostgreSQL."""
    images = ServerImages(IMAGES / "servers", base_layout, tmp_path_factory.mktemp("servers"))

    async def push() -> dict[str, str]:
        to = Destination.parse(f"{registry.url}/so1s/lab")
        digests = {"kafka": await images.kafka(), "postgres": await images.postgres()}
        async with pusher(to, Credentials(user=registry.username, password=registry.password)) as push:
            return {
                name: await push.push(images.layout, digest, name=name, tag=TAG)
                for name, digest in digests.items()
            }

    with skipped_where_missing():
        return wait_for(push())


@pytest.fixture(scope="session")
def run(podman: Podman, pull) -> Iterator[Callable[..., DockerContainer]]:  # noqa: F811 - the fixtures
    """Runs an image: `run(reference, NAME=value)`; on this machine's network, as 65532, root read-only.

    `files` names a file in the container for each of this machine's that it may read.
    """
    containers: list[DockerContainer] = []

    def start(reference: str, files: Mapping[Path, str] = NO_FILES, **environment: object) -> DockerContainer:
        pull(reference)
        settings = {name: str(value) for name, value in environment.items()}
        restrictions = {
            "network_mode": "host",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "cgroup_parent": f"/{podman.control_group}",
        }
        container = DockerContainer(reference, env=settings)
        container.tmpfs = {"/tmp": "rw,exec,mode=1777"}  # libraries are loaded from there
        for here, there in files.items():
            container.with_volume_mapping(str(here), there)
        if authorities := os.environ.get("SSL_CERT_FILE"):
            container.with_volume_mapping(authorities, authorities)  # by which a package index is known
            container.with_env("SSL_CERT_FILE", authorities)
        containers.append(container.with_kwargs(**restrictions))
        return container.start()

    yield start
    for container in reversed(containers):
        container.stop()


@pytest.fixture(scope="session")
def platform(servers, run) -> Platform:
    kafka, controller, postgres = any_port(), any_port(), any_port()
    password = uuid.uuid4().hex
    run(servers["kafka"], KAFKA_PORT=kafka, CONTROLLER_PORT=controller)
    run(servers["postgres"], POSTGRES_PORT=postgres, POSTGRES_PASSWORD=password)
    url = f"postgresql+asyncpg://postgres:{password}@127.0.0.1:{postgres}/postgres?ssl=disable"
    for port in (kafka, postgres):
        until(lambda port=port: wait_for(listens(port)()), 60)
    return Platform(f"127.0.0.1:{kafka}", url)


@dataclass
class Running:
    """A service in its container."""

    container: DockerContainer
    url: str
    kafka: KafkaSettings
    account: str

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", trust_env=False)

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """SIGTERM, as a kubelet does it; answers the exit code."""
        wrapped = self.container.get_wrapped_container()
        wrapped.stop(timeout=GRACE_SECONDS)
        return wrapped.wait()["StatusCode"]

    def shell(self, script: str) -> tuple[int, str]:
        code, output = self.container.exec(["sh", "-c", script])
        return code, output.decode().strip()

    async def said(self, kind: type[Event]) -> bool:
        """Whether Kafka has an event of the account."""
        async with Reader(self.kafka, [kind.topic.name]) as reader:
            return any([self.account in (record.key or b"").decode() async for record in reader.past()])

    async def say(self, event: Event) -> None:
        """Publish an event, as one of the account."""
        async with AsyncPublisher(self.kafka) as publisher:
            await publisher.publish(event.model_copy(update={"account": self.account}))


@pytest.fixture(scope="session")
def start_service(image, platform, run) -> Callable[..., Running]:
    """Runs a service's image until it is ready: `start_service(name, SO1S_FIELD=value)`."""

    def start(
        name: str,
        *,
        account: str | None = None,
        files: Mapping[Path, str] = NO_FILES,
        **settings: object,
    ) -> Running:
        port, account = any_port(), account or f"c{uuid.uuid4().hex[:8]}"
        container = run(
            image(name),
            files,
            SO1S_KAFKA=platform.kafka,
            SO1S_DATABASE_URL=platform.database_url,
            SO1S_DATABASE_SCHEMA=f"{name}_{uuid.uuid4().hex}",
            SO1S_HTTP_HOST="127.0.0.1",
            SO1S_HTTP_PORT=port,
            SO1S_OPERATOR_ACCOUNT=account,
            **settings,
        )
        kafka = KafkaSettings(kafka=platform.kafka)
        running = Running(container, f"http://127.0.0.1:{port}", kafka, account)
        until(running.is_ready, 60)
        return running

    return start
