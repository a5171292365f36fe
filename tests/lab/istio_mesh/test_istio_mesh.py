"""The `Mesh` port on a real API server, istiod and Envoy, as the laptop's mesh is held to it."""

import copy
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from services.router.adapters.istio.gateways import GatewayService
from services.router.adapters.istio.manifests import Sharing
from services.router.adapters.istio.objects import Key, Objects
from services.router.domain.route import Arm, Route
from so1s.errors import Unreachable
from so1s.kubernetes.errors import Conflict
from tests.lab.istio_mesh.world import HOST, NETWORKING, Mesh, own_address
from tests.router.gateway import eventually, route, serve
from tests.router.test_router_mesh_conformance import (  # noqa: F401 - the port's promises
    test_a_host_that_it_was_not_told_of_is_served_by_no_gateway,
    test_a_mesh_serves_the_routes_that_it_was_told,
    test_a_repetition_changes_nothing,
    test_a_route_replaces_the_one_before,
    test_a_route_that_cannot_be_had_leaves_its_host_as_it_was_and_holds_up_no_other,
    test_a_route_that_is_served_fails_in_nothing,
    test_a_route_that_it_is_told_no_more_is_gone,
    test_what_a_call_told_of_goes_also_where_strangers_are_kept,
    test_what_no_call_told_of_stays_where_the_mesh_is_told_to_keep_it,
)
from tests.router.test_router_mesh_envoy import (  # noqa: F401 - what callers meet at every gateway
    Load,
    all_answer,
    test_a_detached_variant_finishes_its_requests,
    test_a_host_is_one_label_of_the_domain_and_any_port,
    test_a_server_slower_than_the_timeout_is_answered_for_with_504,
    test_an_endpoint_without_weight_answers_503_in_json,
    test_no_request_fails_while_weights_and_variants_change,
    test_scaling_down_lets_requests_in_flight_finish,
    test_traffic_splits_by_the_weights,
)


@pytest.fixture
def any_mesh(mesh: Mesh) -> Mesh:
    return mesh


@pytest.fixture
def fallible(mesh: Mesh) -> tuple[Mesh, Callable[[Route], Route]]:
    lost = Arm("lost", 1, "file:///world/risk--lost.json")
    return mesh, lambda wanted: replace(wanted, arms=(lost,))


@pytest.fixture
async def successor(mesh: Mesh, make_mesh: Callable[..., Mesh]) -> AsyncIterator[Mesh]:
    """Another mesh on the same gateways, which was told nothing yet."""
    following = make_mesh(patience_seconds=60)
    following.begin()
    yield following
    await following.__aexit__()


@pytest.fixture
async def impatient(make_mesh: Callable[..., Mesh], namespace: str) -> AsyncIterator[Mesh]:
    sharing = Sharing(namespace, f"{namespace}/so1s", (), "so1s.localhost", timeout_seconds=0.2)
    async with make_mesh(sharing=sharing) as mesh:
        yield mesh
        await serve(mesh, gone=HOST)


async def test_an_answer_names_its_variant_and_revision(mesh, caller, deploy):
    await serve(mesh, route("fraud", 4, deploy("fraud").arm(1)))
    answer = await caller.call(HOST)
    assert answer.headers["x-so1s-variant"] == "fraud"
    assert answer.headers["x-so1s-revision"] == "4"


async def test_a_host_of_the_domain_that_no_endpoint_has_is_answered_404_in_json(mesh, caller):
    async def answered() -> bool:
        answer = await caller.call("nobody--risk.so1s.localhost")
        return answer.status_code == 404 and answer.content != b""

    await eventually(answered)
    answer = await caller.call("nobody--risk.so1s.localhost")
    assert answer.json() == {"error": "no endpoint has this host"}
    assert answer.headers["content-type"] == "application/json"


