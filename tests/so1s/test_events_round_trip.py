"""Every event of the catalogue survives the wire, in binary and in structured mode."""

import json
import types
import typing
from datetime import UTC, datetime, timedelta

import annotated_types as at
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, ValidationError
from pydantic.fields import FieldInfo

from so1s.errors import InvalidInput
from so1s.events import catalogue, model, names
from so1s.events.codec import decode, encode
from so1s.events.envelope import Cause

EVENTS = [event for kind, event in catalogue().items() if kind.startswith("so1s.")]
CAUSE = Cause("cause-1", "chain-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
hours = st.integers(0, 700_000).map(lambda hour: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour))
name = st.from_regex(r"[a-z0-9]{1,9}-[a-z0-9]{1,9}", fullmatch=True)

BY_TYPE = [
    (names.Account, name),
    (names.Name, name),
    (names.Version, st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True)),
    (names.LabelKey, st.from_regex(r"[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?", fullmatch=True)),
    (
        model.ArtifactUri,
        st.from_regex(r"(s3://[a-z]{1,9}|file://)/[a-zA-Z0-9._ /-]{0,40}[a-z]", fullmatch=True),
    ),
    (AwareDatetime, hours),
    (str, st.text(max_size=20)),
    (bool, st.booleans()),
    (int, st.integers(-(2**62), 2**62)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (type(None), st.none()),
]


def values(kind) -> st.SearchStrategy:
    """Values of an annotation, of which most are valid."""
    for known, strategy in BY_TYPE:
        if kind == known:
            return strategy
    if origin := typing.get_origin(kind):
        return BY_ORIGIN[origin](*typing.get_args(kind))
    return instances(kind)


def annotated(kind, *infos):
    return bounded(kind, [each for info in infos for each in bounds(info)])


def either(*kinds):
    return st.one_of([values(kind) for kind in kinds])


BY_ORIGIN = {
    typing.Annotated: annotated,
    typing.Literal: lambda *choices: st.sampled_from(choices),
    typing.Union: either,
    types.UnionType: either,
    list: lambda item: st.lists(values(item), max_size=2),
    dict: lambda key, value: st.dictionaries(values(key), values(value), min_size=1, max_size=2),
}


def bounds(info):
    return info.metadata if isinstance(info, FieldInfo) else [info]


def bounded(kind, limits):
    found = {type(limit): limit for limit in limits}
    patterns = [limit.pattern for limit in limits if getattr(limit, "pattern", None)]
    if patterns:
        return st.from_regex(patterns[0], fullmatch=True)
    if kind is str:
        least, most = found.get(at.MinLen, at.MinLen(0)), found.get(at.MaxLen, at.MaxLen(20))
        return st.text(min_size=least.min_length, max_size=min(most.max_length, 20))
    if kind in (int, float):
        lowest = found.get(at.Ge, at.Ge(found.get(at.Gt, at.Gt(0)).gt)).ge
        highest = found.get(at.Le, at.Le(2**53)).le
        if kind is int:
            return st.integers(lowest, highest)
        return st.floats(lowest, highest, exclude_min=at.Gt in found)
    return values(kind)


@st.composite
def instances(draw, kind):
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field: values(hints[field]) for field in kind.model_fields}
    if "window_seconds" in fields:  # the hours above are on the grid of these
        fields["window_seconds"] = st.sampled_from([1, 5, 60, 3600])
    try:
        return kind(**{field: draw(strategy) for field, strategy in fields.items()})
    except ValidationError:
        reject()


def structured(record):
    """The same event in structured mode, as the specification's JSON format has it."""
    attributes = {header.removeprefix("ce_"): value.decode() for header, value in record.headers}
    attributes["datacontenttype"] = attributes.pop("content-type")
    value = json.dumps(attributes | {"data": json.loads(record.value)}).encode()
    return [("content-type", b"application/cloudevents+json")], value


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@settings(
    max_examples=10, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None
)
@given(data=st.data())
def test_an_event_comes_back_as_it_was_said(kind, mode, data):
    event = data.draw(instances(kind))
    time = datetime(2030, 1, 1, 12, 30, 15, 123456, UTC)
    record = encode(event, id="event-1", source="so1s/tests", time=time, cause=CAUSE)
    headers, value = (record.headers, record.value) if mode == "binary" else structured(record)
    received = decode(kind, headers, value)
    assert received.event == event
    assert (received.id, received.source, received.time) == ("event-1", "so1s/tests", time)
    assert (received.cause_id, received.correlation_id) == ("cause-1", "chain-1")
    assert received.traceparent[:35] == CAUSE.traceparent[:35]
    assert record.key == event.key.encode()
    assert event.key.startswith(f"{event.account}/")


EXAMPLE = catalogue()["so1s.WeightsChanged.v1"](account="risk", endpoint="fraud", weights={"fraud": 1})
GOOD = encode(EXAMPLE, id="1", source="s", time=datetime(2030, 1, 1, tzinfo=UTC), cause=None).headers


@pytest.mark.parametrize("headers", [[], GOOD])
@given(value=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_break_the_reader(headers, value):
    with pytest.raises(InvalidInput):
        decode(type(EXAMPLE), headers, value)
