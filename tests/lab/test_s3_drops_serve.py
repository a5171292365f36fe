"""From a file in a real bucket, whose store tells of it by Kafka, to an answer of its endpoint."""

from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from so1s_lab.ports import any_port
from so1s_lab.s3 import S3, Notifying
from tests.scenarios.dropping import Dropping, dropped_files_serve

TOPIC = "s3-notifications"


@pytest.fixture
def dropping(lab, start, tmp_path) -> Iterator[Dropping]:
    """A laptop's platform, and the store that writes to its broker."""
    port = any_port()
    s3 = S3(lab.directory("told-s3"), Notifying(f"127.0.0.1:{port}", TOPIC), name="told-s3")
    store = {
        "s3_endpoint_url": s3.endpoint,
        "s3_access_key_id": s3.access_key,
        "s3_secret_access_key": s3.secret_key,
    }
    # The topic is looked for as often as the bucket is listed; it comes after the broker, before the store.
    platform = Dropping(tmp_path, store, ports={"kafka": port}, drops_seconds=5, drops_topic=TOPIC)
    try:
        platform.start()
        platform.run(_make_topic(platform.at.kafka))
        start(s3)
        platform.make_bucket()
        yield platform
        platform.stop()
    finally:
        platform.close()


async def _make_topic(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    await admin.close()


def test_what_a_store_tells_of_a_dropped_file_comes_with_its_event(dropping):
    dropping.wait_until_told()
    dropped_files_serve(dropping, event="ObjectCreated:Put")
