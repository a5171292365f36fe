"""Events in, gateways told, events out: the router as its neighbours know it."""

from datetime import timedelta

import httpx
import pytest
from dirty_equals import IsFloat, IsNow, IsPartialDict
from starlette.applications import Starlette

from services.router import api, progress
from services.router.domain.deadlines import Deadlines
from services.router.handlers import consumer
from services.router.refusals import refuse
from so1s.events import (
    CheckFinished,
    DeploymentRetiring,
    EndpointRemovalRequested,
    EndpointRemoved,
    RoutesApplied,
    RoutesDegraded,
    RoutesRejected,
    VariantInUse,
    VariantReleased,
    WeightsChanged,
)
from so1s.events.codec import unwrap
from so1s.store import Store
from so1s.testing import refusal
from tests.router.driver import URLS, Clock, MemoryMesh, Router, ready, requested

HOST = "fraud--risk.so1s.localhost"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(tmp_path, clock):
    store = Store(f"sqlite+aiosqlite:///{tmp_path}/router.db", producer="router", clock=clock)
    await store.migrate("services.router.migrations")
    yield store
    await store.close()


@pytest.fixture
def router(store):
    return Router(store, MemoryMesh())


def weights(fraud: int = 0, **fields) -> WeightsChanged:
    given = fields.pop("weights", {"fraud": fraud})
    return WeightsChanged(account="risk", endpoint="fraud", weights=given, changed_by="user:jiho", **fields)


def checked(deployment: str, *, passed: bool, revision: int = 1) -> CheckFinished:
    news = ready(deployment, revision)
    return CheckFinished.of(news, check="quality", passed=passed, reason="accuracy 0.710, needs 0.900")


def retiring(deployment: str, revision: int = 1) -> DeploymentRetiring:
    return DeploymentRetiring(account="risk", deployment=deployment, revision=revision, endpoint="fraud")


async def test_a_first_deployment_is_served_and_told(router):
    [applied] = await router.take(requested("fraud"), ready())
    assert applied == RoutesApplied(
        account="risk",
        endpoint="fraud",
        revision=1,
        host=HOST,
        url=f"http://{HOST}:8080",
        weights={"fraud": 1},
        changed_by="router",
        seconds=applied.seconds,
    )
    assert router.mesh.gateways[0][HOST].arms[0].service == "file:///world/risk--fraud.json"


async def test_a_deployment_without_endpoint_is_no_variant(router):
    assert await router.take(requested("batch", endpoint=None), ready("batch", endpoint=None)) == []


async def test_a_route_is_told_once_however_often_the_loop_turns(router):
    assert len(await router.take(ready())) == 1
    assert await router.turn() == []
    assert await router.turn() == []


async def test_what_is_told_continues_the_chain_of_the_event_that_brought_it_about(router):
    await router.take(ready())
    await router.take(weights(2))
    first, second = [unwrap(record.headers, record.value) for record in router.said.records]
    assert first.correlation_id
    assert second.correlation_id not in {"", first.correlation_id}
    assert second.cause_id == second.correlation_id  # the WeightsChanged began a chain of its own


def causes(router, count: int) -> list[tuple[str, str]]:
    """What the last events that were said answer: the event's id and its chain's."""
    said = [unwrap(record.headers, record.value) for record in router.said.records[-count:]]
    assert len({each.id for each in said}) == count
    return [(each.cause_id, each.correlation_id) for each in said]


async def test_a_revision_that_is_on_the_route_already_is_answered_with_the_route_as_it_is(router):
    [first] = await router.take(ready())
    [again] = await router.handle(ready())
    [applied] = await router.turn()
    assert (applied.revision, applied.weights, applied.url) == (first.revision, first.weights, first.url)
    assert causes(router, 1) == [(again, again)]
    assert await router.turn() == []


async def test_chains_that_want_the_same_revision_all_hear_when_it_is_applied(router):
    router.mesh.stuck = {0}
    ids = await router.handle(ready(), ready())
    assert await router.turn() == []
    router.mesh.stuck = set()
    assert [event.revision for event in await router.turn()] == [1, 1]
    assert causes(router, 2) == [(each, each) for each in ids]
    assert await router.turn() == []


