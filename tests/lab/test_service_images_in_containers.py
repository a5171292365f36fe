"""Each service's own image, in a container beside Kafka and PostgreSQL in containers of their own."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import httpx
import pytest
from testcontainers.core.container import DockerContainer

from deploy.images import base, sources
from deploy.images.credentials import Credentials
from deploy.images.pushing import Destination, pusher
from so1s import events
from so1s.blocking import wait_for
from so1s.broker.reader import Reader
from so1s.events import Event
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from so1s_lab import CHECKOUT, LAB_DIR
from so1s_lab.ports import any_port
from so1s_lab.readiness import listens
from tests import played_events
from tests.billing.usage import sampled
from tests.builder.conftest import estimator, skops_model  # noqa: F401 - fixtures
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


@dataclass(frozen=True)
class Case:
    """What a service is told, what happens, and how one knows that it took it."""

    heard: Event | None
    answered: Callable[[Running], Awaitable[bool]]
    settings: dict[str, object] = field(default_factory=dict)


def _says(kind: type[Event]) -> Callable[[Running], Awaitable[bool]]:
    return lambda running: running.said(kind)


async def _is_charged(running: Running) -> bool:
    return running.get(f"/v1/bills/{running.account}").json()["total"]["amount_nano_usd"] > 0


async def _takes_events_over_http(running: Running) -> bool:
    create = "python3 -P -m services.console token create --account {} --scope publish 2>/dev/null"
    code, output = running.shell(create.format(running.account))
    assert code == 0, output
    event = {"specversion": "1.0", "type": UPLOADED.type, "source": "test", "id": uuid.uuid4().hex}
    event["data"] = UPLOADED.model_dump(mode="json") | {"account": running.account}
    told = {"Authorization": f"Bearer {output}", "Content-Type": "application/cloudevents+json"}
    async with httpx.AsyncClient(base_url=running.url, headers=told, trust_env=False) as http:
        answer = await http.post("/v1/events", json=event)
    assert answer.is_success, answer.text
    return await running.said(type(UPLOADED))


UPLOADED = events.ModelUploaded(
    account="risk",
    model="fraud",
    version="3",
    artifact=events.Artifact(uri="s3://elsewhere/fraud.skops"),
    uploaded_by="me",
)
CASES = {
    "alerter": Case(
        played_events.build_failed("fraud"),
        _says(events.IncidentOpened),
        {
            "SO1S_SLACK_TOKEN": "xoxb-nobody",
            "SO1S_SLACK_CHANNEL": "C0000000000",
            "SO1S_SLACK_URL": "http://127.0.0.1:1/api/",
        },
    ),
    "billing": Case(sampled(), _is_charged),
    "builder": Case(
        UPLOADED,
        _says(events.BuildFailed),
        {"SO1S_ARTIFACT_PREFIXES": '["s3://ml/{account}/"]', "SO1S_PREPARED_FORMATS": "[]"},
    ),
    "collector": Case(
        None,  # its clock is what it hears
        _says(events.GatewaySampled),
        {"SO1S_WINDOW_SECONDS": 1, "SO1S_SCRAPE_SECONDS": 0.5},
    ),
    "console": Case(None, _takes_events_over_http, {"SO1S_ARTIFACTS": "file:///tmp/artifacts/"}),
    "deployer": Case(played_events.built("fraud"), _says(events.DeploymentRequested)),
    "router": Case(
        played_events.ready("fraud"),
        _says(events.RoutesDegraded),  # there is no gateway here
        {"SO1S_APPLY_DEADLINE_SECONDS": 1},
    ),
}


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


@pytest.fixture(scope="module", params=sources.services())
def service(request, start_service) -> Iterator[Running]:
    running = start_service(request.param, **CASES[request.param].settings)
    yield running
    running.stop()  # another one of its name would share its events


@pytest.fixture
def case(request) -> Case:
    return CASES[request.node.callspec.params["service"]]


async def test_a_service_takes_what_it_hears(service: Running, case: Case, eventually):
    if case.heard:
        await service.say(case.heard)
    await eventually(lambda: case.answered(service))


def test_a_service_is_nobody_and_can_write_nothing_but_tmp(service: Running):
    assert service.shell("id -u; id -g; cut -f2 /proc/1/status | sed -n 9p") == (0, "65532\n65532\n65532")
    code, complaint = service.shell("touch /opt/so1s/code/x")
    assert (code, "Read-only file system" in complaint) == (1, True)


def test_a_service_stops_in_order_within_its_grace_and_starts_again(service: Running):
    began = time.monotonic()
    code = service.stop()
    seconds = time.monotonic() - began
    assert (code, seconds < GRACE_SECONDS / 2) == (0, True)
    service.container.get_wrapped_container().start()
    until(service.is_ready, 60)


@pytest.fixture
def bucket(s3, skops_model) -> str:  # noqa: F811 - the fixture
    """Has a model of the account `uploads`."""
    name = f"builds-{uuid.uuid4().hex[:8]}"
    keys = {"aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key}
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name=s3.region, **keys)
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="uploads/fraud.skops", Body=skops_model)
    return name


@pytest.fixture
def builder(start_service, bucket, s3, registry, base_image) -> Iterator[Running]:
    """A builder that has all that a cluster's has."""
    running = start_service(
        "builder",
        account="uploads",
        SO1S_ARTIFACT_PREFIXES=json.dumps([f"s3://{bucket}/{{account}}/"]),
        SO1S_BASE_IMAGE=base_image,
        SO1S_IMAGE_REGISTRY=f"{registry.url}/so1s/images",
        SO1S_IMAGE_REGISTRY_PASSWORD=registry.password,
        SO1S_IMAGE_REGISTRY_USER=registry.username,
        SO1S_PREPARED_FORMATS="[]",
        SO1S_S3_ACCESS_KEY_ID=s3.access_key,
        SO1S_S3_ENDPOINT_URL=s3.endpoint,
        SO1S_S3_REGION=s3.region,
        SO1S_S3_SECRET_ACCESS_KEY=s3.secret_key,
    )
    yield running
    running.stop()


async def test_a_builder_builds_what_a_pipeline_uploads(builder: Running, bucket, eventually):
    artifact = events.Artifact(uri=f"s3://{bucket}/{builder.account}/fraud.skops")

    await builder.say(UPLOADED.model_copy(update={"artifact": artifact}))

    await eventually(lambda: _any_said(builder, events.ImageBuilt, events.BuildFailed), seconds=120)
    assert await builder.said(events.ImageBuilt)


async def _any_said(running: Running, *kinds: type[Event]) -> bool:
    return any([await running.said(kind) for kind in kinds])
