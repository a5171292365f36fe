"""Ids that a repetition has again, and traces that go on."""

import re
import uuid
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from so1s.events.ids import derived_id, transition_id, window_id
from so1s.events.trace import child, trace_id

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
texts = st.text(max_size=20)
causes = st.tuples(texts, texts, texts, texts, st.integers(0, 5))


@given(causes, causes)
def test_a_derived_id_is_the_same_for_the_same_cause_and_differs_for_another(one, other):
    assert (derived_id(*one) == derived_id(*other)) == (one == other)
    assert uuid.UUID(derived_id(*one)).version == 5


def test_an_id_is_for_ever():
    """A released id must never change, or a redelivery would have its effects twice."""
    assert derived_id("builder", "upload-1", "so1s.ImageBuilt.v1", "risk/fraud", 0) == (
        "d4590edb-7016-5408-8ed3-f23836cbfba0"
    )


def test_a_window_has_one_id_whatever_zone_its_start_is_written_in():
    start = datetime(2030, 1, 1, tzinfo=UTC)
    seoul = start.astimezone(timezone(timedelta(hours=9)))
    assert window_id("collector", "t", "s", start) == window_id("collector", "t", "s", seoul)
    assert window_id("collector", "t", "s", start) != window_id(
        "collector", "t", "s", start + timedelta(seconds=5)
    )


def test_a_transition_has_an_id_of_its_object_generation_and_name():
    ids = {
        transition_id("deployer", uid, generation, name)
        for uid in "ab"
        for generation in (1, 2)
        for name in ("ready", "failed")
    }
    assert len(ids) == 8


def test_a_child_span_stays_in_its_trace_and_keeps_the_sampling_flag():
    span = child(TRACEPARENT)
    assert trace_id(span) == trace_id(TRACEPARENT) == "0af7651916cd43dd8448eb211c80319c"
    assert span.endswith("-00")
    assert span != TRACEPARENT


@given(st.text() | st.just("00-" + "0" * 32 + "-b7ad6b7169203331-01"))
def test_what_is_no_trace_begins_a_new_one(text):
    span = child(text)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", span)
    assert trace_id(text) == ""
    assert trace_id(span) != "0" * 32