async def test_a_chain_whose_revision_was_superseded_hears_of_the_one_that_has_its_change(router):
    router.mesh.stuck = {0}
    ids = await router.handle(ready(), ready("fraud-next"), weights(weights={"fraud": 9, "fraud-next": 1}))
    assert await router.turn() == []
    router.mesh.stuck = set()
    said = await router.turn()
    assert [(event.revision, event.weights) for event in said] == [(3, {"fraud": 9, "fraud-next": 1})] * 3
    assert causes(router, 3) == [(each, each) for each in ids]


async def test_a_change_of_a_route_that_is_removed_before_it_was_applied_hears_of_the_removal(router):
    router.mesh.stuck = {0}
    await router.handle(
        ready(), EndpointRemovalRequested(account="risk", endpoint="fraud", requested_by="jiho")
    )
    assert [type(event) for event in await router.turn()] == [EndpointRemoved, EndpointRemoved]


async def test_a_revision_that_a_later_one_replaced_is_not_said_to_be_on_the_route(router):
    await router.take(ready(revision=2))
    [rejected] = await router.take(ready(revision=1))
    assert (rejected.field, rejected.value) == ("revision", "1")
    assert rejected.allowed == "allowed: 3 or later; fraud is attached at revision 2"


@pytest.mark.parametrize("again", [ready("fraud-next"), ready("fraud-next", 2, version="1")])
async def test_who_waits_for_a_variant_that_was_detached_is_told_to_name_it(router, again):
    await router.take(ready(), ready("fraud-next"), weights(1))
    [rejected] = await router.take(again)
    assert (rejected.field, rejected.value) == ("variant", "fraud-next")
    assert rejected.allowed.startswith("allowed: a variant that the weights name; fraud-next was detached")
    await router.take(weights(weights={"fraud": 1, "fraud-next": 1}))
    [applied] = await router.take(ready("fraud-next", again.revision, version="1"))
    assert applied.weights == {"fraud": 1, "fraud-next": 1}


async def test_who_waits_for_a_variant_that_retires_is_told_so(router):
    await router.take(ready(), ready("fraud-next"))
    router.mesh.stuck = {0}
    await router.take(retiring("fraud-next"))
    [rejected] = await router.take(ready("fraud-next"))
    assert rejected.allowed == "allowed: 2 or later; fraud-next is retiring at revision 1"


async def test_a_repetition_gives_gateways_the_whole_deadline(router, clock):
    clock.advance(-60)
    await router.take(ready())
    clock.advance(60)
    router.mesh.gateways[0].clear()
    router.mesh.stuck = {0}
    assert await router.take(ready()) == []
    router.mesh.stuck = set()
    assert [type(event) for event in await router.turn()] == [RoutesApplied]


async def test_weights_are_applied_as_a_new_revision(router):
    await router.take(ready(), ready("fraud-next"))
    [applied] = await router.take(weights(weights={"fraud": 90, "fraud-next": 10}, expected_revision=2))
    assert (applied.revision, applied.weights) == (3, {"fraud": 90, "fraud-next": 10})
    assert applied.changed_by == "user:jiho"


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


async def test_a_version_takes_traffic_once_its_checks_passed(router):
    await router.take(ready(), ready("fraud-next", requires=["quality"], initial_percent=25))
    assert [arm.weight for arm in router.mesh.gateways[0][HOST].arms] == [1, 0]
    [applied] = await router.take(checked("fraud-next", passed=True))
    assert applied.weights == {"fraud": 3, "fraud-next": 1}


async def test_a_verdict_that_another_chain_gave_already_is_answered_too(router):
    await router.take(ready("fraud-next", requires=["quality"]), checked("fraud-next", passed=True))
    [applied] = await router.take(checked("fraud-next", passed=True))
    assert applied.weights == {"fraud-next": 1}
    assert await router.take(checked("fraud-next", passed=False)) == []


