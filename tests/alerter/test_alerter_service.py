"""The whole service on a real broker and a local Slack."""

import asyncio
import uuid
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from services.alerter.adapters.dead_letters_kafka import KafkaDeadLetters
from services.alerter.app import build
from services.alerter.settings import Settings
from so1s.broker.producer import Producer
from so1s.broker.topics import dead_letter_topic, provision
from so1s.errors import TemporaryError
from so1s.events.envelope import Record
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings


@pytest.fixture
async def service(kafka, slack, tmp_path):
    settings = Settings(
        kafka=kafka,
        database_url=SecretStr(f"sqlite+aiosqlite:///{tmp_path}/service.db"),
        slack_url=f"{slack.url}/api/",
        slack_token=SecretStr("xoxb-test"),
        slack_channel="C0SO1S",
        tell_interval_seconds=0.05,
    )
    service = build(settings)
    async with service.running():
        yield service


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):  # noqa: ASYNC110 - the world has no event for it
            await asyncio.sleep(0.05)
    return answer


async def test_windows_on_a_topic_become_a_message_that_is_edited_and_a_list_for_the_command_line(
    service, kafka, slack, sample
):
    async def told(word):
        messages = await slack.messages()
        return messages if messages and word in messages[0]["text"] else None

    async with AsyncPublisher(KafkaSettings(kafka=kafka)) as publisher:
        for window in range(7):
            await publisher.publish(sample(window, errors=100), id=f"down-{window}")
        await until(lambda: told("unavailable"))
        for window in range(7, 15):
            await publisher.publish(sample(window), id=f"up-{window}")
        (message,) = await until(lambda: told("resolved"))
    assert message["text"].startswith("✅ fraud-next: resolved after 35 s")

    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://alerter") as http:
        answer = (await http.get("/v1/incidents", params={"account": "risk"})).json()
        refused = await http.get("/v1/incidents", params={"account": "No!"})
    (incident,) = answer["incidents"]
    assert incident["state"] == "resolved"
    assert incident["subject"] == "endpoint fraud, variant fraud-next"
    assert incident["resolved_at"] == sample(7).window_start.isoformat()
    assert (refused.status_code, "3 to 20 characters" in refused.text) == (400, True)


async def test_dead_letters_are_counted_by_service_whatever_partitions_their_topic_has(kafka):
    settings = KafkaSettings(kafka=kafka)
    counted, empty, wide = (f"{name}-{uuid.uuid4().hex}" for name in ("counted", "empty", "wide"))
    topics = [dead_letter_topic(name) for name in (counted, empty, wide)]
    topics[2] = replace(topics[2], partitions=3)  # as a broker makes it by its own defaults
    await provision(settings, topics)
    async with Producer(settings) as producer:
        for topic, number in ((topics[0], 3), (topics[2], 30)):
            letters = [
                Record("", topic.name, str(n).encode(), [], b"\xff not even JSON") for n in range(number)
            ]
            await producer.send(letters)
    kept = await KafkaDeadLetters(settings).kept()
    assert (kept[counted], kept[empty], kept[wide]) == (3, 0, 30)


async def test_a_broker_that_is_away_is_a_temporary_error():
    with pytest.raises(TemporaryError):
        await KafkaDeadLetters(KafkaSettings(kafka="127.0.0.1:1")).kept()
