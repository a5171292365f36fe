"""Topics are made once, as the catalogue says, and their partitions stay as they are."""

import asyncio
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from so1s.broker.topics import Mismatch, dead_letter_topic, provision, wanted
from so1s.events import Topic, catalogue
from so1s.settings import KafkaSettings


@pytest.fixture
def settings(kafka):
    return KafkaSettings(kafka=kafka)


@pytest.fixture
def topic():
    return Topic(f"topics.{uuid.uuid4().hex}", partitions=3, retention_days=2)


@pytest.fixture
async def admin(kafka):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    yield admin
    await admin.close()


async def partitions(admin, topic):
    (described,) = await admin.describe_topics([topic.name])
    return len(described["partitions"])


async def test_a_topic_is_made_with_its_partitions_and_retention(settings, topic, admin):
    assert await provision(settings, [topic]) == []
    assert await partitions(admin, topic) == 3
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    configs = {name: value for name, value, *_ in answer.resources[0][4]}
    assert configs["retention.ms"] == str(2 * 86_400_000)
    assert configs["cleanup.policy"] == "delete"


async def test_topics_that_are_there_are_left_alone(settings, topic, admin):
    await provision(settings, [topic])
    assert await provision(settings, [topic]) == []
    assert await partitions(admin, topic) == 3


async def test_another_number_of_partitions_is_told_and_never_changed(settings, topic, admin):
    await provision(settings, [topic])
    more = Topic(topic.name, partitions=6, retention_days=2)
    assert await provision(settings, [more]) == [Mismatch(more, partitions=3)]
    assert await partitions(admin, topic) == 3


async def test_services_that_start_together_make_topics_once(settings, topic):
    answers = await asyncio.gather(*(provision(settings, [topic]) for _ in range(5)))
    assert answers == [[]] * 5


async def test_a_service_warns_of_a_topic_with_other_partitions_and_works(bench, eventually, logged):
    odd = Topic(bench.Noted.topic.name, partitions=1, retention_days=1)
    await provision(bench.settings(), [odd])

    @bench.consumer.on(bench.Noted)
    async def ignore(_noted):
        """Nothing to do."""

    async with bench.service():
        (warning,) = [line for line in logged if line.get("topic") == bench.Noted.topic.name]
    assert (warning["partitions"], warning["expected"]) == (1, 2)


async def test_a_service_that_may_make_no_topics_names_those_that_are_missing(bench, logged, settings):
    await provision(settings, [topic for topic in wanted([]) if topic != bench.Heard.topic])
    async with bench.service(provision_topics=False):
        named = {line["topic"] for line in logged if line["log_level"] == "error"}
    assert named == {bench.Heard.topic.name, dead_letter_topic(bench.name).name}


def test_every_event_of_the_catalogue_and_every_service_has_a_topic():
    names = {topic.name for topic in wanted(["builder"])}
    assert {event.topic.name for event in catalogue().values()} <= names
    assert dead_letter_topic("builder").name == "so1s.dlq.builder"
    assert "so1s.dlq.builder" in names
