"""`so1s events`."""

import asyncio
import json
import os
import signal
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from so1s import events
from so1s.cli import offsets
from so1s.cli.times import moment
from so1s.errors import InvalidInput
from so1s.publisher import AsyncPublisher, Publisher
from tests import played_events as played


@pytest.fixture
def endpoint():
    return f"e-{uuid.uuid4().hex[:8]}"


def publish(laptop, *said):
    with Publisher(laptop) as publisher:
        for each in said:
            publisher.publish(each, id=str(uuid.uuid4()))


def tail(so1s, *arguments):
    result = so1s("events", "tail", "--no-follow", "--from", "1h", "-o", "json", *arguments)
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.lines]


def test_tail_shows_types_and_accounts_that_are_asked_for(so1s, laptop, endpoint):
    mine, other = played.applied(endpoint), played.applied(endpoint).model_copy(update={"account": "other"})
    publish(laptop, mine, other, played.rejected(endpoint, "x", "y", "z"))
    found = tail(so1s, "--type", "RoutesApplied", "--account", "risk")
    assert [each["data"] for each in found if each["key"].endswith(endpoint)] == [
        mine.model_dump(mode="json")
    ]
    assert {each["type"] for each in found} == {"so1s.RoutesApplied.v1"}


def test_tail_of_an_unknown_type_names_the_known_ones(so1s, laptop):
    result = so1s("events", "tail", "--type", "Nope")
    assert result.code == 2
    assert "RoutesApplied" in result.err


def test_tail_for_people_is_a_line_an_event(so1s, laptop, endpoint):
    publish(laptop, played.applied(endpoint))
    result = so1s("events", "tail", "--no-follow", "--from", "1h", "--type", "RoutesApplied")
    (line,) = (line for line in result.lines if endpoint in line)
    assert line.split()[1:3] == ["RoutesApplied", f"risk/{endpoint}"]


async def test_tail_says_what_it_follows_and_how_to_end_it_and_then_waits(laptop, endpoint):
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("so1s"), "events", "tail"),
        *("--type", "RoutesApplied", "--account", "risk"),
        env=os.environ | {"SO1S_KAFKA": laptop.kafka},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    try:
        said = (await process.stderr.readline()).decode()
        await asyncio.to_thread(publish, laptop, played.applied(endpoint))
        async with asyncio.timeout(60):
            while endpoint not in (await process.stdout.readline()).decode():
                pass
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert f"RoutesApplied of risk at {laptop.kafka} since 20" in said
    assert said.endswith(" UTC, and as they come; Ctrl-C ends it\n")
    assert b"Traceback" not in err


def test_tail_says_from_when_on_there_was_nothing(so1s, laptop):
    result = so1s("events", "tail", "--no-follow", "--from", "2030-01-01")
    assert result.out == ""
    assert "all events but samples" in result.err
    assert "since 2030-01-01 00:00:00 UTC" in result.err


async def test_tail_shows_what_cannot_be_read_as_such(so1s, laptop, endpoint):
    from so1s.broker.producer import Producer
    from so1s.events.envelope import Record

    topic = events.BuildCancelled.topic.name
    async with Producer(laptop) as producer:
        await producer.send([Record("", topic, b"risk/x", [], endpoint.encode())])
    found = await asyncio.to_thread(tail, so1s, "--type", "BuildCancelled")
    assert endpoint in [each.get("unreadable") for each in found]


async def committed(laptop, group, topic):
    consumer = AIOKafkaConsumer(bootstrap_servers=laptop.kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(12)]
        return sum([await consumer.committed(each) or 0 for each in partitions])
    finally:
        await consumer.stop()


async def test_replay_sets_a_stopped_service_back_to_a_time(so1s, laptop, endpoint):
    event, service = played.applied(endpoint), f"s-{uuid.uuid4().hex[:8]}"
    async with AsyncPublisher(laptop) as publisher:
        for _ in range(3):
            await publisher.publish(event, id=str(uuid.uuid4()))
    topic, group = event.topic.name, f"{service}.{event.topic.name}"
    everything = await asyncio.to_thread(
        so1s, "events", "replay", "--from", "1h", "--type", "RoutesApplied", "--to", service, "-o", "json"
    )
    assert everything.code == 0, everything.err
    assert everything.json["events"] >= 3
    begin = await committed(laptop, group, topic)
    nothing = await asyncio.to_thread(
        so1s, "events", "replay", "--from", "0s", "--type", "RoutesApplied", "--to", service, "-o", "json"
    )
    assert nothing.json["events"] == 0
    assert await committed(laptop, group, topic) == begin + everything.json["events"]


async def test_replay_to_a_running_service_is_refused(so1s, laptop):
    service, topic = f"s-{uuid.uuid4().hex[:8]}", events.RoutesApplied.topic.name
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=laptop.kafka, group_id=f"{service}.{topic}")
    await consumer.start()
    try:
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=50)
        assert await offsets.members_of(laptop, f"{service}.{topic}") == 1
        result = await asyncio.to_thread(
            so1s, "events", "replay", "--from", "1h", "--type", "RoutesApplied", "--to", service
        )
    finally:
        await consumer.stop()
    assert result.code == 1
    assert "stop the service first" in result.err


NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-01-01T12:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("2026-01-01T12:00+02:00", datetime(2026, 1, 1, 10, tzinfo=UTC)),
    ],
)
def test_times_are_said_as_ages_or_as_moments(text, expected):
    assert moment(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "10", "-1h", "99999999d"])
def test_other_times_are_refused(text):
    with pytest.raises(InvalidInput, match="from"):
        moment(text, now=NOW)