async def test_a_host_keeps_its_route_until_the_next_one_has_a_ready_replica(
    mesh, caller, deploy, api, namespace
):
    await serve(mesh, route("fraud", 1, deploy("fraud").arm(1)))
    following = deploy("fraud-next", replicas=0)
    after = route("fraud", 2, following.arm(1))
    told = await api.get(NETWORKING, "VirtualService", namespace, "fraud--risk")
    assert await mesh.apply([after]) == [HOST]
    assert await api.get(NETWORKING, "VirtualService", namespace, "fraud--risk") == told
    following.replicas = [deploy.start("fraud-next-0")]
    following.list_replicas()
    await serve(mesh, after)
    assert (await caller.call(HOST)).headers["x-so1s-variant"] == "fraud-next"


async def test_a_route_to_no_replica_is_better_than_a_wrong_one_after_a_while(mesh, caller, deploy):
    await serve(mesh, route("fraud", 1, deploy("fraud").arm(1)))
    await serve(mesh, route("fraud", 2, deploy("fraud-next", replicas=0).arm(1)))
    assert (await caller.call(HOST)).status_code == 503


async def test_no_request_fails_when_a_variant_takes_all_traffic_as_soon_as_it_is_there(mesh, caller, deploy):
    await serve(mesh, route("fraud", 1, deploy("fraud-1").arm(1)))
    async with Load(caller, HOST) as load:
        for revision in range(2, 6):
            await serve(mesh, route("fraud", revision, deploy(f"fraud-{revision}").arm(1)))
            await load.more(20)
    assert load.failures == []


async def test_a_replica_that_fails_beside_a_healthy_one_is_left_alone(mesh, caller, deploy, http, istio):
    fraud = deploy("fraud", replicas=2)
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    await all_answer(caller, fraud)
    await http.get(f"http://{deploy.address}:{fraud.replicas[0].port}/become/500")
    failed = (await caller.variants(HOST, 100))["failed"]
    counter = f"{fraud.host}.*ejections_enforced_consecutive_5xx"
    ejections = (await http.get(f"{istio.admin_url}/stats", params={"filter": counter})).text
    # For 2 s after the tenth failure in a row, which is many calls here, and few on a slow machine.
    assert 1 <= failed <= 11 * int(ejections.rpartition(": ")[2]) + 10


async def test_a_replica_that_is_gone_is_not_waited_for(mesh, caller, deploy):
    fraud = deploy("fraud", replicas=2)
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    await all_answer(caller, fraud)
    fraud.replicas[0].kill()
    await caller.call(HOST)  # the connections to it are closed by now
    assert "failed" not in await caller.variants(HOST, 100)


def _weight(spec: dict[str, Any]) -> None:
    spec["http"][-1]["route"][0]["weight"] = 99


def _fault(spec: dict[str, Any]) -> None:
    spec["http"][-1]["fault"] = {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}


