"""Routes of which the store has no record: they may be those of another store."""

import pytest
from dirty_equals import IsPartialDict
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.router.domain.route import Arm
from so1s.events import EndpointRemovalRequested, EndpointRemoved, RoutesApplied
from tests.router.driver import MemoryMesh, Router, ready
from tests.router.gateway import route

LOST = route("lost", 3, Arm("lost", 1, "file:///world/risk--lost.json"))


@pytest.fixture
def mesh():
    """A mesh that serves a route of a router before."""
    return MemoryMesh([{LOST.host: LOST}])


@pytest.fixture
def router(store, mesh, clock):
    clock.advance(60)  # what is recorded from now on, is so after the router began
    return Router(store, mesh)


async def test_a_router_that_begins_without_any_endpoint_keeps_what_it_finds_and_says_so_once(router, mesh):
    with capture_logs() as logs:
        for _ in range(3):
            assert await router.turn() == []
    assert mesh.gateways == [{LOST.host: LOST}]
    assert logs == [IsPartialDict(log_level="error", number=1, objects=[LOST.host])]
    assert "SO1S_DATABASE_SCHEMA" in logs[0]["check"]
    assert REGISTRY.get_sample_value("so1s_router_strangers") == 1


async def test_what_was_found_is_kept_also_once_an_endpoint_is_recorded(router, mesh):
    [applied] = await router.take(ready())
    assert isinstance(applied, RoutesApplied)
    assert mesh.gateways[0].keys() == {LOST.host, applied.host}


async def test_an_endpoint_of_its_own_is_removed_beside_what_was_found(router, mesh):
    await router.take(ready())
    [removed] = await router.take(
        EndpointRemovalRequested(account="risk", endpoint="fraud", requested_by="jiho")
    )
    assert isinstance(removed, EndpointRemoved)
    assert mesh.gateways[0].keys() == {LOST.host}


async def test_a_router_that_begins_with_an_endpoint_removes_what_it_does_not_know(
    store, router, mesh, clock
):
    clock.advance(-120)
    await router.handle(ready())
    following = Router(store, mesh)
    await following.turn()
    assert LOST.host not in mesh.gateways[0]
    assert REGISTRY.get_sample_value("so1s_router_strangers") == 0
