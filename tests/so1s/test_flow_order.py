"""The order in which the events of a flow happened."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from so1s.events.envelope import Received
from so1s.flow import Flow, Serving, in_order
from tests import played_events as played

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def received(event, name, cause, seconds):
    time = NOW + timedelta(seconds=seconds)
    return Received(event, name, "so1s/played", time, cause, "upload", "")


def chain(*seconds):
    built, ready, applied = seconds
    return [
        received(played.built("fraud"), "built", "upload", built),
        received(played.ready("fraud"), "ready", "requested", ready),
        received(played.applied("fraud"), "applied", "ready", applied),
    ]


@pytest.mark.parametrize("came", list(permutations(range(3))))
@pytest.mark.parametrize("seconds", [(1, 2, 3), (1, 3, 2)])  # the router's clock is late
def test_a_flow_ends_the_same_however_its_events_come(came, seconds):
    events = chain(*seconds)
    flow = Flow("fraud", "3")
    for each in in_order([events[position] for position in came]):
        flow = flow.after(each)
    assert isinstance(flow.end, Serving)
    assert [step.name for step in flow.steps] == ["built", "ready", "serving"]


def test_events_that_say_they_caused_each_other_have_an_order_too():
    one = received(played.built("fraud"), "a", "b", 2)
    two = received(played.built("fraud"), "b", "a", 1)
    same = received(played.built("fraud"), "c", "c", 3)
    assert len(in_order([one, two, same])) == 3


@pytest.mark.parametrize(
    ("weights", "rests"), [({"fraud": 0, "old": 1}, True), ({"fraud": 1, "old": 0}, False)]
)
def test_a_variant_that_joined_at_weight_0_is_said_to_get_no_traffic(weights, rests):
    *before, _ = chain(1, 2, 3)
    flow = Flow("fraud", "3").after_all(
        [*before, received(played.applied("fraud", **weights), "r", "ready", 3)]
    )
    assert ("at weight 0" in flow.steps[-1].detail) == rests