EDITS = {
    "changed weight": ("VirtualService", "fraud--risk", _weight),
    "added fault": ("VirtualService", "fraud--risk", _fault),
    "added field": ("VirtualService", "fraud--risk", lambda spec: spec.update(exportTo=["."])),
    "removed policy": (
        "DestinationRule",
        "fraud",
        lambda spec: spec["trafficPolicy"].pop("outlierDetection"),
    ),
    "added policy": (
        "DestinationRule",
        "fraud",
        lambda spec: spec["trafficPolicy"].update(tls={"mode": "SIMPLE"}),
    ),
    "other pods": ("Gateway", "so1s", lambda spec: spec["selector"].update(stolen="yes")),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_another_hands_edit_is_told_and_put_back(mesh, deploy, api, namespace, edit):
    wanted = route("fraud", 3, deploy("fraud").arm(1))
    await serve(mesh, wanted)
    kind, name, change = EDITS[edit]
    before = await api.get(NETWORKING, kind, namespace, name)
    edited = copy.deepcopy(before)
    change(edited["spec"])
    await api.replace(edited, manager="kubectl-edit")

    async def told() -> bool:
        return await mesh.apply([wanted]) == [HOST]

    await eventually(told)
    assert (await api.get(NETWORKING, kind, namespace, name))["spec"] == before["spec"]
    assert await mesh.apply([wanted]) == []
    await serve(mesh, wanted)


@pytest.mark.parametrize("kind", ["VirtualService", "DestinationRule"])
async def test_what_another_hand_deleted_or_hid_comes_back(mesh, deploy, api, namespace, kind):
    wanted = route("fraud", 3, deploy("fraud").arm(1))
    await serve(mesh, wanted)
    name = {"VirtualService": "fraud--risk", "DestinationRule": "fraud"}[kind]

    async def told() -> bool:
        return await mesh.apply([wanted]) == [HOST]

    await api.delete(NETWORKING, kind, namespace, name)
    await eventually(told)
    hidden = await api.get(NETWORKING, kind, namespace, name)
    hidden["metadata"]["labels"] = {}
    await api.replace(hidden, manager="kubectl-edit")
    await eventually(told)
    assert await mesh.apply([wanted]) == []
    labels = (await api.get(NETWORKING, kind, namespace, name))["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "so1s-router"


async def test_a_stranger_with_the_routers_labels_goes_and_what_is_not_the_routers_stays(
    mesh, deploy, api, namespace
):
    fraud = deploy("fraud")
    wanted = route("fraud", 1, fraud.arm(1))
    await serve(mesh, wanted)
    rule = await api.get(NETWORKING, "DestinationRule", namespace, "fraud")
    own, other = rule["metadata"]["labels"], {"app.kubernetes.io/managed-by": "so1s-router"}
    for name, labels in {"stray": own, "theirs": other | {"app.kubernetes.io/instance": "other"}}.items():
        spec = {"host": f"{name}.{namespace}.svc.cluster.local"}
        meta = {"namespace": namespace, "name": name, "labels": labels}
        made = {"apiVersion": NETWORKING, "kind": "DestinationRule", "metadata": meta, "spec": spec}
        await api.apply(made, manager="test")

    async def gone() -> bool:
        await mesh.apply([wanted])
        return await api.get(NETWORKING, "DestinationRule", namespace, "stray") is None

    await eventually(gone)
    assert await api.get(NETWORKING, "DestinationRule", namespace, "theirs")
    await serve(mesh, gone=HOST)
    assert await api.get(NETWORKING, "DestinationRule", namespace, "fraud") is None


async def test_a_write_takes_effect_only_on_the_state_that_was_seen(mesh, deploy, api, namespace):
    await serve(mesh, route("fraud", 1, deploy("fraud").arm(1)))
    seen = await api.get(NETWORKING, "VirtualService", namespace, "fraud--risk")
    await serve(mesh, route("fraud", 2, deploy("fraud").arm(1)))
    key = Key("VirtualService", namespace, "fraud--risk")
    wanted = {name: seen[name] for name in ("apiVersion", "kind", "spec")}
    wanted["metadata"] = {name: seen["metadata"][name] for name in ("name", "namespace", "labels")}
    with pytest.raises(Conflict):
        await Objects(api, {}, time.monotonic).put(key, wanted, seen)
    assert await mesh.served(HOST) == [2]


async def test_a_route_that_istiod_refuses_is_told_with_its_reason_and_holds_up_no_other(mesh, deploy):
    fraud = deploy("fraud")
    wrong = Route("risk", "wrong", "wrong_host--risk.so1s.localhost", 1, (fraud.arm(1),))
    right = route("fraud", 1, fraud.arm(1))

    async def served() -> bool:
        assert wrong.host in await mesh.apply([wrong, right])
        return await mesh.served(HOST) == [1]

    await eventually(served)
    assert list(mesh.failures()) == [wrong.host]
    assert mesh.failures()[wrong.host].refused
    assert "wrong_host--risk" in mesh.failures()[wrong.host].reason
    await mesh.apply([right])
    assert mesh.failures() == {}


async def test_no_route_is_told_while_nobody_knows_what_is_there(mesh, deploy):
    wanted = route("fraud", 1, deploy("fraud").arm(1))
    await serve(mesh, wanted)
    await mesh.__aexit__()
    with pytest.raises(Unreachable):
        await mesh.apply([wanted])
    mesh.begin()
    await eventually(partial(mesh.takes, wanted))
    assert await mesh.apply([wanted]) == []


async def test_a_router_that_takes_over_changes_nothing(mesh, make_mesh, deploy, api, namespace):
    wanted = route("fraud", 1, deploy("fraud").arm(1))
    await serve(mesh, wanted)
    before = await api.get(NETWORKING, "VirtualService", namespace, "fraud--risk")
    following = make_mesh()
    following.begin()
    await eventually(partial(following.takes, wanted))
    assert await following.apply([wanted]) == []
    assert await api.get(NETWORKING, "VirtualService", namespace, "fraud--risk") == before
    await following.__aexit__()


async def test_every_ready_pod_of_the_gateways_service_is_asked(make_mesh, istio, namespace, deploy, api):
    address = own_address()
    pods = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": "gateway-1",
            "labels": {"kubernetes.io/service-name": "gateway"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"name": "http2", "port": istio.port}],
    }
    await api.apply(pods, manager="test")
    given = {"gateways": GatewayService(namespace, "gateway", "http2"), "bind": address}
    async with make_mesh(**given) as mesh:
        wanted = route("fraud", 1, deploy("fraud").arm(1))
        await serve(mesh, wanted)
        pods["endpoints"].append({"addresses": ["198.51.100.1"]})

        await api.apply(pods, manager="test")

        async def asked() -> bool:
            return sorted(await mesh.served(HOST), key=str) == [1, None]

        await eventually(asked)
        await mesh.apply([])