async def test_a_verdict_may_overtake_the_readiness_that_it_speaks_of(router):
    await router.take(ready())
    assert await router.take(checked("fraud-next", passed=True)) == []
    [applied] = await router.take(ready("fraud-next", requires=["quality"], initial_percent=25))
    assert applied.weights == {"fraud": 3, "fraud-next": 1}


async def test_a_verdict_on_another_revision_says_nothing_of_this_one(router):
    await router.take(ready(), ready("fraud-next", 2, requires=["quality"], initial_percent=25))
    assert await router.take(checked("fraud-next", passed=True, revision=1)) == []
    assert await router.take(checked("fraud-next", passed=True, revision=3)) == []


async def test_a_candidate_changes_no_route_before_it_may_take_traffic(router):
    await router.take(ready())
    candidate = ready(revision=2, requires=["quality"], candidate=True)
    assert await router.take(candidate, checked("fraud", passed=True, revision=2)) == []
    [applied] = await router.take(ready(revision=2))
    assert (applied.revision, applied.weights) == (2, {"fraud": 1})


async def test_a_failed_check_is_told_at_once(router):
    await router.take(ready(), ready("fraud-next", requires=["quality"]))
    [rejected] = await router.take(checked("fraud-next", passed=False))
    assert rejected.value == "quality"
    assert "accuracy 0.710, needs 0.900" in rejected.allowed


async def test_checks_without_a_verdict_fail_at_the_deadline_and_may_still_pass_later(router):
    router.deadlines(Deadlines(weights=600, checks=0, apply=15))
    said = await router.take(ready(), ready("fraud-next", requires=["quality"], initial_percent=25))
    [rejected] = [event for event in said if isinstance(event, RoutesRejected)]
    assert rejected.value == "quality"
    assert "no verdict within 0 s" in rejected.allowed
    assert await router.turn() == []
    [applied] = await router.take(checked("fraud-next", passed=True))
    assert applied.weights == {"fraud": 3, "fraud-next": 1}


async def test_a_revision_that_comes_just_as_the_one_before_is_late_has_its_own_time(router, monkeypatch):
    await router.take(ready(), ready("fraud-next", requires=["quality"]))
    router.deadlines(Deadlines(weights=600, checks=0, apply=15))
    late = progress.unjudged

    async def overtaken(connection, before):
        found = await late(connection, before)
        await router.handle(ready("fraud-next", 2, requires=["quality"]))
        return found

    monkeypatch.setattr(progress, "unjudged", overtaken)
    await router.reconciler.waits.fail_unjudged()
    monkeypatch.undo()
    router.deadlines(Deadlines(weights=600, checks=600, apply=15))
    assert [type(event) for event in await router.turn()] == [RoutesApplied]


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


def removal(**fields) -> EndpointRemovalRequested:
    return EndpointRemovalRequested(
        **{"account": "risk", "endpoint": "fraud", "requested_by": "jiho"} | fields
    )


