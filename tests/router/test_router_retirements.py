"""Variants and endpoints that go: drained first, and never while traffic depends on them."""

import pytest
from dirty_equals import IsNow

from so1s.events import (
    EndpointRemovalRequested,
    EndpointRemoved,
    RoutesApplied,
    VariantInUse,
    VariantReleased,
    WeightsChanged,
)
from so1s.events.codec import unwrap
from tests.router.driver import ready, requested
from tests.router.said import HOST, checked, removal, retiring, seen, weights


async def test_who_waits_for_a_variant_that_retires_is_told_so(router):
    await router.take(ready(), ready("fraud-next"))
    router.mesh.stuck = {0}
    await router.take(retiring("fraud-next"))
    [rejected] = await router.take(ready("fraud-next"))
    assert rejected.allowed == "allowed: 2 or later; fraud-next is retiring at revision 1"


async def test_a_variant_is_released_once_every_gateway_has_the_route_without_it(router):
    router.mesh.gateways = [{}, {}]
    await router.take(ready(), ready("fraud-next"))
    router.mesh.stuck = {1}
    assert await router.take(retiring("fraud-next", revision=7)) == []
    router.mesh.stuck = set()
    applied, released = await router.turn()
    assert applied.weights == {"fraud": 1}
    assert released == VariantReleased(account="risk", deployment="fraud-next", revision=7)
    assert await router.turn() == []


async def test_a_detached_variant_is_released_only_once_no_gateway_sends_it_traffic(router):
    router.mesh.gateways = [{}, {}]
    await router.take(ready(), ready("fraud-next"), weights(weights={"fraud": 1, "fraud-next": 1}))
    router.mesh.stuck = {1}
    assert await router.take(weights(1), retiring("fraud-next")) == []
    assert [arm.variant for arm in router.mesh.gateways[1][HOST].arms] == ["fraud", "fraud-next"]
    router.mesh.stuck = set()
    assert [type(event) for event in await router.turn()] == [RoutesApplied, VariantReleased]
    assert await router.turn() == []


async def test_a_detached_variant_that_gateways_know_nothing_of_is_released_in_the_next_round(router):
    await router.take(ready(), ready("fraud-next"), weights(1))
    router.reconciler.drift_seconds = float("inf")  # nothing is pending, and nothing due to be compared
    [released] = await router.take(retiring("fraud-next"))
    assert released == VariantReleased(account="risk", deployment="fraud-next", revision=1)


async def test_a_deployment_that_no_endpoint_knows_is_released_at_once(router):
    [released] = await router.take(retiring("unknown"))
    assert released == VariantReleased(account="risk", deployment="unknown", revision=1)


async def test_a_variant_with_weight_is_in_use(router):
    await router.take(ready())
    [in_use] = await router.take(retiring("fraud"))
    assert isinstance(in_use, VariantInUse)
    assert in_use.endpoint == "fraud"
    assert in_use.reason.startswith("it takes all traffic of fraud")
    assert HOST in router.mesh.gateways[0]


async def test_a_deployment_that_moved_is_released_when_all_its_endpoints_let_go(router):
    await router.take(
        ready(), ready("extra"), ready("extra", 2, endpoint="other"), ready("sole", endpoint="other")
    )
    other = WeightsChanged(account="risk", endpoint="other", weights={"extra": 0, "sole": 1})
    await router.take(other)
    said = await router.take(retiring("extra", revision=2))
    assert [type(event) for event in said].count(VariantReleased) == 1


async def test_an_endpoint_is_removed_when_no_gateway_answers_for_it(router):
    await router.take(ready())
    [removed] = await router.take(
        EndpointRemovalRequested(account="risk", endpoint="fraud", requested_by="jiho")
    )
    assert removed == EndpointRemoved(account="risk", endpoint="fraud", removed_at=removed.removed_at)
    assert removed.removed_at == IsNow(delta=60, tz="UTC")
    assert router.mesh.gateways[0] == {}
    [released] = await router.take(retiring("fraud"))
    assert isinstance(released, VariantReleased)


