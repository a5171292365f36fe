"""Files that are dropped into a bucket become ModelUploaded, each once."""

import asyncio
import json
from dataclasses import replace

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from pydantic import SecretStr

from services.console import audit, drops
from services.console.adapters.listing_s3 import S3Listing
from services.console.app import build
from services.console.domain.drops import Base
from services.console.heard import Heard
from services.console.reconciler import Drops
from services.console.settings import UploadSettings
from services.console.watchers import Notifications
from so1s.errors import Unreachable
from tests.console.conftest import bearer

BASE = Base("drops", "in/")


@pytest.fixture
def upload_settings(s3_url):
    return UploadSettings(
        artifacts="s3://models/ml/",
        s3_endpoint_url=s3_url,
        s3_access_key_id=SecretStr("key"),
        s3_secret_access_key=SecretStr("secret"),
    )


@pytest.fixture
def bucket(s3_url):
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.resource("s3", endpoint_url=s3_url, **keys)
    bucket = client.create_bucket(Bucket="drops")
    yield bucket
    bucket.objects.delete()


@pytest.fixture
def reconciler(console, upload_settings, bucket):
    return Drops(BASE, S3Listing(upload_settings), console.service.store, Heard(), days=30)


async def published(console):
    return [json.loads(row.value) for row in await console.waiting()]


async def test_a_dropped_file_is_published_once_whatever_is_listed_again(console, reconciler, bucket):
    bucket.put_object(Key="in/risk/fraud/3.onnx", Body=b"bytes")
    await reconciler.reconcile()
    await asyncio.gather(reconciler.reconcile(), reconciler.reconcile())
    (event,) = await published(console)
    assert event["artifact"]["uri"] == "s3://drops/in/risk/fraud/3.onnx"
    assert (event["account"], event["model"], event["version"]) == ("risk", "fraud", "3")


async def test_a_directory_is_published_when_its_marker_is_there(console, reconciler, bucket):
    bucket.put_object(Key="in/risk/fraud/4/model.onnx", Body=b"bytes")
    await reconciler.reconcile()
    assert await published(console) == []
    bucket.put_object(Key="in/risk/fraud/4/_SUCCESS", Body=b"")
    await reconciler.reconcile()
    assert [event["version"] for event in await published(console)] == ["4"]


async def test_more_than_one_page_of_a_listing_is_seen(console, reconciler, bucket):
    stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # ten times as fast as through its HTTP
    for number in range(1001):
        stored.put_object("drops", f"in/risk/fraud/5/{number}", b"")
    bucket.put_object(Key="in/risk/fraud/z.onnx", Body=b"bytes")
    await reconciler.reconcile()
    assert [event["version"] for event in await published(console)] == ["z"]


async def test_a_refusal_is_kept_for_its_account_alone(console, reconciler, bucket):
    bucket.put_object(Key="in/risk/fraud/run:7.onnx", Body=b"bytes")
    await reconciler.reconcile()
    await reconciler.reconcile()
    assert await published(console) == []
    token = await console.token("read")
    (drop,) = (await console.http.get("/v1/drops", headers=bearer(token))).json()["drops"]
    assert "run-7" in drop["problem"]
    other = await console.token("read", account="ads")
    assert (await console.http.get("/v1/drops", headers=bearer(other))).json() == {"drops": []}
    assert (await console.http.get("/v1/drops")).status_code == 401


async def test_who_dropped_what_is_told_with_the_event_and_kept_for_the_audit(console, reconciler, bucket):
    bucket.put_object(Key="in/risk/fraud/6.onnx", Body=b"bytes")
    bucket.put_object(Key="in/risk/fraud/7.onnx", Body=b"bytes")
    told = {"eventName": "s3:ObjectCreated:Put", "userIdentity": {"principalId": "airflow"}}
    place = {"s3": {"bucket": {"name": "drops"}, "object": {"key": "in/risk/fraud/6.onnx"}}}
    notifications = Notifications(console.service.settings, "s3", BASE, reconciler.heard, lambda: None)
    notifications.hear(json.dumps({"Records": [told | place]}).encode())
    await reconciler.reconcile()
    six, seven = (event["dropped"] for event in await published(console))
    assert (six["event"], six["principal"]) == ("ObjectCreated:Put", "airflow")
    assert (seven["event"], seven["principal"]) == ("", "")
    async with console.service.store.read() as connection:
        noted = [
            (each.actor, each.action, each.detail) for each in await audit.entries(connection, "risk", 2)
        ]
    assert [(actor, action, detail["event"]) for actor, action, detail in noted] == [
        ("bucket", "drop.published", "listing"),
        ("bucket:airflow", "drop.published", "ObjectCreated:Put"),
    ]


async def test_a_drop_is_forgotten_only_long_after_its_files_are_gone(console, reconciler, bucket):
    async def remembered(days):
        await replace(reconciler, days=days).reconcile()
        async with console.service.store.read() as connection:
            return len(await drops.known(connection))

    bucket.put_object(Key="in/risk/fraud/3.onnx", Body=b"bytes")
    assert [await remembered(days=1e-9) for _ in range(3)] == [1, 1, 1]
    bucket.objects.delete()
    assert await remembered(days=1) == 1
    bucket.put_object(Key="in/risk/fraud/3.onnx", Body=b"bytes")  # such as a lifecycle rule that went too far
    assert await remembered(days=1e-9) == 1
    assert len(await published(console)) == 1
    bucket.objects.delete()
    await remembered(days=1)
    assert await remembered(days=1e-9) == 0


async def test_a_bucket_that_is_away_is_named(console, upload_settings):
    listing, store = S3Listing(upload_settings), console.service.store
    with pytest.raises(Unreachable, match="s3://nowhere/ cannot be listed"):
        await Drops(Base("nowhere", ""), listing, store, Heard(), days=30).reconcile()


def test_a_malformed_notification_wakes_nobody_and_stops_nothing(settings):
    woken = []
    notifications = Notifications(settings, "s3-events", BASE, Heard(), lambda: woken.append(1))
    record = {"s3": {"bucket": {"name": "drops"}, "object": {"key": "in/risk"}}}
    for message in (b"", b"\xff", b"{}", json.dumps({"Records": [record]}).encode()):
        notifications.hear(message)
    assert woken == [1]


def test_a_console_watches_a_bucket_only_where_it_is_told_to(settings, upload_settings):
    said = settings.model_copy(update={"drops": "s3://drops/in/", "drops_topic": "s3-events"})
    for given, names in ((settings, set()), (said, {"drops", "notifications"})):
        loops = {loop.name for loop in build(given)._loops}
        assert loops - {"forget"} == names
