"""The codec and the CloudEvents SDK read what the other one writes."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from so1s.errors import InvalidInput
from so1s.events import WeightsChanged
from so1s.events.codec import decode, encode, unwrap
from so1s.events.envelope import Cause

EVENT = WeightsChanged(account="risk", endpoint="fraud", weights={"fraud": 1})
ids = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=255)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(  # aware by their zones
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis wants bounds without a zone
    datetime(9998, 1, 1),  # noqa: DTZ001 - see above
    timezones=zones,
)


@given(event_id=ids, source=ids, time=times, correlation=ids)
def test_the_sdk_reads_what_is_encoded(event_id, source, time, correlation):
    record = encode(EVENT, id=event_id, source=source, time=time, cause=Cause("cause", correlation))
    read = from_binary(KafkaMessage(dict(record.headers), None, record.value), JSONFormat(), CloudEvent)
    assert (read.get_id(), read.get_source(), read.get_time()) == (event_id, source, time)
    assert (read.get_type(), read.get_subject()) == (EVENT.type, "risk/fraud")
    assert (read.get_extension("correlationid"), read.get_extension("causationid")) == (correlation, "cause")
    assert WeightsChanged.model_validate(read.get_data()) == EVENT


@pytest.mark.parametrize("write", [to_binary, to_structured])
@given(event_id=ids, source=ids, time=times)
def test_what_the_sdk_writes_is_decoded(write, event_id, source, time):
    attributes = {"id": event_id, "source": source, "time": time, "type": EVENT.type, "foreign": "word"}
    message = write(CloudEvent(attributes, EVENT.model_dump()), JSONFormat())
    read = decode(WeightsChanged, message.headers.items(), message.value)
    assert (read.id, read.source, read.time, read.event) == (event_id, source, time, EVENT)


GOOD = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"s", "ce_type": b"t"}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b""),
        ("ce_id", b"\xff"),
        ("ce_id", b"a\nb"),
        ("ce_source", b"s" * 256),
        ("ce_type", b""),
        ("ce_time", b"2026-11-24T10:00:00"),
        ("ce_time", b"noon"),
        ("ce_correlationid", b"a\x00b"),
    ],
)
def test_an_attribute_that_breaks_its_rule_is_named(header, value):
    with pytest.raises(InvalidInput) as raised:
        unwrap((GOOD | {header: value}).items(), b"{}")
    assert [problem.field for problem in raised.value.problems] == [header.removeprefix("ce_")]


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_missing_attribute_is_named(missing):
    with pytest.raises(InvalidInput, match=f"{missing.removeprefix('ce_')} is missing"):
        unwrap([(name, value) for name, value in GOOD.items() if name != missing], b"{}")


def test_foreign_headers_of_any_bytes_and_any_case_are_no_reason_to_refuse_an_event():
    foreign = [("x", b"\xff"), ("ce_y", b"\xff"), ("z", None), ("CE_TIME", b"2026-11-24T10:00:00+01:00")]
    read = unwrap([*GOOD.items(), *foreign, ("ce_traceparent", b"nonsense")], b"{}")
    assert read.time == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert (read.traceparent, read.correlation_id) == ("", "1")
