"""Uploads larger than one part: S3 takes them in parts, which the console signs and never sees."""

import asyncio
import hashlib
import random
import time

import boto3
import pytest
from pydantic import SecretStr

from services.console import audit
from services.console.adapters.uploads_s3 import S3Uploads
from services.console.app import build
from services.console.domain.parts import MOST_ARTIFACT_BYTES, MOST_PARTS, plan
from services.console.settings import Settings, UploadSettings
from so1s.artifacts import target
from so1s.artifacts import upload as upload_file
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.platform import ClientSettings
from so1s.ways import parts as sender
from tests.console.conftest import MIGRATIONS, Serving, bearer
from tests.console.relay import Relay
from tests.tables import make_tables

MIB = 2**20
BUCKET = "parts"


@pytest.fixture
def store_settings(s3_url):
    """A store that takes parts of 5 MiB: the least that S3 takes."""
    return UploadSettings(
        artifacts=f"s3://{BUCKET}/ml/",
        s3_endpoint_url=s3_url,
        s3_access_key_id=SecretStr("key"),
        s3_secret_access_key=SecretStr("secret"),
        part_bytes=5 * MIB,
    )


@pytest.fixture
def store(store_settings):
    said = store_settings
    keys = {
        "aws_access_key_id": said.s3_access_key_id.get_secret_value(),
        "aws_secret_access_key": said.s3_secret_access_key.get_secret_value(),
    }
    client = boto3.client("s3", endpoint_url=said.s3_endpoint_url, region_name=said.s3_region, **keys)
    if BUCKET not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(sender, "_FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
async def relay(store_settings):
    """The store as pipelines reach it."""
    async with Relay(store_settings.s3_endpoint_url) as relay:
        yield relay


@pytest.fixture
async def pipeline(store_settings, store, relay, tmp_path):
    """A pipeline with a token, and the console behind it."""
    said = store_settings.model_dump() | {"s3_public_endpoint_url": relay.url}
    said |= {"database_url": f"sqlite+aiosqlite:///{tmp_path}/console.db", "kafka": "127.0.0.1:1"}
    service = build(Settings(**said))
    await make_tables(service.store, MIGRATIONS)
    async with Serving(service) as console:
        yield Pipeline(console, await console.token("publish"), tmp_path)
    await service.store.close()


class Pipeline:
    def __init__(self, console, token, directory):
        self.console = console
        self.token = token
        url = str(console.http.base_url).rstrip("/")
        self.settings = ClientSettings(kafka="127.0.0.1:1", url=url, token=SecretStr(token))
        self._directory = directory

    def file(self, size_bytes, seed=0):
        """A file whose parts differ."""
        file = self._directory / "model.onnx"
        file.write_bytes(random.Random(seed).randbytes(size_bytes))
        return file

    async def upload(self, file, version="1"):
        prefix = f"risk/fraud/{version}"
        return await asyncio.to_thread(upload_file, file, target(self.settings), prefix=prefix)

    async def ask(self, path, said):
        return await self.console.http.post(f"/v1/artifacts{path}", json=said, headers=bearer(self.token))


def wanted(size_bytes, **changes):
    said = {"account": "risk", "model": "fraud", "version": "9", "file": "model.onnx", "sha256": "a" * 64}
    return said | {"size_bytes": size_bytes} | changes


def key_of(artifact):
    return artifact.uri.removeprefix(f"s3://{BUCKET}/")


def under_way(store, prefix=""):
    return store.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])


async def test_a_large_file_arrives_whole_in_parts_and_is_not_sent_again(pipeline, store, relay):
    file = pipeline.file(12 * MIB)
    artifact = await pipeline.upload(file)
    assert relay.parts == {1: 1, 2: 1, 3: 1}
    found = store.get_object(Bucket=BUCKET, Key=key_of(artifact))
    assert found["Body"].read() == file.read_bytes()
    assert found["ETag"].strip('"').endswith("-3")
    assert await pipeline.upload(file) == artifact
    assert relay.parts == {1: 1, 2: 1, 3: 1}
    async with pipeline.console.service.store.read() as connection:
        done = [each.action for each in await audit.entries(connection, "risk", 10)]
    assert done[:3] == ["upload.offered", "upload.completed", "upload.offered"]


async def test_only_the_part_that_a_store_lost_is_sent_again(pipeline, store, relay):
    relay.answers = lambda number, times: 503 if (number, times) == (2, 1) else None
    artifact = await pipeline.upload(pipeline.file(12 * MIB), "2")
    assert relay.parts == {1: 1, 2: 2, 3: 1}
    assert store.head_object(Bucket=BUCKET, Key=key_of(artifact))["ContentLength"] == 12 * MIB


async def test_a_store_that_is_away_keeps_what_was_sent_for_a_repetition(pipeline, store, relay):
    file = pipeline.file(12 * MIB)
    relay.answers = lambda number, _times: 503 if number == 3 else None
    with pytest.raises(Unreachable, match=r"part 3 of model.onnx .*HTTP 503.* a repetition sends the rest"):
        await pipeline.upload(file, "3")
    assert len(under_way(store, "ml/risk/fraud/3/")) == 1
    relay.answers = lambda _number, _times: None
    artifact = await pipeline.upload(file, "3")
    assert store.get_object(Bucket=BUCKET, Key=key_of(artifact))["Body"].read() == file.read_bytes()
    assert under_way(store, "ml/risk/fraud/3/") == []


