import uuid
from datetime import timedelta

import httpx
import pytest

from services.billing.app import build, rebuild
from services.billing.settings import Settings
from so1s.broker.reader import Reader
from so1s.broker.topics import dead_letter_topic
from so1s.events import UsageCorrected
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from tests.billing.usage import DAY, sampled


@pytest.fixture
def settings(kafka, tmp_path):
    return Settings(
        kafka=kafka, database_url=f"sqlite+aiosqlite:///{tmp_path}/billing.db", instance="one", http_port=0
    )


@pytest.fixture
def account():
    return f"risk-{uuid.uuid4().hex[:8]}"


async def test_usage_that_comes_twice_and_among_poison_is_billed_once(settings, account, eventually, capsys):
    def usage(number, **changes):
        window = DAY + timedelta(seconds=5 * number)
        return sampled(**({"account": account, "window_start": window} | changes))

    service = build(settings)
    kafka = KafkaSettings(kafka=settings.kafka)
    async with service.running(), AsyncPublisher(kafka) as publisher:
        for number in range(20):
            for _ in range(2):
                await publisher.publish(usage(number), id=f"{account}-{number}")
        await publisher.publish(usage(20, quantities={"cpu_used": 2**62}))
        await publisher.publish(usage(0, kind=UsageCorrected, quantities={"cpu_reserved": 0}))

        async def charged():
            return (await bill(service, account))["total"]["amount_nano_usd"] == 20 * (
                27_778 + 3_472
            ) - 27_778

        await eventually(charged, seconds=30)
        again = await bill(service, f"{account}/recomputed")
        assert (again["equal"], again["total"]["amount_nano_usd"]) == (True, 20 * 31_250 - 27_778)
        await eventually(lambda: buried(kafka, account), seconds=30)
    capsys.readouterr()  # the service's log
    assert await rebuild(settings) == 0
    told = f"{account}  ledger 0.000597222 USD  archive 0.000597222 USD  equal"
    assert told in capsys.readouterr().out.splitlines()  # others used the broker too


async def bill(service, path):
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service.app), base_url="http://billing"
    ) as http:
        return (await http.get(f"/v1/bills/{path}")).raise_for_status().json()


async def buried(kafka, account):
    """Whether the poison, and nothing else, is kept as a dead letter."""
    async with Reader(kafka, [dead_letter_topic("billing").name]) as reader:
        letters = [record async for record in reader.past() if account.encode() in (record.key or b"")]
    return len(letters) == 1
