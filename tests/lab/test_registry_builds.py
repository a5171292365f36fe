"""A builder as a cluster runs it: artifacts in S3, state in PostgreSQL, images on a base in a registry."""

import io
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import pytest
import zstandard
from pydantic import SecretStr

from services.builder import app
from services.builder.domain.reference import Reference
from services.builder.handlers import consumer
from services.builder.settings import Settings
from services.builder.worker import Workers
from so1s.artifacts import target, upload
from so1s.events import Artifact, BuildFailed, Event, ImageBuilt, ModelUploaded
from so1s.platform import ClientSettings
from so1s.registry import MANIFEST, digest_of
from so1s.store import Store
from so1s.testing import run
from tests.boxed import answer_of

# ruff: noqa: F401, F811 - pytest collects what is imported
from tests.builder.conftest import estimator, onnx_model, skops_model
from tests.builder.shop import emitted
from tests.builder.test_builder_serves import ROWS
from tests.lab.missing import end_for_want_of

BUCKET = f"builds-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def s3_settings(s3) -> dict:
    keys = {"aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key}
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name=s3.region, **keys)
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # another module's tests take this fixture, too
        client.create_bucket(Bucket=BUCKET)
    return {
        "s3_endpoint_url": s3.endpoint,
        "s3_region": s3.region,
        "s3_access_key_id": SecretStr(s3.access_key),
        "s3_secret_access_key": SecretStr(s3.secret_key),
    }


@pytest.fixture(scope="module")
def settings(tmp_path_factory, s3_settings, registry, postgres, base_image) -> Settings:
    directory = tmp_path_factory.mktemp("builder")
    return Settings(
        database_url=SecretStr(postgres),
        database_schema=f"builder_{uuid.uuid4().hex}",
        artifact_prefixes=[f"s3://{BUCKET}/{{account}}/"],
        image_registry=f"{registry.url}/so1s/images",
        image_registry_user=registry.username,
        image_registry_password=SecretStr(registry.password),
        base_image=base_image,
        build_dir=directory / "work",
        libraries_dir=directory / "libraries",
        **s3_settings,
    )


@pytest.fixture
def uploaded(s3_settings, tmp_path):
    """Uploads an artifact as a pipeline does."""
    to = target(ClientSettings(artifacts=f"s3://{BUCKET}/", **s3_settings))

    def put(name: str, data: bytes, **said) -> ModelUploaded:
        (tmp_path / name).write_bytes(data)
        artifact = upload(tmp_path / name, to, prefix="risk/fraud/3")
        artifact = Artifact(uri=artifact.uri, sha256=said.get("sha256", artifact.sha256))
        version = uuid.uuid4().hex[:8]
        return ModelUploaded(account="risk", model="fraud", version=version, artifact=artifact)

    return put


async def built(settings: Settings, event: ModelUploaded) -> Event:
    """The end of an upload's build."""
    url = settings.database_url.get_secret_value()
    store = Store(url, producer="builder", schema=settings.database_schema)
    await store.migrate("services.builder.migrations")
    given = {"store": store, "provide": [settings, Workers([], poll_seconds=1)]}
    await run(consumer, event, event_id=uuid.uuid4().hex, **given)
    await app.make_workers(settings, store, app.make_world(settings))[0].work()
    events = [each.event for each in await emitted(store)]
    await store.close()
    (end,) = [each for each in events if isinstance(each, ImageBuilt | BuildFailed)]
    return end


class Puller:
    """Pulls images as a node does."""

    def __init__(self, reference: str, registry) -> None:
        self._reference = Reference.parse(reference)
        self._url = f"{registry.url}/v2/{self._reference.repository}"
        self._auth = (registry.username, registry.password)
        self.manifest = json.loads(self._get("manifests", self._reference.digest))
        self.config = json.loads(self._get("blobs", self.manifest["config"]["digest"]))

    def unpack(self, into: Path) -> None:
        for layer, diff_id in zip(self.manifest["layers"], self.config["rootfs"]["diff_ids"], strict=True):
            data = self._get("blobs", layer["digest"])
            plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).readall()
            assert digest_of(plain) == diff_id
            subprocess.run(["tar", "-x", "-C", into], input=plain, check=True)

    def _get(self, kind: str, digest: str) -> bytes:
        url = f"{self._url}/{kind}/{digest}"
        data = httpx.get(url, auth=self._auth, headers={"Accept": MANIFEST}).raise_for_status().content
        assert digest_of(data) == digest
        return data


@dataclass(frozen=True)
class Model:
    """A model's file, and what the library itself predicts with it for ROWS."""

    file: tuple[str, bytes]
    predictions: list[int]


@pytest.fixture(params=["onnx", "skops"])
def model(request, estimator) -> Model:
    data = request.getfixturevalue(f"{request.param}_model")
    return Model((f"model.{request.param}", data), estimator.predict(ROWS).tolist())


@pytest.fixture
def root(tmp_path) -> Iterator[Path]:
    if os.geteuid() != 0:
        end_for_want_of("root, whose the files of a base are")
    directory = tmp_path / "root"
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


async def test_an_image_serves_on_its_own_base_what_the_library_predicts(
    settings, uploaded, registry, *, root, model, sandbox
):
    event = await built(settings, uploaded(*model.file))

    assert isinstance(event, ImageBuilt), event
    pulled = Puller(event.image.reference, registry)
    assert pulled.config["config"]["Labels"]["so1s.base"] == settings.base_image
    filled = [each for each in pulled.config["history"] if not each.get("empty_layer")]
    assert len(filled) == len(pulled.manifest["layers"]) == 5
    pulled.unpack(root)
    seen = answer_of(sandbox, pulled.config["config"], root, "/predict", ROWS.tolist())
    assert seen["answer"]["label"] == model.predictions
    assert (seen["user"], seen["writable"], seen["interfaces"]) == (65532, ["/tmp"], ["lo"])


async def test_a_second_version_of_the_same_weights_pushes_its_manifest_alone(
    settings, uploaded, skops_model, registry
):
    events = [await built(settings, uploaded("model.skops", skops_model)) for _ in range(2)]

    layers = [
        [each["digest"] for each in Puller(event.image.reference, registry).manifest["layers"]]
        for event in events
    ]
    assert layers[0][:4] == layers[1][:4]
    assert layers[0][4] != layers[1][4]  # each version's manifest names itself


async def test_bytes_that_are_not_those_that_were_announced_fail_the_build(settings, uploaded, skops_model):
    event = await built(settings, uploaded("model.skops", skops_model, sha256="0" * 64))

    assert isinstance(event, BuildFailed)
    assert event.reason == "artifact"
    assert "sha256" in event.message
