"""An event that Kafka refuses waits beside the way: its service goes on."""

import httpx
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from so1s.events.envelope import Received
from so1s.service import Service
from so1s.store import Transaction

LARGE = "x" * 5000


async def limit_answers(bench, limit):
    """Let the topic of the answers take only so many bytes."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.kafka)
    await admin.start()
    name, configs = bench.Heard.topic.name, {"max.message.bytes": str(limit)}
    if name in await admin.list_topics():
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs)])
    else:
        await admin.create_topics([NewTopic(name, 2, 1, topic_configs=configs)])
    await admin.close()


def answering(bench):
    @bench.consumer.on(bench.Noted)
    async def answer(noted):
        return bench.hear(noted.number, reason=LARGE if noted.number == 1 else "")


async def get(service, path):
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        return await http.get(path)


async def test_an_answer_that_kafka_refuses_holds_up_no_other_and_leaves_once_the_topic_takes_it(
    bench, eventually, monkeypatch
):
    monkeypatch.setattr("so1s.service._RELAY_SECONDS", 0.05)
    monkeypatch.setattr("so1s.store.outbox._FIRST_RETRY_SECONDS", 0.1)
    await limit_answers(bench, 2000)
    answering(bench)
    await bench.publish(bench.note(1), bench.note(2), bench.note(3), partition=0)
    async with bench.service() as service:
        await eventually(bench.is_done)
        assert await bench.heard() == [2, 3]
        await eventually(lambda: _says(service, "so1s_outbox_refused 1.0"))
        assert (await get(service, "/readyz")).status_code == 200
        await limit_answers(bench, 1_000_000)
        await eventually(lambda: _says(service, "so1s_outbox_refused 0.0"))
        assert sorted(await bench.heard()) == [1, 2, 3]


async def _says(service, metric):
    return metric in (await get(service, "/metrics")).text


async def test_a_replica_that_is_restarted_keeps_what_kafka_refused(bench, eventually):
    await limit_answers(bench, 2000)
    answering(bench)
    await bench.publish(bench.note(1))
    async with bench.service():
        await eventually(bench.is_done)
    assert await bench.heard() == []
    async with bench.service() as service:
        assert await service.store.outbox.depth() == (1, 1)


async def test_a_consumer_without_a_database_keeps_the_event_whose_answer_kafka_refuses(bench, eventually):
    await limit_answers(bench, 2000)
    answering(bench)
    await bench.publish(bench.note(1), bench.note(2), partition=0)
    async with Service(bench.name, bench.settings(), consumer=bench.consumer).running():
        await eventually(bench.is_done)
    assert await bench.heard() == [2]
    (letter,) = await bench.dead_letters()
    assert b"Kafka refuses what it said" in dict(letter.headers)["so1s_error"]
    assert letter.value == (await bench.records(bench.Noted.topic))[0].value


async def test_a_consumer_of_batches_without_a_database_keeps_the_events_whose_answers_kafka_refuses(
    bench, eventually
):
    @bench.consumer.on(bench.Noted, batch=True)
    async def answer(batch: list[Received], tx: Transaction) -> None:
        for each in batch:
            reason = LARGE if each.event.number == 1 else ""
            tx.emit(bench.hear(each.event.number, reason=reason), id=f"of {each.id}")

    await limit_answers(bench, 2000)
    await bench.publish(bench.note(1), bench.note(2), partition=0)
    async with Service(bench.name, bench.settings(), consumer=bench.consumer).running():
        await eventually(bench.is_done)
        letters = await bench.dead_letters()
    assert await bench.heard() == [2]
    assert b"Kafka refuses what it said" in dict(letters[0].headers)["so1s_error"]
    assert letters[0].value == (await bench.records(bench.Noted.topic))[0].value
