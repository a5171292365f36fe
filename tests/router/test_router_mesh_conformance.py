"""What every mesh promises, whatever gateways it drives."""

import pytest

from services.router.domain.route import Route
from services.router.ports import Failure
from tests.router.driver import MemoryMesh
from tests.router.gateway import eventually, route, serve


@pytest.fixture(params=["memory", "envoy"])
def any_mesh(request):
    return MemoryMesh() if request.param == "memory" else request.getfixturevalue("mesh")


@pytest.fixture
def successor(any_mesh, request):
    """Another mesh on the same gateways, which was told nothing yet."""
    if isinstance(any_mesh, MemoryMesh):
        return MemoryMesh(any_mesh.gateways)
    return request.getfixturevalue("world").mesh(request.getfixturevalue("http"))


@pytest.fixture
def fallible():
    """A mesh, and what makes of a route one that it cannot have; Envoy has every route."""
    mesh = MemoryMesh()

    def impossible(wanted: Route) -> Route:
        mesh.failing = {wanted.host: Failure("it cannot be had", refused=True)}
        return wanted

    return mesh, impossible


async def test_a_mesh_serves_the_routes_that_it_was_told(any_mesh, deploy):
    fraud, churn = route("fraud", 3, deploy("fraud").arm(1)), route("churn", 1, deploy("churn").arm(1))
    await serve(any_mesh, fraud, churn)
    assert await any_mesh.served(fraud.host) == [3]
    assert await any_mesh.served(churn.host) == [1]


async def test_a_host_that_it_was_not_told_of_is_served_by_no_gateway(any_mesh):
    assert await any_mesh.served("nobody--risk.so1s.localhost") == [None]


async def test_a_route_replaces_the_one_before(any_mesh, deploy):
    fraud = deploy("fraud")
    await serve(any_mesh, route("fraud", 1, fraud.arm(1)))
    await serve(any_mesh, route("fraud", 2, fraud.arm(0)))


async def test_a_route_that_it_is_told_no_more_is_gone(any_mesh, deploy):
    fraud = route("fraud", 1, deploy("fraud").arm(1))
    await serve(any_mesh, fraud)
    assert await any_mesh.apply([]) == [fraud.host]
    await serve(any_mesh, gone=fraud.host)


async def test_a_repetition_changes_nothing(any_mesh, deploy):
    fraud = route("fraud", 1, deploy("fraud").arm(1))
    await serve(any_mesh, fraud)
    assert await any_mesh.apply([fraud]) == []


async def test_a_route_that_is_served_fails_in_nothing(any_mesh, deploy):
    await serve(any_mesh, route("fraud", 1, deploy("fraud").arm(1)))
    assert any_mesh.failures() == {}


async def test_a_route_that_cannot_be_had_leaves_its_host_as_it_was_and_holds_up_no_other(fallible, deploy):
    mesh, impossible = fallible
    fraud = deploy("fraud")
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    wrong, churn = impossible(route("fraud", 2, fraud.arm(1))), route("churn", 1, deploy("churn").arm(1))

    async def other_is_served() -> bool:
        assert wrong.host in await mesh.apply([wrong, churn])
        return await mesh.served(churn.host) == [1]

    await eventually(other_is_served)
    assert await mesh.served(wrong.host) == [1]
    (host, failure), *others = mesh.failures().items()
    assert (host, failure.refused, others) == (wrong.host, True, [])
    assert failure.reason


async def test_what_no_call_told_of_stays_where_the_mesh_is_told_to_keep_it(any_mesh, successor, deploy):
    lost, churn = route("fraud", 3, deploy("fraud").arm(1)), route("churn", 1, deploy("churn").arm(1))
    await serve(any_mesh, lost)
    assert await successor.apply([], keep_strangers=True) == []
    strangers = successor.strangers()
    assert strangers
    await serve(successor, churn, keep_strangers=True)
    assert await successor.served(lost.host) == [3]
    assert successor.strangers() == strangers
    await serve(successor, churn, gone=lost.host)
    assert successor.strangers() == []


async def test_what_a_call_told_of_goes_also_where_strangers_are_kept(any_mesh, deploy):
    fraud = route("fraud", 3, deploy("fraud").arm(1))
    await serve(any_mesh, fraud, keep_strangers=True)
    assert await any_mesh.apply([], keep_strangers=True) == [fraud.host]
    await serve(any_mesh, gone=fraud.host, keep_strangers=True)
    assert any_mesh.strangers() == []