async def test_an_endpoint_that_never_served_can_be_removed(router, store):
    await router.take(requested("fraud"))
    assert [each["endpoint"] for each in await seen(store)] == ["fraud"]
    assert [type(event) for event in await router.take(removal())] == [EndpointRemoved]
    assert [each["removed"] for each in await seen(store)] == [True]


async def test_an_endpoint_that_never_served_goes_with_its_last_variant(router, store):
    await router.take(requested("fraud"), requested("fraud-next"))
    assert [type(event) for event in await router.take(retiring("fraud"))] == [VariantReleased]
    said = await router.take(retiring("fraud-next"))
    assert {type(event) for event in said} == {VariantReleased, EndpointRemoved}
    assert await seen(store) == []
    await router.take(requested("fraud"), ready(revision=2))
    assert HOST in router.mesh.gateways[0]


async def test_an_endpoint_goes_with_a_last_variant_that_failed_its_checks(router):
    await router.take(ready(requires=["quality"]), checked("fraud", passed=False))
    said = await router.take(retiring("fraud"))
    assert {type(event) for event in said} == {VariantReleased, EndpointRemoved}
    assert router.mesh.gateways[0] == {}


async def test_whoever_asks_for_a_removal_that_is_under_way_or_done_is_answered(router):
    await router.take(ready())
    assert [type(event) for event in await router.take(removal(), removal())] == [EndpointRemoved] * 2
    assert [type(event) for event in await router.take(removal())] == [EndpointRemoved]


async def test_weights_of_an_endpoint_that_went_with_its_variants_are_refused(router):
    await router.take(requested("fraud"), retiring("fraud"))
    [rejected] = await router.take(weights(1))
    assert rejected.field == "endpoint"


async def test_a_deployment_leaves_with_its_endpoint_whichever_removal_comes_first(router):
    await router.take(ready())
    [wish, _] = await router.handle(retiring("fraud"), removal())
    said = await router.turn()
    assert {type(event) for event in said} == {VariantInUse, EndpointRemoved, VariantReleased}
    chains = {
        envelope.type: envelope.correlation_id
        for envelope in (unwrap(record.headers, record.value) for record in router.said.records)
    }
    assert chains[VariantReleased.type] == chains[VariantInUse.type] == wish
    assert await router.turn() == []


async def test_a_variant_in_use_is_released_once_its_weight_is_0(router, store):
    await router.take(ready(), ready("fraud-next"), weights(weights={"fraud": 1, "fraud-next": 1}))
    [in_use] = await router.take(retiring("fraud-next"))
    [endpoint] = await seen(store)
    assert [each["in_use"] for each in endpoint["variants"]] == [None, in_use.reason]
    said = await router.take(weights(weights={"fraud": 1, "fraud-next": 0}))
    assert VariantReleased in {type(event) for event in said}
    assert [arm.variant for arm in router.mesh.gateways[0][HOST].arms] == ["fraud"]
    assert await router.turn() == []


@pytest.mark.parametrize(
    "anew", [{}, {"requires": ["quality"], "candidate": True}], ids=["serves", "candidate"]
)
async def test_a_deployment_that_is_requested_anew_retires_no_more(router, anew):
    await router.take(ready(), ready("fraud-next"), weights(weights={"fraud": 1, "fraud-next": 1}))
    await router.take(retiring("fraud-next"), ready("fraud-next", 2, **anew))
    await router.take(weights(weights={"fraud": 1, "fraud-next": 0}))
    if not anew:
        assert await router.take(retiring("fraud-next")) == []  # as late as an event can be
    assert len(router.mesh.gateways[0][HOST].arms) == 2


async def test_an_endpoint_that_nobody_heard_of_cannot_be_removed(router):
    [rejected] = await router.take(
        EndpointRemovalRequested(account="risk", endpoint="fraud", requested_by="jiho")
    )
    assert rejected.allowed == "allowed: an endpoint; the account has none yet"
