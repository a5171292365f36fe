"""Files that are dropped into a real store, which tells Kafka: they become ModelUploaded at once."""

import asyncio
import json

import boto3
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import SecretStr
from sqlalchemy import select

from services.console.adapters.listing_s3 import S3Listing
from services.console.domain.drops import Base
from services.console.heard import Heard
from services.console.reconciler import Drops
from services.console.settings import UploadSettings
from services.console.watchers import Notifications
from so1s.blocking import wait_for
from so1s.loop import Loop
from so1s.settings import KafkaSettings
from so1s.store import Store
from so1s.store.tables import outbox
from so1s_lab.s3 import S3, Notifying

BASE = Base("drops", "in/")
TOPIC = "s3-notifications"


@pytest.fixture(scope="module")
def notifying_s3(lab, kafka, start):
    async def make_topic():
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        await admin.close()

    wait_for(make_topic())
    store = S3(lab.directory("notifying-s3"), Notifying(kafka, TOPIC), name="notifying-s3")
    start(store)
    return store


async def test_a_notification_brings_the_listing_that_publishes(notifying_s3, kafka, tmp_path, eventually):
    s3 = notifying_s3
    keys = {"aws_access_key_id": s3.access_key, "aws_secret_access_key": s3.secret_key}
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name=s3.region, **keys)
    client.create_bucket(Bucket="drops")
    settings = UploadSettings(
        artifacts="s3://models/",
        s3_endpoint_url=s3.endpoint,
        s3_access_key_id=SecretStr(s3.access_key),
        s3_secret_access_key=SecretStr(s3.secret_key),
    )
    store = Store(f"sqlite+aiosqlite:///{tmp_path}/console.db", producer="console")
    await store.migrate("services.console.migrations")
    heard = Heard()
    drops = Drops(BASE, S3Listing(settings), store, heard, days=30)
    listing = Loop("drops", drops.reconcile, every_seconds=3600)
    notifications = Notifications(KafkaSettings(kafka=kafka), TOPIC, BASE, heard, listing.wake)
    tasks = [asyncio.create_task(each()) for each in (listing.run, notifications.watch)]

    async def versions():
        async with store.read() as connection:
            return sorted(
                json.loads(each)["version"] for each in await connection.scalars(select(outbox.c.value))
            )

    async def first():
        return await versions() == ["3"]

    async def both():
        return await versions() == ["3", "4"]

    client.put_object(Bucket="drops", Key="in/risk/fraud/3.onnx", Body=b"bytes")
    await eventually(first)
    client.put_object(Bucket="drops", Key="in/risk/fraud/4/model.onnx", Body=b"bytes")
    client.put_object(Bucket="drops", Key="in/risk/fraud/4/_SUCCESS", Body=b"")
    await eventually(both)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()
