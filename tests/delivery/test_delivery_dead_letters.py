"""What cannot be handled is kept with its reason, and the flow goes on."""

import json

import pytest

from so1s.errors import InvalidInput, PermanentError
from so1s.events.envelope import Record

MAX_VALUE = 1_000_000


def headers(record):
    return {name: value.decode() for name, value in record.headers if name.startswith("so1s_")}


def remembering(bench, numbers, **options):
    @bench.consumer.on(bench.Noted, **options)
    async def remember(noted):
        numbers.append(noted.number)


async def test_a_permanent_error_buries_its_event_at_once_with_its_origin(bench, numbers, eventually):
    @bench.consumer.on(bench.Noted)
    async def refuse(noted):
        numbers.append(noted.number)
        if noted.number == 1:
            raise PermanentError("never")

    await bench.publish(bench.note(1), bench.note(2), headers=[("team", b"\xff\x00")])
    async with bench.service():
        await eventually(bench.is_done)
    assert numbers == [1, 2]
    (letter,) = await bench.dead_letters()
    original = (await bench.records(bench.Noted.topic))[0]
    told = headers(letter)
    assert (letter.key, letter.value) == (original.key, original.value)
    assert list(letter.headers[: len(original.headers)]) == list(original.headers)
    assert told["so1s_origin_topic"] == bench.Noted.topic.name
    assert (told["so1s_origin_partition"], told["so1s_origin_offset"]) == (
        str(original.partition),
        str(original.offset),
    )
    assert (told["so1s_service"], told["so1s_reason"], told["so1s_error"]) == (
        bench.name,
        "permanent",
        "never",
    )


async def test_an_unexpected_error_is_tried_five_times_then_buried(bench, numbers, eventually):
    tries = []

    @bench.consumer.on(bench.Noted)
    async def fail(noted):
        tries.append(noted.number)
        if noted.number == 1:
            raise ZeroDivisionError

    await bench.publish(bench.note(1), bench.note(2))
    async with bench.service():
        await eventually(bench.is_done)
    assert tries == [1, 1, 1, 1, 1, 2]
    (letter,) = await bench.dead_letters()
    assert headers(letter)["so1s_reason"] == "ZeroDivisionError"
    assert headers(letter)["so1s_error"] == "ZeroDivisionError", (
        "an error without a text still says something"
    )


def strange_records(bench):
    """Records that no handler can take: (what is told of it, record)."""
    topic, good = bench.Noted.topic.name, bench.note(0)
    valid = {"ce_specversion": b"1.0", "ce_id": b"x", "ce_source": b"p", "ce_type": good.type.encode()}
    data = good.to_json()

    def record(value, key=b"k", **changes):
        given = valid | {f"ce_{name}": text for name, text in changes.items()}
        kept = [(name, text) for name, text in given.items() if text != b"absent"]
        return Record("", topic, key, kept, value)

    return [
        ("invalid JSON", record(b'{"account": ', id=b"json")),
        ("tombstone", record(None, id=b"tombstone")),
        ("number: 'x'", record(b'{"account": "risk", "number": "x"}', id=b"number")),
        ("account: 'R'", record(b'{"account": "R"}', id=b"account")),
        ("allowed on this topic", record(data, id=b"type", type=b"other.Thing.v1")),
        ("bytes", record(b" " * MAX_VALUE, id=b"large")),
        ("id", record(data, id=b"\xff\xfe")),
        ("printable", record(data, id=b"a\x00b")),
        ("id is missing", record(data, id=b"absent")),
        ("specversion", record(data, specversion=b"0.3")),
        ("source is missing", record(data, source=None)),
        ("yest", record(data, time=b"yesterday")),
        ("specversion is missing", Record("", topic, b"k", [], b'{"just": "json"}')),
        ("event", Record("", topic, b"k", [], b"[" * 100_000)),
        ("event", Record("", topic, b"k", [], b"\xff\xfe")),
        ("event", Record("", topic, b"k", [("content-type", b"application/cloudevents+json")], b"[]")),
    ]