async def test_nothing_is_kept_of_what_a_store_refuses(pipeline, store, relay):
    relay.answers = lambda number, _times: 403 if number == 1 else None
    with pytest.raises(So1sError, match=r"part 1 of model.onnx .*HTTP 403") as refused:
        await pipeline.upload(pipeline.file(12 * MIB), "4")
    assert "X-Amz-Signature" not in str(refused.value)
    assert relay.parts[1] == 5
    assert under_way(store, "ml/risk/fraud/4/") == []


async def test_two_pipelines_with_the_same_bytes_do_not_disturb_each_other(pipeline, store, relay):
    file = pipeline.file(12 * MIB)
    key = f"ml/risk/fraud/7/{hashlib.sha256(file.read_bytes()).hexdigest()}/model.onnx"

    def faster(number, _times):
        """Another one has completed the upload when this one is at its second part."""
        if number != 2:
            return None
        store.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
        return 404

    relay.answers = faster
    artifact = await pipeline.upload(file, "7")
    assert key_of(artifact) == key


async def test_an_upload_without_all_its_parts_is_not_completed(pipeline):
    said = wanted(12 * MIB)
    offered = (await pipeline.ask("", said)).json()["upload"]
    assert (offered["part_bytes"], offered["count"], offered["sent"]) == (5 * MIB, 3, [])
    answer = await pipeline.ask("/complete", said | {"upload_id": offered["upload_id"]})
    assert answer.status_code == 400
    (problem,) = answer.json()["problems"]
    assert (problem["field"], problem["allowed"]) == ("parts", "allowed: all of 1 to 3, sent before")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("parts.number", {"parts": [{"number": 4, "sha256": "a" * 64}]}),
        ("parts.0.number", {"parts": [{"number": 10_001, "sha256": "a" * 64}]}),
        ("parts.0.sha256", {"parts": [{"number": 1, "sha256": "x"}]}),
        ("parts", {"parts": []}),
        ("upload_id", {"upload_id": ""}),
        ("size_bytes", {"size_bytes": 2**45}),
    ],
    ids=["beyond the last", "beyond 10,000", "no checksum", "none", "no upload", "too large"],
)
async def test_a_part_that_breaks_a_rule_is_refused_by_its_field(pipeline, field, changes):
    said = wanted(12 * MIB, upload_id="x", parts=[{"number": 1, "sha256": "a" * 64}])
    answer = await pipeline.ask("/parts", said | changes)
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["field"] == field


@pytest.mark.parametrize("path", ["/parts", "/complete", "/abort"])
async def test_parts_of_another_account_are_refused(pipeline, path):
    parts = {"parts": [{"number": 1, "sha256": "a" * 64}]} if path == "/parts" else {}
    answer = await pipeline.ask(path, wanted(12 * MIB, account="shop", upload_id="x", **parts))
    assert answer.status_code == 403
    assert answer.json()["problems"][0]["field"] == "account"


async def test_what_is_sent_of_an_upload_that_nobody_goes_on_with_is_dropped(pipeline, store, store_settings):
    await pipeline.ask("", wanted(12 * MIB, version="8"))
    parts = S3Uploads(store_settings).parts
    assert await parts.abort_abandoned(0) == 0
    assert len(under_way(store, "ml/risk/fraud/8/")) == 1
    await parts.abort_abandoned(time.time() + 60)
    assert under_way(store) == []


@pytest.mark.parametrize(
    "key", ["backup.tar", "risk/fraud/8/ours/model.onnx", "a/risk/fraud/8/{}/model.onnx"]
)
@pytest.mark.parametrize("base", [f"s3://{BUCKET}/", f"s3://{BUCKET}/ml/"])
async def test_an_upload_in_parts_that_is_somebody_elses_is_left_alone(store, store_settings, base, key):
    place = base.removeprefix(f"s3://{BUCKET}/") + key.format("a" * 64)
    theirs = {"Bucket": BUCKET, "Key": place}
    theirs["UploadId"] = store.create_multipart_upload(**theirs)["UploadId"]
    parts = S3Uploads(store_settings.model_copy(update={"artifacts": base})).parts
    await parts.abort_abandoned(time.time() + 60)
    assert len(under_way(store, place)) == 1
    store.abort_multipart_upload(**theirs)


def test_a_file_that_is_changed_while_it_is_read_is_named(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"now")
    with pytest.raises(InvalidInput, match=r"model.onnx.*a file that nobody changes"):
        list(sender.cut(file, 2, "a" * 64))


@pytest.mark.parametrize(
    "size_bytes", [5 * MIB + 1, 640_000 * MIB, 640_000 * MIB + 1, MOST_ARTIFACT_BYTES], ids=str
)
def test_the_largest_artifact_is_no_more_parts_than_s3_takes(size_bytes):
    cut = plan(size_bytes, 5 * MIB)
    assert cut.count <= MOST_PARTS
    numbers = (1, cut.count)
    assert all(0 < cut.bytes_of(number) <= cut.part_bytes for number in numbers)
    assert (cut.count - 1) * cut.part_bytes + cut.bytes_of(cut.count) == size_bytes