async def test_the_exact_weights_reach_the_gateway(mesh, deploy, http, istio):
    arms = [deploy("fraud").arm(1_000_000), deploy("fraud-next").arm(999_999), deploy("fraud-third").arm(0)]
    await serve(mesh, route("fraud", 1, *arms))
    dump = await http.get(f"{istio.admin_url}/config_dump", params={"resource": "dynamic_route_configs"})
    hosts = [
        host for each in dump.json()["configs"] for host in each["route_config"].get("virtual_hosts", [])
    ]
    (traffic,) = [
        each for host in hosts for each in host.get("routes", []) if each.get("name") == "fraud--risk"
    ]
    clusters = traffic["route"]["weighted_clusters"]["clusters"]
    assert [each["weight"] for each in clusters] == [1_000_000, 999_999]


async def test_the_gateway_counts_the_answers_of_each_variants_service(mesh, caller, deploy, http, istio):
    fraud, following = deploy("fraud"), deploy("fraud-next")
    await serve(mesh, route("fraud", 1, fraud.arm(1), following.arm(0)))
    assert await caller.variants(HOST, 7) == {"fraud": 7}
    await serve(mesh, route("fraud", 2, fraud.arm(0), following.arm(1)))
    assert await caller.variants(HOST, 5) == {"fraud-next": 5}
    for service, answers in ((fraud, 7), (following, 5)):
        counter = f"cluster.outbound|80||{service.host}"
        stats = await http.get(f"{istio.admin_url}/stats", params={"filter": f"{service.host}.*rq_2xx"})
        found = {line.replace(";", "") for line in stats.text.splitlines()}
        assert f"{counter}.upstream_rq_2xx: {answers}" in found


async def test_two_hundred_endpoints_at_once_are_served(mesh, deploy):
    fraud = deploy("fraud")
    routes = [route(f"many-{number}", 1, fraud.arm(1)) for number in range(200)]
    await serve(mesh, *routes)
    assert await mesh.apply(routes) == []
