"""Each service's own image, in a container; those that act on a cluster act on the lab's, too."""

import base64
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import httpx
import pytest

from deploy.images import sources
from so1s import events
from so1s.events import Event
from so1s.kubernetes import connect
from tests import played_events
from tests.billing.usage import sampled
from tests.builder.conftest import estimator, skops_model  # noqa: F401 - fixtures
from tests.lab.containers import podman, pull  # noqa: F401 - fixtures
from tests.lab.service_containers import (  # noqa: F401 - fixtures
    GRACE_SECONDS,
    Running,
    base_layout,
    image,
    platform,
    run,
    servers,
    start_service,
)
from tests.scenarios.running import until

# ruff: noqa: F811 - fixtures

KUBECONFIG = "/etc/so1s/kubeconfig"
_FILES = {
    "clusters": ("cluster", ["certificate-authority"]),
    "users": ("user", ["client-certificate", "client-key"]),
}


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
def bucket(s3, skops_model) -> str:
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
