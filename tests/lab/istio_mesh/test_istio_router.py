"""The router on a real Istio: events in, events out."""

import time

import pytest

from so1s.events import DeploymentRetiring, RoutesApplied, VariantReleased, WeightsChanged
from so1s.store import Store
from tests.lab.istio_mesh.world import HOST, NETWORKING
from tests.router.driver import Router, ready
from tests.router.gateway import eventually


@pytest.fixture
async def store(tmp_path):
    store = Store(f"sqlite+aiosqlite:///{tmp_path}/router.db", producer="router")
    await store.migrate("services.router.migrations")
    yield store
    await store.close()


@pytest.fixture
def router(store, mesh):
    return Router(store, mesh)


async def said(router: Router, *events, number: int = 1) -> list:
    """What the router says to some events, once it is as much as expected."""
    answers = await router.take(*events)

    async def enough() -> bool:
        if len(answers) < number:
            answers.extend(await router.turn())
        return len(answers) >= number

    await eventually(enough, 60)
    return answers


def joined(service, **fields):
    return ready(**{"deployment": service.name, "service": service.arm(0).service} | fields)


async def test_a_variant_joins_takes_traffic_and_leaves(router, caller, deploy, api, namespace):
    fraud, following = deploy("fraud"), deploy("fraud-next")
    (applied,) = await said(router, joined(fraud))
    assert (type(applied), applied.weights) == (RoutesApplied, {"fraud": 1})
    assert (await caller.call(HOST)).headers["x-so1s-variant"] == "fraud"

    (applied,) = await said(router, joined(following))
    assert applied.weights == {"fraud": 1, "fraud-next": 0}
    weights = WeightsChanged(account="risk", endpoint="fraud", weights={"fraud": 0, "fraud-next": 1})
    (applied,) = await said(router, weights)
    assert applied.weights == {"fraud": 0, "fraud-next": 1}
    assert (await caller.call(HOST)).headers["x-so1s-variant"] == "fraud-next"

    answers = await said(
        router, DeploymentRetiring(account="risk", deployment="fraud", endpoint="fraud", revision=1)
    )
    assert VariantReleased(account="risk", deployment="fraud", revision=1) in answers

    async def gone() -> bool:
        await router.turn()
        return await api.get(NETWORKING, "DestinationRule", namespace, "fraud") is None

    await eventually(gone)
    assert (await caller.call(HOST)).headers["x-so1s-variant"] == "fraud-next"


async def test_two_hundred_endpoints_that_become_ready_at_once_are_all_applied(router, deploy):
    fraud = deploy("fraud")
    news = [joined(fraud, endpoint=f"many-{number}", deployment=f"many-{number}") for number in range(200)]
    began = time.monotonic()
    answers = await said(router, *news, number=200)
    print(f"{time.monotonic() - began:.1f} s")  # noqa: T201 - shown where pytest is told so
    assert {type(answer) for answer in answers} == {RoutesApplied}
    assert {answer.endpoint for answer in answers} == {f"many-{number}" for number in range(200)}
