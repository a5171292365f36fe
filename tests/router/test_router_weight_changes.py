"""Changes of weights: applied, refused, waiting for their variants, superseded."""

from datetime import timedelta

import pytest
from dirty_equals import IsPartialDict

from services.router import store
from services.router.domain.deadlines import Deadlines
from services.router.handlers import consumer
from services.router.refusals import refuse
from so1s.events import (
    RoutesApplied,
    RoutesRejected,
    VariantReleased,
    WeightsChanged,
)
from so1s.testing import refusal
from tests.router.driver import ready, requested
from tests.router.said import HOST, checked, removal, retiring, seen, weights


@pytest.mark.parametrize("again", [ready("fraud-next"), ready("fraud-next", 2, version="1")])
async def test_who_waits_for_a_variant_that_was_detached_is_told_to_name_it(router, again):
    await router.take(ready(), ready("fraud-next"), weights(1))
    [rejected] = await router.take(again)
    assert (rejected.field, rejected.value) == ("variant", "fraud-next")
    assert rejected.allowed.startswith("allowed: a variant that the weights name; fraud-next was detached")
    await router.take(weights(weights={"fraud": 1, "fraud-next": 1}))
    [applied] = await router.take(ready("fraud-next", again.revision, version="1"))
    assert applied.weights == {"fraud": 1, "fraud-next": 1}


async def test_weights_are_applied_as_a_new_revision(router):
    await router.take(ready(), ready("fraud-next"))
    [applied] = await router.take(weights(weights={"fraud": 90, "fraud-next": 10}, expected_revision=2))
    assert (applied.revision, applied.weights) == (3, {"fraud": 90, "fraud-next": 10})
    assert applied.changed_by == "user:jiho"


async def test_weights_that_change_while_a_round_reads_all_routes_are_not_answered_before_gateways_have_them(
    router, monkeypatch
):
    await router.take(ready(), ready("fraud-next"), weights(weights={"fraud": 1, "fraud-next": 0}))
    look, changed = store._verdicts, []

    async def late(*asked):
        if not changed:  # between the weights and the revisions
            changed.append(weights(weights={"fraud": 1, "fraud-next": 1}))
            await router.handle(*changed)
        return await look(*asked)

    monkeypatch.setattr(store, "_verdicts", late)
    assert await router.turn() == []
    [applied] = await router.turn()
    assert applied.weights == {"fraud": 1, "fraud-next": 1}


@pytest.mark.parametrize(
    ("fields", "field", "value", "allowed"),
    [
        ({"weights": {"fraud": 0}}, "weights", "{'fraud': 0}", "allowed: integers of at least 0"),
        ({"weights": {"fraud": -1}}, "weights.fraud", "-1", "input should be greater than or equal to 0"),
        ({}, "weights", "nothing", "field required"),
    ],
)
def test_weights_that_break_a_rule_are_refused_with_the_rule(fields, field, value, allowed):
    rejected = refusal(consumer, WeightsChanged, {"account": "risk", "endpoint": "fraud"} | fields)
    assert (rejected.account, rejected.endpoint) == ("risk", "fraud")
    assert (rejected.field, rejected.value) == (field, value)
    assert rejected.allowed.startswith(allowed)


def test_who_cannot_be_answered_in_words_of_the_event_is_referred_to_the_dead_letters():
    rejected = refuse(ZeroDivisionError("secret"), {"account": "risk", "endpoint": "fraud"})
    assert (rejected.field, rejected.value) == ("event", "ZeroDivisionError")
    assert "secret" not in rejected.allowed
    assert "so1s dlq list" in rejected.allowed


async def test_the_same_weights_again_are_answered_again(router):
    await router.take(ready())
    assert [type(event) for event in await router.take(weights(1))] == [RoutesApplied]


async def test_weights_that_expect_another_revision_are_refused(router):
    await router.take(ready())
    [rejected] = await router.take(weights(1, expected_revision=6))
    assert (rejected.field, rejected.value) == ("expected_revision", "6")
    assert rejected.allowed == "allowed: 1, the present revision"


async def test_weights_of_an_endpoint_that_nobody_heard_of_are_refused_with_the_known_ones(router):
    await router.take(ready())
    unknown = WeightsChanged(account="risk", endpoint="fruad", weights={"fraud": 1})
    [rejected] = await router.take(unknown)
    assert (rejected.field, rejected.allowed) == ("endpoint", "allowed: the endpoints fraud")


async def test_an_endpoint_that_never_served_is_among_the_known_ones(router):
    await router.take(requested("fraud"))
    [rejected] = await router.take(removal(endpoint="fruad"))
    assert rejected.allowed == "allowed: the endpoints fraud"


async def test_weights_come_before_their_variant_is_ready(router):
    assert await router.take(ready(), requested("fraud-next")) != []
    assert await router.take(weights(weights={"fraud": 1, "fraud-next": 3})) == []
    await router.take(ready("fraud-next"))
    assert router.mesh.gateways[0][HOST].arms[1].weight == 3


async def test_weights_wait_for_their_variant_until_the_deadline_only(router, clock):
    await router.take(ready(), requested("fraud-next"))
    await router.take(weights(weights={"fraud": 1, "fraud-next": 3}))
    clock.advance(599)
    assert await router.turn() == []
    clock.advance(1)
    [rejected] = await router.turn()
    assert rejected.field == "weights"
    assert rejected.allowed == "allowed: variants that are ready in time; fraud-next waits for its replicas"
    assert await router.turn() == []


async def test_later_weights_supersede_those_that_wait(router):
    await router.take(ready(), requested("fraud-next"))
    await router.take(weights(weights={"fraud": 1, "fraud-next": 3}))
    said = await router.take(weights(5))
    assert {type(event) for event in said} == {RoutesRejected, RoutesApplied}
    await router.take(ready("fraud-next"))
    assert [arm.weight for arm in router.mesh.gateways[0][HOST].arms] == [5, 0]


async def test_weights_that_wait_for_a_variant_which_retires_are_refused(router):
    await router.take(ready(), requested("fraud-next"))
    await router.take(weights(weights={"fraud": 1, "fraud-next": 3}))
    said = await router.take(retiring("fraud-next"))
    assert {type(event) for event in said} == {VariantReleased, RoutesRejected}


async def test_what_weights_wait_for_can_be_read(router, store, clock):
    await router.take(ready(), requested("fraud-next"))
    [event_id] = await router.handle(weights(weights={"fraud": 1, "fraud-next": 3}, reason="canary"))
    until = (clock.now + timedelta(seconds=600)).isoformat(timespec="milliseconds")
    given = {"event_id": event_id, "until": until, "reason": "canary", "changed_by": "user:jiho"}
    [endpoint] = await seen(store)
    assert endpoint["waits"] == [IsPartialDict(given | {"for": {"fraud-next": "its replicas"}})]
    await router.take(ready("fraud-next", requires=["quality"]))
    [endpoint] = await seen(store)
    assert endpoint["waits"][0]["for"] == {"fraud-next": "check quality"}
    await router.take(checked("fraud-next", passed=True))
    [endpoint] = await seen(store)
    assert endpoint["waits"] == []


async def test_a_change_of_weights_waits_for_no_verdict_of_others(router):
    router.deadlines(Deadlines(weights=600, checks=0, apply=15))
    await router.take(ready())
    same = {"fraud": 2, "fraud-next": 0}
    await router.handle(ready("fraud-next", requires=["quality"]), weights(weights=same))
    assert [type(event) for event in await router.turn()] == [RoutesApplied, RoutesApplied, RoutesRejected]