async def test_no_bytes_of_a_stranger_hold_up_the_flow_or_are_lost(bench, numbers, eventually):
    remembering(bench, numbers)
    strange = strange_records(bench)
    await bench.send(*(record for _, record in strange), partition=0)
    await bench.publish(bench.note(7), partition=0)
    async with bench.service():
        await eventually(lambda: numbers == [7])
        await eventually(bench.is_done)
    letters = await bench.dead_letters()
    assert len(letters) == len(strange)
    for (says, record), letter in zip(strange, letters, strict=True):
        told = headers(letter)
        assert told["so1s_reason"] == "invalid"
        assert says in told["so1s_error"]
        if record.value is None or len(record.value) < MAX_VALUE:
            assert (letter.value, letter.key) == (record.value, record.key)
            assert [tuple(each) for each in letter.headers[: len(record.headers)]] == record.headers
        else:
            assert int(told["so1s_omitted_bytes"]) > MAX_VALUE, (
                "it has its place, since no message holds it twice"
            )


async def test_headers_that_are_no_text_are_no_reason_to_lose_an_event(bench, numbers, eventually):
    remembering(bench, numbers)
    await bench.publish(bench.note(1), headers=[("tag", b"\xff\xfe"), ("none", None), ("so1s_for", None)])
    async with bench.service():
        await eventually(lambda: numbers == [1])
    assert await bench.dead_letters() == []


async def test_a_tombstone_without_a_key_is_kept(bench, numbers, eventually):
    remembering(bench, numbers)
    await bench.send(Record("", bench.Noted.topic.name, b"", [], None))
    async with bench.service():
        await eventually(bench.is_done)
    assert await bench.reasons() == ["invalid"]


async def test_the_duplicate_of_a_buried_event_is_not_buried_again(bench, eventually):
    @bench.consumer.on(bench.Noted)
    async def refuse(_noted):
        raise PermanentError("never")

    await bench.publish(bench.note(1), bench.note(1), ids=["same", "same"])
    invalid = Record("", bench.Noted.topic.name, b"k", _headers(bench, "broken"), b"{}")
    await bench.send(invalid, invalid)
    async with bench.service():
        await eventually(bench.is_done)
    assert sorted(await bench.reasons()) == ["invalid", "permanent"]


def _headers(bench, event_id):
    said = {"specversion": "1.0", "id": event_id, "source": "pipeline", "type": bench.Noted.type}
    return [(f"ce_{name}", text.encode()) for name, text in said.items()]


@pytest.mark.parametrize("number", [1, "x"])
async def test_a_flow_says_to_its_author_that_an_event_was_refused(bench, eventually, number):
    def refused(error, fields):
        problem = error.problems[0].field if isinstance(error, InvalidInput) else str(error)
        return bench.hear(99, name=fields["name"], reason=problem)

    @bench.consumer.on(bench.Noted, rejected=refused)
    async def refuse(_noted):
        raise PermanentError("never")

    value = json.dumps({"account": "risk", "name": "ada", "number": number}).encode()
    await bench.send(Record("", bench.Noted.topic.name, b"k", _headers(bench, "upload-1"), value))
    async with bench.service():
        await eventually(bench.is_done)
    (answer,) = await bench.records(bench.Heard.topic)
    assert json.loads(answer.value)["reason"] == ("never" if number == 1 else "number")
    assert dict(answer.headers)["ce_causationid"] == b"upload-1"
    assert len(await bench.dead_letters()) == 1


@pytest.mark.parametrize("value", [b"{}", b"[]", b"no json", b'{"account": "!", "name": "ada"}'])
async def test_a_refusal_that_cannot_be_said_holds_up_nothing(bench, numbers, eventually, value):
    remembering(bench, numbers, rejected=lambda _error, fields: bench.Heard(**fields, number=1))
    await bench.send(Record("", bench.Noted.topic.name, b"k", _headers(bench, "broken"), value), partition=0)
    await bench.publish(bench.note(2), partition=0)
    async with bench.service():
        await eventually(lambda: numbers == [2])
    assert await bench.reasons() == ["invalid"]
    assert await bench.heard() == []


async def test_a_consumer_has_one_handler_of_an_event_type(bench, numbers):
    remembering(bench, numbers)
    with pytest.raises(TypeError, match="has a handler of Noted already"):
        remembering(bench, numbers)
