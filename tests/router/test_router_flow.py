"""Events in, gateways told, events out: the router as its neighbours know it."""

import httpx
from dirty_equals import IsFloat, IsPartialDict
from starlette.applications import Starlette
from structlog.testing import capture_logs

from services.router import api
from services.router.domain.deadlines import Deadlines
from services.router.ports import Failure
from so1s.events import (
    EndpointRemovalRequested,
    EndpointRemoved,
    RoutesApplied,
    RoutesDegraded,
    VariantReleased,
)
from so1s.events.codec import unwrap
from tests.router.driver import URLS, MemoryMesh, Router, ready, requested
from tests.router.said import HOST, causes, retiring, weights


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


async def test_a_repetition_gives_gateways_the_whole_deadline(router, clock):
    clock.advance(-60)
    await router.take(ready())
    clock.advance(60)
    router.mesh.gateways[0].clear()
    router.mesh.stuck = {0}
    assert await router.take(ready()) == []
    router.mesh.stuck = set()
    assert [type(event) for event in await router.turn()] == [RoutesApplied]


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
    router.mesh.failing = {HOST: Failure("weight: 300 is too much", refused=True)}
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
    router.mesh.failing = {}
    assert [type(event) for event in await router.turn()] == [RoutesApplied]


async def test_a_route_that_fails_for_now_is_told_of_at_the_deadline_with_its_reason(router):
    router.mesh.failing = {HOST: Failure("a webhook does not answer", refused=False)}
    assert await router.take(ready()) == []
    router.deadlines(Deadlines(weights=600, checks=600, apply=0))
    [degraded] = await router.turn()
    assert (type(degraded), degraded.reason) == (RoutesDegraded, "a webhook does not answer")


async def test_an_edit_that_cannot_be_undone_is_not_said_to_be(router):
    await router.take(ready())
    router.mesh.gateways[0].clear()
    router.mesh.failing = {HOST: Failure("the webhook denies it", refused=True)}
    with capture_logs() as logs:
        await router.turn()
    assert logs == []


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
