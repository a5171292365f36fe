"""Uploads by URLs that the console signs, on an S3 that enforces signatures and checksums."""

import asyncio
import contextlib

import boto3
import httpx
import pytest
from pydantic import SecretStr

from services.console.adapters.uploads_s3 import S3Uploads
from services.console.app import build
from services.console.domain.upload import Upload
from services.console.settings import Settings, UploadSettings
from so1s.artifacts import target
from so1s.artifacts import upload as upload_file
from so1s.platform import ClientSettings
from tests.console.conftest import MIGRATIONS, Serving, digest

BODY = b"weights" * 100_000


@pytest.fixture
def settings(s3):
    settings = UploadSettings(
        artifacts="s3://uploads/ml/",
        s3_endpoint_url=s3.endpoint,
        s3_region=s3.region,
        s3_access_key_id=SecretStr(s3.access_key),
        s3_secret_access_key=SecretStr(s3.secret_key),
    )
    store = client(s3)
    with contextlib.suppress(store.exceptions.BucketAlreadyOwnedByYou):
        store.create_bucket(Bucket="uploads")
    return settings


def client(s3):
    keys = {"aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key}
    return boto3.client("s3", endpoint_url=s3.endpoint, region_name=s3.region, **keys)


def upload(version, body=BODY):
    said = {"account": "risk", "model": "fraud", "version": version, "file": "model.onnx"}
    return Upload(**said, sha256=digest(body), size_bytes=len(body))


async def send(put, body, **headers):
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.put(put.url, content=body, headers={**put.headers, **headers})


async def test_a_signed_url_takes_no_other_bytes(settings):
    uploads, wanted = S3Uploads(settings), upload("2")
    offer = await uploads.offer(wanted)
    others = b"x" * len(BODY)
    assert (await send(offer.by, others)).status_code in {400, 403}
    longer = {"content-length": str(len(BODY) + 1)}
    assert (await send(offer.by, BODY + b"x", **longer)).status_code in {400, 403}
    without = {name: value for name, value in offer.by.headers.items() if "checksum" not in name}
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.put(offer.by.url, content=others, headers=without)).status_code in {400, 403}
    assert (await uploads.offer(wanted)).by is not None


async def test_a_signed_url_ends(settings, eventually):
    uploads = S3Uploads(settings.model_copy(update={"upload_url_seconds": 1}))
    offer = await uploads.offer(upload("3"))

    async def is_refused():
        return (await send(offer.by, b"x" * len(BODY))).status_code == 403

    await eventually(is_refused)


async def test_a_pipeline_with_a_token_sends_its_bytes_to_s3(s3, settings, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(BODY)
    said = settings.model_dump() | {"database_url": f"sqlite+aiosqlite:///{tmp_path}/console.db"}
    service = build(Settings(**said | {"kafka": "127.0.0.1:1"}))
    await service.store.migrate(MIGRATIONS)
    async with Serving(service) as console:
        url, token = str(console.http.base_url).rstrip("/"), await console.token("publish")
        pipeline = ClientSettings(kafka="127.0.0.1:1", url=url, token=SecretStr(token))
        artifact = await asyncio.to_thread(upload_file, file, target(pipeline), prefix="risk/fraud/9")
        key = artifact.uri.removeprefix("s3://uploads/")
        found = client(s3).get_object(Bucket="uploads", Key=key)
        assert found["Body"].read() == BODY
        again = await asyncio.to_thread(upload_file, file, target(pipeline), prefix="risk/fraud/9")
        assert again == artifact
    await service.store.close()
