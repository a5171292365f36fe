"""Where a model's bytes go, and how they come there."""

from contextlib import asynccontextmanager

import boto3
import httpx
import pytest
from pydantic import SecretStr, ValidationError

from services.console.app import build
from services.console.settings import Settings
from tests.console.conftest import MIGRATIONS, Asked, bearer, digest
from tests.tables import make_tables

BODY = b"w" * 3_000_000


def wanted(body=BODY, **changes):
    upload = {"account": "risk", "model": "fraud", "version": "3", "file": "model.onnx"}
    return upload | {"sha256": digest(body), "size_bytes": len(body)} | changes


@pytest.fixture
def ask(console):
    async def post(token, upload):
        return await console.http.post("/v1/artifacts", json=upload, headers=bearer(token))

    return post


@pytest.fixture
def put(console):
    async def send(token, path, body=BODY):
        return await console.http.put(path, content=body, headers=bearer(token))

    return send


async def test_bytes_are_sent_to_the_console_of_a_machine_and_lie_where_builders_look(
    console, ask, put, tmp_path
):
    token = await console.token("publish")
    offer = (await ask(token, wanted())).json()
    key = f"risk/fraud/3/{digest(BODY)}/model.onnx"
    assert offer["artifact"] == {
        "uri": f"file://{tmp_path}/artifacts/{key}",
        "sha256": digest(BODY),
        "size_bytes": len(BODY),
    }
    assert (offer["upload"]["method"], offer["upload"]["url"]) == ("PUT", f"/v1/artifacts/{key}")
    answer = await put(token, offer["upload"]["url"])
    assert (answer.status_code, answer.json()["artifact"]) == (201, offer["artifact"])
    assert (tmp_path / "artifacts" / key).read_bytes() == BODY


async def test_bytes_that_are_there_are_not_asked_for_again(console, ask, put):
    token = await console.token("publish")
    offer = (await ask(token, wanted())).json()
    await put(token, offer["upload"]["url"])
    assert (await ask(token, wanted())).json() == {"artifact": offer["artifact"], "upload": None}
    assert (await put(token, offer["upload"]["url"])).status_code == 201


@pytest.mark.parametrize("body", [BODY[:-1], BODY + b"w", b"x" * len(BODY)])
async def test_nothing_is_kept_of_other_bytes_than_were_said(console, ask, tmp_path, body):
    token = await console.token("publish")
    url = (await ask(token, wanted())).json()["upload"]["url"]
    headers = bearer(token) | {"content-length": str(len(BODY))}
    answer = await console.http.put(url, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["field"] == "body"
    assert [each for each in (tmp_path / "artifacts").rglob("*") if each.is_file()] == []


async def test_another_account_is_refused_by_its_field(console, ask, put, tmp_path):
    token = await console.token("publish")
    answers = [
        await ask(token, wanted(account="shop")),
        await put(token, f"/v1/artifacts/shop/fraud/3/{digest(BODY)}/model.onnx"),
    ]
    for answer in answers:
        assert answer.status_code == 403
        assert answer.json()["problems"][0]["field"] == "account"
    assert not (tmp_path / "artifacts").exists()


async def test_a_token_that_publishes_nothing_uploads_nothing(console, ask, put):
    token = await console.token("read", "operate", "check")
    answers = [await ask(token, wanted()), await put(token, "/v1/artifacts/risk/fraud/3/x/model.onnx")]
    assert [answer.status_code for answer in answers] == [403, 403]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("file", "../x"),
        ("file", ".hidden"),
        ("version", ".."),
        ("model", "Fraud"),
        ("sha256", "0"),
        ("size_bytes", -1),
        ("size_bytes", 2**40),
        ("x", 1),
    ],
)
async def test_a_broken_rule_names_the_field(console, ask, field, value):
    answer = await ask(await console.token("publish"), wanted(**{field: value}))
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["field"] == field


@pytest.mark.parametrize("file", ["..%2F..%2Fx", "%2e%2e", "x%00"])
async def test_no_path_leaves_the_place_of_artifacts(console, put, file):
    token = await console.token("publish")
    answer = await put(token, f"/v1/artifacts/risk/fraud/3/{digest(BODY)}/{file}")
    assert answer.status_code in {400, 404}


async def test_an_upload_says_its_length_first(console, tmp_path):
    async def chunks():
        yield BODY

    headers = bearer(await console.token("publish"))
    url = f"/v1/artifacts/risk/fraud/3/{digest(BODY)}/model.onnx"
    answer = await console.http.put(url, content=chunks(), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["field"] == "content-length"


@pytest.mark.parametrize("base", ["s3://models", "https://x/", "file://artifacts/", "s3:///"])
def test_another_kind_of_place_is_refused_at_the_start(base):
    with pytest.raises(ValidationError, match="allowed: s3://BUCKET/PREFIX/"):
        Settings(database_url="sqlite+aiosqlite:///x", artifacts=base)


@asynccontextmanager
async def console_on(settings, s3_url):
    """A console whose artifacts are on S3."""
    said = {
        "artifacts": "s3://models/ml/",
        "s3_endpoint_url": s3_url,
        "s3_access_key_id": SecretStr("key"),
        "s3_secret_access_key": SecretStr("secret"),
        "upload_url_seconds": 60,
    }
    service = build(settings.model_copy(update=said))
    await make_tables(service.store, MIGRATIONS)
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as http:
        yield Asked(service, http)
    await service.store.close()


@pytest.fixture
async def on_s3(s3_url, settings):
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=s3_url, **keys).create_bucket(Bucket="models")
    async with console_on(settings, s3_url) as console:
        yield console


async def test_bytes_go_to_s3_by_a_url_that_allows_these_alone(on_s3):
    token = await on_s3.token("publish")
    offer = (await on_s3.http.post("/v1/artifacts", json=wanted(), headers=bearer(token))).json()
    assert offer["artifact"]["uri"] == f"s3://models/ml/risk/fraud/3/{digest(BODY)}/model.onnx"
    upload = offer["upload"]
    url = httpx.URL(upload["url"])
    assert set(url.params["X-Amz-SignedHeaders"].split(";")) >= {"content-length", "x-amz-checksum-sha256"}
    assert (url.params["X-Amz-Expires"], url.params["X-Amz-Algorithm"]) == ("60", "AWS4-HMAC-SHA256")
    async with httpx.AsyncClient() as http:
        (await http.put(url, content=BODY, headers=upload["headers"])).raise_for_status()
    again = (await on_s3.http.post("/v1/artifacts", json=wanted(), headers=bearer(token))).json()
    assert again == {"artifact": offer["artifact"], "upload": None}


async def test_bytes_for_s3_do_not_go_through_the_console(on_s3):
    token = await on_s3.token("publish")
    path = f"/v1/artifacts/risk/fraud/3/{digest(BODY)}/model.onnx"
    answer = await on_s3.http.put(path, content=BODY, headers=bearer(token))
    assert answer.status_code == 404


async def test_where_s3_is_away_a_client_is_told_to_come_again(settings):
    async with console_on(settings, "http://127.0.0.1:1") as console:
        token = await console.token("publish")
        answer = await console.http.post("/v1/artifacts", json=wanted(), headers=bearer(token))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
