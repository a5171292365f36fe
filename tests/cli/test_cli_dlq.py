"""`so1s dlq`, on letters as the delivery writes them."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest

from so1s import events
from so1s.broker.dead_letters import ADDRESSEE, dead_letter
from so1s.broker.producer import Producer
from so1s.broker.reader import Reader
from so1s.broker.topics import dead_letter_topic, provision
from so1s.errors import InvalidInput
from so1s.events.envelope import Record

POISON = b"\xff not json"
HEADERS = [("ce_type", b"so1s.ImageBuilt.v1"), ("odd", b"\xfe\xff")]
ORIGIN = events.BuildCancelled.topic.name


@pytest.fixture
def so1s(so1s):
    async def call(*arguments):
        return await asyncio.to_thread(so1s, *arguments)

    return call


@pytest.fixture
async def service(laptop):
    """A service with two letters."""
    name = f"s-{uuid.uuid4().hex[:8]}"
    await provision(laptop, [dead_letter_topic(name)])
    key = name.encode()
    async with Producer(laptop) as producer:
        await producer.send([Record("", ORIGIN, key, HEADERS, POISON), Record("", ORIGIN, key, [], b"{}")])
        buried = [record for record in await read(laptop, ORIGIN) if record.key == key]
        error = InvalidInput.of("event", POISON, "allowed: JSON")
        await producer.send(
            [dead_letter(each, error, service=name, now=datetime.now(UTC)) for each in buried]
        )
    return name


async def read(laptop, topic):
    async with Reader(laptop, [topic]) as reader:
        return [record async for record in reader.past()]


async def sent_back(laptop, service):
    found = await read(laptop, ORIGIN)
    return [record for record in found if dict(record.headers).get(ADDRESSEE) == service.encode()]


async def test_list_tells_each_letter_and_its_reason(so1s, service):
    rows = (await so1s("dlq", "list", service, "-o", "json")).json
    assert [row["offset"] for row in rows] == [0, 1]
    assert {row["reason"] for row in rows} == {"invalid"}
    assert rows[0]["type"] == "so1s.ImageBuilt.v1"
    assert rows[0]["origin_topic"] == ORIGIN


async def test_list_without_a_service_counts(so1s, service):
    counts = {row["service"]: row["letters"] for row in (await so1s("dlq", "list", "-o", "json")).json}
    assert counts[service] == 2
    assert counts["builder"] == 0


async def test_show_has_the_bytes_even_where_they_are_no_text(so1s, service):
    result = await so1s("dlq", "show", service, "0")
    assert result.code == 0
    assert r"\xff not json" in result.out
    assert r"odd: \xfe\xff" in result.out


async def test_replay_sends_the_original_bytes_to_that_service_alone(so1s, service, laptop):
    result = await so1s("dlq", "replay", service, "0")
    assert result.code == 0, result.err
    (record,) = await sent_back(laptop, service)
    assert (record.key, record.value) == (service.encode(), POISON)
    assert list(record.headers) == [*HEADERS, (ADDRESSEE, service.encode())]
    assert len((await so1s("dlq", "list", service, "-o", "json")).json) == 2


async def test_replay_of_all_may_drop_them(so1s, service, laptop):
    result = await so1s("dlq", "replay", service, "--all", "--drop")
    assert result.code == 0, result.err
    assert len(await sent_back(laptop, service)) == 2
    assert (await so1s("dlq", "list", service, "-o", "json")).json == []


@pytest.mark.parametrize("command", ["replay", "drop"])
@pytest.mark.parametrize(
    ("choice", "meant"), [(["0"], [0]), (["1", "0"], [0, 1]), (["--up-to", "1"], [0, 1]), (["--all"], [0, 1])]
)
async def test_replay_and_drop_take_the_same_choices(so1s, service, command, choice, meant):
    said = (await so1s("dlq", command, service, *choice, "-o", "json")).json
    assert sorted(said["replayed" if command == "replay" else "dropped"]) == meant
    rows = (await so1s("dlq", "list", service, "-o", "json")).json
    assert len(rows) == (2 if command == "replay" else 2 - len(meant))


async def test_replay_of_some_may_drop_those_alone(so1s, service, laptop):
    result = await so1s("dlq", "replay", service, "0", "--drop")
    assert result.code == 0, result.err
    assert len(await sent_back(laptop, service)) == 1
    rows = (await so1s("dlq", "list", service, "-o", "json")).json
    assert [row["offset"] for row in rows] == [1]


async def test_drop_takes_along_what_is_before(so1s, service):
    assert (await so1s("dlq", "drop", service, "--up-to", "0", "-o", "json")).json == {"dropped": [0]}
    rows = (await so1s("dlq", "list", service, "-o", "json")).json
    assert [row["offset"] for row in rows] == [1]
    assert (await so1s("dlq", "drop", service, "--all", "-o", "json")).json == {"dropped": [1]}
    assert (await so1s("dlq", "drop", service, "--all", "-o", "json")).json == {"dropped": []}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "nope"], "'nope' is not allowed; allowed: alerter, "),
        (["show", "SERVICE", "7"], "number: 7 is not allowed; allowed: 0, 1"),
        (["replay", "SERVICE"], "either numbers, --up-to NUMBER, or --all"),
        (["replay", "SERVICE", "0", "--all"], "either numbers, --up-to NUMBER, or --all"),
        (["replay", "SERVICE", "1", "--drop"], "numbers: 1 is not allowed; allowed: with 0, as Kafka drops"),
        (["drop", "SERVICE"], "either numbers, --up-to NUMBER, or --all"),
        (["drop", "SERVICE", "0", "--up-to", "0"], "either numbers, --up-to NUMBER, or --all"),
        (
            ["drop", "SERVICE", "1"],
            "numbers: 1 is not allowed; allowed: with 0, as Kafka drops from the front",
        ),
        (["drop", "SERVICE", "--up-to", "7"], "number: 7 is not allowed; allowed: 0, 1"),
    ],
)
async def test_what_cannot_be_is_usage(so1s, service, arguments, message):
    result = await so1s("dlq", *[service if each == "SERVICE" else each for each in arguments])
    assert result.code == 2
    assert message in result.err


async def test_a_letter_that_was_too_large_to_keep_says_where_its_bytes_are(so1s, service, laptop):
    told = [("so1s_origin_topic", b"t"), ("so1s_origin_partition", b"3"), ("so1s_origin_offset", b"9")]
    omitted = Record("", dead_letter_topic(service).name, b"", [*told, ("so1s_omitted_bytes", b"999")], None)
    async with Producer(laptop) as producer:
        await producer.send([omitted])
    result = await so1s("dlq", "replay", service, "2")
    assert result.code == 1
    assert "t 3/9" in result.err
