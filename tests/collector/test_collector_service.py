import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime

import psutil
import pytest

from services.collector.app import build
from services.collector.settings import Settings
from so1s.broker.reader import Reader
from so1s.events import GatewaySampled, UsageSampled
from so1s.events.codec import decode
from so1s.settings import KafkaSettings


@pytest.fixture
def replica(tmp_path):
    """A real process, recorded as a replica of an account of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        record = {
            "uid": uuid.uuid4().hex, "account": f"risk-{uuid.uuid4().hex[:8]}", "deployment": "fraud",
            "revision": 1, "model": "fraud", "version": "3", "endpoint": None, "user": "jiho", "labels": {},
            "resources": {"cpu_millicores": 100, "memory_mib": 64, "gpus": 0}, "url": "", "pid": process.pid,
            "pid_started_at": psutil.Process(process.pid).create_time(),
            "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"), "ready_at": None,
            "ended_at": None, "restarts": 0, "event_id": "upload-1", "correlation_id": "chain-1",
            "traceparent": "",
        }  # fmt: skip
        directory = tmp_path / "world/replicas"
        directory.mkdir(parents=True)
        (directory / f"{record['uid']}.json").write_text(json.dumps(record))
        yield record
        process.stdin.close()


async def test_what_a_process_uses_reaches_its_topic(kafka, tmp_path, replica, eventually):
    settings = Settings(
        kafka=kafka,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/collector.db",
        instance="one",
        world_dir=tmp_path / "world",
        envoy_admin_port=9,  # nothing answers there: what replicas use is sampled all the same
        window_seconds=1,
        scrape_seconds=0.5,
    )
    found = []

    async def sampled_twice():
        found[:] = [
            each for each in await said(kafka, replica["account"]) if each.event.quality == "complete"
        ]
        return len(found) >= 2  # the first one is cut by the replica's start

    async with build(settings).running():
        await eventually(sampled_twice)
    whole = max(found, key=lambda each: each.event.window_start)
    assert whole.cause_id == "upload-1"
    assert whole.event.quantities["cpu_reserved"] == 100 * 1000
    assert whole.event.quantities["memory_used"] > 1000


async def test_that_the_gateway_does_not_answer_reaches_its_topic(kafka, tmp_path, eventually):
    settings = Settings(
        kafka=kafka,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/collector.db",
        instance="two",
        world_dir=tmp_path / "world",
        gateway=f"envoy-{uuid.uuid4().hex[:8]}",
        envoy_admin_port=9,
        window_seconds=1,
        scrape_seconds=0.5,
    )

    async def told():
        return [
            each
            for each in await said(kafka, "so1s", GatewaySampled)
            if each.event.gateway == settings.gateway
        ]

    async with build(settings).running():
        await eventually(told)
    assert [each.event.answered for each in await told()] == [0] * len(await told())


async def said(kafka, account, kind=UsageSampled):
    async with Reader(KafkaSettings(kafka=kafka), [kind.topic.name]) as reader:
        everything = [decode(kind, record.headers, record.value) async for record in reader.past()]
    return [each for each in everything if each.event.account == account]
