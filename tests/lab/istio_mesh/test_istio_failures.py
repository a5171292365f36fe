"""What a real API server will not do for one endpoint, beside others for which it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import REGISTRY

from services.router.adapters.istio.endpoints import API_VERSION, KIND
from services.router.adapters.istio.manifests import DESTINATION_RULE, VIRTUAL_SERVICE
from so1s.errors import TemporaryError
from so1s.events import EndpointRemovalRequested, EndpointRemoved, RoutesApplied, RoutesDegraded
from so1s.kubernetes import Api, Refused
from so1s.kubernetes.paths import path, plural
from tests.lab.istio_mesh.test_istio_router import joined, router, said, store  # noqa: F401 - fixtures
from tests.lab.istio_mesh.world import ANYWHERE, HOST, NETWORKING, connect_as, user_of
from tests.router.driver import Router
from tests.router.gateway import eventually, route, serve

ADMISSION = "admissionregistration.k8s.io/v1"
STALE = "stale"
SPECS = {
    DESTINATION_RULE: {"host": "stale.example"},
    VIRTUAL_SERVICE: {"hosts": ["stale.example"], "http": [{"directResponse": {"status": 404}}]},
}


def stale(kind: str, namespace: str, **labels: str) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": STALE, "labels": labels}
    return {"apiVersion": NETWORKING, "kind": kind, "metadata": metadata, "spec": SPECS[kind]}


def here(namespace: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def rule(kind: str, *operations: str) -> dict[str, Any]:
    names = {"apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "resources": [plural(kind)]}
    return {**names, "operations": list(operations)}


@asynccontextmanager
async def undeletable(api: Api, kind: str, namespace: str, **labels: str) -> AsyncIterator[None]:
    """While a policy lets no object of a kind go; an object `stale` is there then, with some labels."""
    policy = {
        "matchConstraints": {"resourceRules": [rule(kind, "DELETE")]},
        "validations": [{"expression": "false", "message": "nothing goes on a Friday"}],
    }
    binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": here(namespace)}
    told = {"ValidatingAdmissionPolicy": policy, "ValidatingAdmissionPolicyBinding": binding}
    for each, spec in told.items():
        meta = {"name": namespace}
        await api.apply(
            {"apiVersion": ADMISSION, "kind": each, "metadata": meta, "spec": spec}, manager="test"
        )

    async def in_force() -> bool:
        await api.apply(stale(kind, namespace, **labels), manager="test")
        try:
            await api.delete(NETWORKING, kind, namespace, STALE)
        except Refused:
            return True
        return False

    try:
        await eventually(in_force)
        yield
    finally:
        for each in told:
            await api.delete(ADMISSION, each, None, namespace)


@asynccontextmanager
async def webhook_away(api: Api, namespace: str, *names: str) -> AsyncIterator[None]:
    """While a webhook does not answer that must be asked about the virtual services of some names."""
    webhook = {
        "name": "away.example.org",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule(VIRTUAL_SERVICE, "CREATE", "UPDATE")],
        "matchConditions": [{"name": "these", "expression": f"object.metadata.name in {[*names, STALE]}"}],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **here(namespace),
    }
    kind = "ValidatingWebhookConfiguration"
    made = {"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": namespace}, "webhooks": [webhook]}
    await api.apply(made, manager="test")

    async def in_force() -> bool:
        try:
            await api.apply(stale(VIRTUAL_SERVICE, namespace), manager="test")
        except TemporaryError:
            return True
        await api.delete(NETWORKING, VIRTUAL_SERVICE, namespace, STALE)
        return False

    try:
        await eventually(in_force)
        yield
    finally:
        await api.delete(ADMISSION, kind, None, namespace)


async def test_a_rule_that_may_not_be_removed_holds_up_no_route_and_goes_once_it_may(
    router,  # noqa: F811 - the fixture
    store,  # noqa: F811 - the fixture
    deploy,
    api,
    namespace,
):
    fraud = deploy("fraud")
    await said(router, joined(fraud))
    following = Router(store, router.mesh)  # one that begins with an endpoint removes what it does not know
    own = {"app.kubernetes.io/managed-by": "so1s-router", "app.kubernetes.io/instance": namespace}
    async with undeletable(api, DESTINATION_RULE, namespace, **own):
        (applied,) = await said(following, joined(fraud, deployment="churn", endpoint="churn"))
        assert (type(applied), applied.endpoint) == (RoutesApplied, "churn")
        assert REGISTRY.get_sample_value("so1s_router_failing_objects") == 1

    async def gone() -> bool:
        await following.turn()
        return await api.get(NETWORKING, DESTINATION_RULE, namespace, STALE) is None

    await eventually(gone)
    await following.turn()
    assert REGISTRY.get_sample_value("so1s_router_failing_objects") == 0


async def test_an_endpoint_that_may_not_be_removed_says_why_while_others_are_served(
    router,  # noqa: F811 - the fixture
    deploy,
    api,
    namespace,
):
    fraud = deploy("fraud")
    await said(router, joined(fraud))
    removal = EndpointRemovalRequested(account="risk", endpoint="fraud", requested_by="user:jiho")
    async with undeletable(api, VIRTUAL_SERVICE, namespace):
        (degraded,) = await said(router, removal)
        assert (type(degraded), degraded.endpoint) == (RoutesDegraded, "fraud")
        assert "nothing goes on a Friday" in degraded.reason
        (applied,) = await said(router, joined(fraud, deployment="churn", endpoint="churn"))
        assert (type(applied), applied.endpoint) == (RoutesApplied, "churn")
    (removed,) = await said(router)
    assert (type(removed), removed.endpoint) == (EndpointRemoved, "fraud")


async def test_a_route_that_is_not_taken_for_now_holds_up_no_other_and_comes_later(
    mesh, deploy, api, namespace
):
    fraud = deploy("fraud")
    wanted, other = route("fraud", 1, fraud.arm(1)), route("churn", 1, fraud.arm(1))
    async with webhook_away(api, namespace, "fraud--risk"):

        async def served() -> bool:
            assert HOST in await mesh.apply([wanted, other])
            return await mesh.served(other.host) == [1]

        await eventually(served)
        failure = mesh.failures()[HOST]
        assert not failure.refused
        assert "failed calling webhook" in failure.reason
        assert await mesh.served(HOST) == [None]
    await serve(mesh, wanted, other)
    assert mesh.failures() == {}


async def test_a_route_whose_replicas_may_not_be_asked_after_is_taken_after_a_while(
    make_mesh, deploy, api, namespace, kubernetes
):
    user = user_of(namespace)
    blind = [each for each in ANYWHERE if "endpointslices" not in each["resources"]]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": user}}
    await api.apply({**role, "rules": blind}, manager="test")
    async with connect_as(kubernetes.kubeconfig, user) as as_router:

        async def forbidden() -> bool:
            try:
                await as_router.read(path(API_VERSION, KIND, namespace), {})
            except Refused:
                return True
            return False

        await eventually(forbidden)
    wanted, shut = route("fraud", 1, deploy("fraud").arm(1)), route("shut", 1, deploy("shut").arm(0))
    async with make_mesh() as mesh:
        await mesh.apply([wanted, shut])
        assert list(mesh.failures()) == [HOST]
        assert not mesh.failures()[HOST].refused
        assert "endpointslices.discovery.k8s.io is forbidden" in mesh.failures()[HOST].reason
        await serve(mesh, wanted, shut)
        assert await mesh.apply([wanted, shut]) == []
        assert mesh.failures() == {}
        await serve(mesh, gone=HOST)
