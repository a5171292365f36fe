"""The whole router: a real broker, a real database, a real Envoy."""

import uuid

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from services.router.app import build
from services.router.settings import Settings
from so1s.events import (
    CheckFinished,
    DeploymentRetiring,
    Event,
    RoutesApplied,
    RoutesRejected,
    VariantInUse,
    VariantReleased,
    WeightsChanged,
    event_class,
)
from so1s.events.codec import unwrap
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from so1s.store import Store
from tests.router.driver import MemoryMesh, Router, ready, requested


class Ears:
    """Hears what the router says."""

    def __init__(self, consumer: AIOKafkaConsumer):
        self.consumer = consumer

    async def next(self) -> Event:
        record = await self.consumer.getone()
        envelope = unwrap(record.headers, record.value)
        return envelope.open(event_class(envelope.type)).event


@pytest.fixture
def settings(world, mesh, kafka, tmp_path):
    return Settings(
        kafka=kafka,
        database_url=SecretStr(f"sqlite+aiosqlite:///{tmp_path}/router.db"),
        world_dir=world.directory,
        gateway_port=world.gateway_port,
        envoy_admin_port=world.admin_port,
        instance=uuid.uuid4().hex,
        poll_seconds=3600,  # what an event says is not put off to the next look
        drift_seconds=3600,
    )


async def test_events_become_traffic_and_traffic_is_told_in_events(settings, caller, deploy, kafka):
    host = "fraud--risk.so1s.localhost"
    fraud, following = deploy("fraud"), deploy("fraud-next")
    async with build(settings).running(), AsyncPublisher(KafkaSettings(kafka=kafka)) as publisher:
        consumer = AIOKafkaConsumer(
            RoutesApplied.topic.name, bootstrap_servers=kafka, auto_offset_reset="earliest"
        )
        async with consumer:
            ears = Ears(consumer)
            await publisher.publish(ready(service=fraud.service))
            assert (await ears.next()).weights == {"fraud": 1}
            assert (await caller.call(host)).json()["replica"] == "fraud-0"
            await publisher.publish(ready("fraud-next", service=following.service))
            assert (await ears.next()).revision == 2
            changed = WeightsChanged(account="risk", endpoint="fraud", weights={"fraud-next": 1})
            await publisher.publish(changed)
            assert (await ears.next()).weights == {"fraud-next": 1}
            assert (await caller.call(host)).json()["replica"] == "fraud-next-0"


async def test_the_router_decides_alike_on_postgresql(postgres):
    store = Store(postgres, producer="router", schema=f"router_{uuid.uuid4().hex}")
    await store.migrate("services.router.migrations")
    router = Router(store, MemoryMesh())
    await router.take(requested("fraud"), ready())
    await router.take(requested("fraud-next"))
    waits = WeightsChanged(account="risk", endpoint="fraud", weights={"fraud": 1, "fraud-next": 1})
    assert await router.take(waits) == []
    news = ready("fraud-next", requires=["quality"])
    await router.take(news)
    passed = CheckFinished.of(news, check="quality", passed=True, reason="accuracy 0.950")
    of_check, of_weights = await router.take(passed)  # each chain hears of the route that has both in it
    assert of_check.weights == of_weights.weights == {"fraud": 1, "fraud-next": 1}
    retiring = DeploymentRetiring(account="risk", deployment="fraud-next", revision=1, endpoint="fraud")
    assert [type(event) for event in await router.take(retiring, retiring)] == [VariantInUse, VariantInUse]
    again = WeightsChanged(account="risk", endpoint="fraud", weights={"fraud": 1, "fraud-next": 0})
    said = [*await router.take(again), *await router.turn()]
    assert {type(event) for event in said} == {RoutesApplied, VariantReleased}
    unknown = WeightsChanged(account="risk", endpoint="fraud", weights={"unknown": 1})
    assert [type(event) for event in await router.take(unknown)] == [RoutesRejected]
    await store.close()