async def seen(store) -> list[dict]:
    """The endpoints of `risk`, as people read them."""
    app = Starlette(routes=api.routes(store, URLS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router") as http:
        return (await http.get("/v1/endpoints?account=risk")).json()["endpoints"]


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


async def test_checks_end_at_their_deadline_although_the_mesh_is_away(router, monkeypatch):
    async def away(_routes):
        raise ConnectionError

    router.deadlines(Deadlines(weights=600, checks=0, apply=15))
    await router.handle(ready(requires=["quality"]))
    monkeypatch.setattr(router.mesh, "apply", away)
    with pytest.raises(ConnectionError):
        await router.turn()
    await router.store.outbox.flush(router.said)
    assert [unwrap(record.headers, record.value).type for record in router.said.records] == [
        RoutesRejected.type
    ]


async def test_an_endpoint_that_nobody_heard_of_cannot_be_removed(router):
    [rejected] = await router.take(
        EndpointRemovalRequested(account="risk", endpoint="fraud", requested_by="jiho")
    )
    assert rejected.allowed == "allowed: an endpoint; the account has none yet"


async def test_a_gateway_that_stays_behind_is_told_at_the_deadline_and_when_it_catches_up(router):
    router.mesh.gateways = [{}, {}, {}]
    router.mesh.stuck = {2}
    assert await router.take(ready()) == []
    router.deadlines(Deadlines(weights=600, checks=600, apply=0))
    [degraded] = await router.turn()
    assert degraded == RoutesDegraded(
        account="risk", endpoint="fraud", revision=1, gateways_serving=2, gateways=3
    )
    assert await router.turn() == []
    router.mesh.stuck = set()
    assert [type(event) for event in await router.turn()] == [RoutesApplied]


async def test_a_route_that_the_mesh_refuses_is_told_of_at_once_in_its_words(router):
    router.mesh.refused = {HOST: "weight: 300 is too much"}
    assert await router.take(ready()) == [
        RoutesDegraded(
            account="risk",
            endpoint="fraud",
            revision=1,
            gateways_serving=0,
            gateways=1,
            reason="weight: 300 is too much",
        )
    ]
    assert await router.turn() == []
    router.mesh.refused = {}
    assert [type(event) for event in await router.turn()] == [RoutesApplied]


async def test_a_host_that_cannot_be_asked_holds_up_no_other(router, monkeypatch):
    async def served(host):
        if host == HOST:
            raise ConnectionError("nobody knows the gateways of this host")
        return await MemoryMesh.served(router.mesh, host)

    await router.take(ready("churn", endpoint="churn"), ready("churn-next", endpoint="churn"))
    monkeypatch.setattr(router.mesh, "served", served)
    said = await router.take(ready(), retiring("churn-next"))
    assert [(type(event), event.account) for event in said] == [
        (RoutesApplied, "risk"),
        (VariantReleased, "risk"),
    ]
    monkeypatch.undo()
    [applied] = await router.turn()
    assert applied.host == HOST


async def test_a_route_that_another_hand_changed_comes_back(router):
    await router.take(ready())
    kept = router.mesh.gateways[0].copy()
    router.mesh.gateways[0].clear()
    assert await router.turn() == []
    assert router.mesh.gateways[0] == kept


async def test_a_router_that_died_between_the_record_and_the_mesh_goes_on_from_there(router, store):
    await router.handle(ready())
    again = Router(store, router.mesh)
    assert [type(event) for event in await again.turn()] == [RoutesApplied]


async def test_people_read_endpoints_with_their_variants_and_history(router, store):
    await router.take(ready(), ready("fraud-next", requires=["quality"]))
    await router.take(weights(weights={"fraud": 9, "fraud-next": 0}, reason="canary"))
    app = Starlette(routes=api.routes(store, URLS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router") as http:
        assert (await http.get("/v1/endpoints")).status_code == 400
        assert (await http.get("/v1/endpoints?account=other")).json() == {"endpoints": []}
        [endpoint] = (await http.get("/v1/endpoints?account=risk")).json()["endpoints"]
    assert endpoint["host"] == HOST
    assert endpoint["url"] == f"http://{HOST}:8080"
    assert endpoint["revision"] == 3
    assert endpoint["applied"] is True
    assert endpoint["variants"] == [
        IsPartialDict(variant="fraud", state="attached", weight=9, model="fraud", version="1"),
        IsPartialDict(variant="fraud-next", checks={"quality": {"passed": None, "reason": "no verdict yet"}}),
    ]
    assert [each["revision"] for each in endpoint["history"]] == [3, 2, 1]
    assert endpoint["history"][0] == IsPartialDict(
        weights={"fraud": 9, "fraud-next": 0}, changed_by="user:jiho", reason="canary"
    )


async def test_the_time_that_a_route_took_is_told_in_seconds(router, clock):
    await router.handle(ready())
    clock.advance(1.5)
    [applied] = await router.turn()
    assert applied.seconds == IsFloat(approx=1.5, delta=0.01)
