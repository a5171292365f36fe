"""The Envoy that callers meet."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from services.router.domain.route import Arm
from tests.router.gateway import Caller, Deployment, eventually, route, serve


class Load:
    """Calls a host from some connections at once, until it is stopped."""

    def __init__(self, caller: Caller, host: str, connections: int = 8):
        self.caller, self.host, self.connections = caller, host, connections
        self.answers, self.failures, self.stopping = 0, [], False

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self._go()) for _ in range(self.connections)]
        await self.more(50)
        return self

    async def __aexit__(self, *_):
        self.stopping = True
        await asyncio.gather(*self.tasks)

    async def _go(self):
        while not self.stopping:
            answer = await self.caller.call(self.host)
            self.answers += 1
            if answer.status_code != 200:
                self.failures.append((answer.status_code, answer.text))

    async def more(self, number: int) -> None:
        target = self.answers + number

        async def reached() -> bool:
            return self.answers >= target

        await eventually(reached, 30)


async def all_answer(caller: Caller, deployment: Deployment) -> None:
    """Wait until every replica takes traffic."""
    answered = set()

    async def all_did() -> bool:
        answer = await caller.call(f"{deployment.name}--risk.so1s.localhost")
        if answer.status_code == 200:
            answered.add(answer.json()["replica"])
        return answered >= {replica.name for replica in deployment.replicas}

    await eventually(all_did)


async def test_a_host_is_one_label_of_the_domain_and_any_port(mesh, caller, deploy):
    fraud, churn = deploy("fraud"), deploy("churn")
    await serve(mesh, route("fraud", 1, fraud.arm(1)), route("churn", 1, churn.arm(1)))
    for name in ("fraud", "churn"):
        answer = await caller.call(f"{name}--risk.so1s.localhost:8080")
        assert answer.json()["replica"] == f"{name}-0"


async def test_an_answer_names_its_variant_revision_and_request(mesh, caller, deploy):
    await serve(mesh, route("fraud", 4, deploy("fraud").arm(1)))
    answer = await caller.call("fraud--risk.so1s.localhost", headers={"x-request-id": "abc"})
    assert answer.headers["x-so1s-variant"] == "fraud"
    assert answer.headers["x-so1s-revision"] == "4"
    assert answer.headers["x-request-id"] == "abc"
    assert answer.json()["request_id"] == "abc"


async def test_a_request_without_an_id_gets_one(mesh, caller, deploy):
    await serve(mesh, route("fraud", 1, deploy("fraud").arm(1)))
    answer = await caller.call("fraud--risk.so1s.localhost")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_a_caller_cannot_steer_the_gateway_by_its_headers(mesh, caller, deploy):
    await serve(mesh, route("fraud", 1, deploy("fraud").arm(1)))
    impatient = {"x-envoy-upstream-rq-timeout-ms": "1"}
    answer = await caller.call("fraud--risk.so1s.localhost", "/pause", headers=impatient)
    assert answer.status_code == 200


@pytest.fixture
def impatient(world, mesh, http):
    return world.mesh(http, request_timeout_seconds=0.2)


async def test_a_server_slower_than_the_timeout_is_answered_for_with_504(impatient, caller, deploy):
    await serve(impatient, route("fraud", 1, deploy("fraud").arm(1)))
    answer = await caller.call("fraud--risk.so1s.localhost", "/never")
    assert answer.status_code == 504
    assert answer.headers["x-so1s-variant"] == "fraud"


@pytest.mark.parametrize("host", ["nobody--risk.so1s.localhost", "fraud--risk.example", "localhost"])
async def test_a_host_that_no_endpoint_has_is_answered_404_in_json(mesh, caller, host):
    async def answered() -> bool:
        return (await caller.call(host)).status_code == 404

    await eventually(answered)
    assert (await caller.call(host)).json() == {"error": "no endpoint has this host"}


async def test_traffic_splits_by_the_weights(mesh, caller, deploy):
    host = "fraud--risk.so1s.localhost"
    fraud, following, third = deploy("fraud"), deploy("fraud-next"), deploy("fraud-third")
    await serve(mesh, route("fraud", 1, fraud.arm(90), following.arm(10), third.arm(0)))
    counts = await caller.variants(host, 400)
    assert "failed" not in counts
    assert "fraud-third" not in counts
    assert 16 <= counts["fraud-next"] <= 64  # 40 expected; 4 standard deviations are 24
    await serve(mesh, route("fraud", 2, fraud.arm(50), following.arm(30), third.arm(20)))
    counts = await caller.variants(host, 400)
    assert 160 <= counts["fraud"] <= 240  # 200 expected, 4 times 10
    assert 83 <= counts["fraud-next"] <= 157  # 120, 4 times 9.2
    assert 48 <= counts["fraud-third"] <= 112  # 80, 4 times 8


async def test_no_request_fails_while_weights_and_variants_change(mesh, caller, deploy):
    host = "fraud--risk.so1s.localhost"
    fraud, following = deploy("fraud"), deploy("fraud-next")
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    async with Load(caller, host) as load:
        for revision in range(2, 10, 2):
            await serve(mesh, route("fraud", revision, fraud.arm(revision), following.arm(10)))
            await load.more(20)
            await serve(mesh, route("fraud", revision + 1, following.arm(1)))
            await load.more(20)
            await serve(mesh, route("fraud", revision + 1, fraud.arm(1)))
    assert load.failures == []


async def test_no_request_fails_when_a_replica_is_killed_beside_a_healthy_one(mesh, caller, deploy):
    fraud = deploy("fraud", replicas=2)
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    async with Load(caller, "fraud--risk.so1s.localhost", connections=16) as load:
        for _ in range(2):
            await all_answer(caller, fraud)
            victim, other = fraud.replicas
            victim.kill()
            await load.more(200)
            fraud.replicas = [other, deploy.again(victim)]
    assert load.failures == []


async def test_scaling_down_lets_requests_in_flight_finish(mesh, caller, deploy):
    fraud = deploy("fraud", replicas=2)
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    await all_answer(caller, fraud)
    slow = [asyncio.create_task(caller.call("fraud--risk.so1s.localhost", "/pause")) for _ in range(8)]
    await caller.variants("fraud--risk.so1s.localhost", 5)  # the slow ones are on their way
    fraud.replicas = fraud.replicas[:1]
    fraud.list_replicas()
    answers = await asyncio.gather(*slow)
    assert [answer.status_code for answer in answers] == [200] * 8
    assert {answer.json()["replica"] for answer in answers} == {"fraud-0", "fraud-1"}
    for _ in range(10):
        assert (await caller.call("fraud--risk.so1s.localhost")).json()["replica"] == "fraud-0"


async def test_a_detached_variant_finishes_its_requests(mesh, caller, deploy):
    fraud, following = deploy("fraud"), deploy("fraud-next")
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    slow = asyncio.create_task(caller.call("fraud--risk.so1s.localhost", "/pause"))
    await caller.variants("fraud--risk.so1s.localhost", 5)
    await serve(mesh, route("fraud", 2, following.arm(1)))
    await mesh.apply([route("fraud", 2, following.arm(1))])  # now the cluster goes
    assert (await slow).json()["replica"] == "fraud-0"


async def test_a_variant_without_replicas_answers_503_in_json(mesh, caller, deploy):
    await serve(mesh, route("fraud", 1, deploy("fraud", replicas=0).arm(1)))
    answer = await caller.call("fraud--risk.so1s.localhost")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-so1s-variant"] == "fraud"
    assert answer.json() == {"error": "no replica of this variant is ready to answer"}


async def test_an_endpoint_without_weight_answers_503_in_json(mesh, caller, deploy):
    await serve(mesh, route("fraud", 1, deploy("fraud").arm(0)))
    answer = await caller.call("fraud--risk.so1s.localhost")
    assert answer.status_code == 503
    assert answer.json() == {"error": "no variant of this endpoint takes traffic"}


async def test_a_host_keeps_its_route_until_the_next_ones_replicas_are_healthy(mesh, caller, deploy):
    host = "fraud--risk.so1s.localhost"
    fraud, dead = deploy("fraud"), deploy("fraud-next")
    before = route("fraud", 1, fraud.arm(1))
    await serve(mesh, before)
    dead.replicas[0].kill()
    after = route("fraud", 2, dead.arm(1))
    assert await mesh.apply([after]) == [host]
    assert await mesh.apply([after]) == [host]  # its replica is known by now, and does not answer
    assert await mesh.served(host) == [1]
    assert (await caller.call(host)).status_code == 200
    late = deploy.again(dead.replicas[0])
    await serve(mesh, after)
    assert (await caller.call(host)).json()["replica"] == late.name


async def test_a_lone_replica_that_fails_is_not_left_alone(mesh, caller, deploy, http):
    fraud = deploy("fraud")
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    await http.get(f"http://127.0.0.1:{fraud.replicas[0].port}/become/500")
    answers = [(await caller.call("fraud--risk.so1s.localhost")).status_code for _ in range(20)]
    assert answers == [500] * 20


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_replicas_requests_go_to_another(mesh, caller, deploy, http, status):
    fraud = deploy("fraud", replicas=2)
    await serve(mesh, route("fraud", 1, fraud.arm(1)))
    await all_answer(caller, fraud)
    await http.get(f"http://127.0.0.1:{fraud.replicas[0].port}/become/{status}")
    assert "failed" not in await caller.variants("fraud--risk.so1s.localhost", 50)


@pytest.mark.parametrize("edit", ["delete", "empty", "rename"])
@pytest.mark.parametrize("file", ["rds.json", "cds.json"])
async def test_an_edited_file_comes_back(mesh, caller, deploy, edit, file):
    wanted = route("fraud", 3, deploy("fraud").arm(1))
    await serve(mesh, wanted)
    path = mesh.files.directory / file
    before = path.read_bytes()
    _EDITS[edit](path)
    await serve(mesh, wanted)
    assert path.read_bytes() == before
    await eventually(lambda: _is_answered(caller, wanted.host))


async def _is_answered(caller: Caller, host: str) -> bool:
    try:
        return (await caller.call(host)).status_code == 200
    except httpx.ConnectError:
        return False  # Envoy is starting


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".edit")
    temporary.write_text(text)
    temporary.replace(path)


def _rename(path: Path) -> None:
    content = json.loads(path.read_text())
    content["resources"][0]["name"] += "-edited"
    _replace(path, json.dumps(content))


_EDITS = {"delete": Path.unlink, "empty": lambda path: _replace(path, "{}"), "rename": _rename}


async def test_routes_survive_a_restart_of_envoy(world, mesh, caller, deploy):
    wanted = route("fraud", 5, deploy("fraud").arm(1))
    await serve(mesh, wanted)
    world.envoy.stop()
    assert await mesh.served(wanted.host) == [None]
    world.envoy.start()
    await eventually(lambda: _is_answered(caller, wanted.host))
    assert await mesh.served(wanted.host) == [5]


async def test_a_deployment_that_lost_its_file_harms_no_other(world, mesh, caller, deploy):
    lost = Deployment(world.endpoints, "risk", "lost")
    fraud = route("fraud", 1, deploy("fraud").arm(1), lost.arm(0))
    await serve(mesh, fraud)
    await mesh.apply([fraud, route("lost", 1, lost.arm(1))])
    assert await mesh.served("lost--risk.so1s.localhost") == [None]
    assert await _is_answered(caller, fraud.host)


@pytest.mark.parametrize("service", ["file://[", f"file:///{'a' * 300}", "file:///%00", "k8s://lost:80", ""])
async def test_a_variant_whose_service_makes_no_sense_harms_no_other(mesh, caller, deploy, service):
    fraud = route("fraud", 1, deploy("fraud").arm(1), Arm("lost", 0, service))
    await serve(mesh, fraud)
    assert await _is_answered(caller, fraud.host)


LABEL = 'envoy_cluster_name="risk--counted"'
ANSWERED = f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",{LABEL}}}'
EJECTED = f"envoy_cluster_outlier_detection_ejections_enforced_consecutive_5xx{{{LABEL}}}"
DESERTED = f"envoy_cluster_upstream_cx_none_healthy{{{LABEL}}}"
FAILED = f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",{LABEL}}}'


async def figures(http: httpx.AsyncClient, world) -> dict[str, float]:
    """What Envoy counted for the account's deployment `counted`."""
    url = f"http://127.0.0.1:{world.admin_port}/stats/prometheus"
    text = (await http.get(url, params={"filter": "cluster.risk--counted"})).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_a_replica_that_fails_beside_a_healthy_one_is_left_alone(world, mesh, caller, deploy, http):
    counted = deploy("counted", replicas=2)
    await serve(mesh, route("counted", 1, counted.arm(1)))
    await all_answer(caller, counted)
    await http.get(f"http://127.0.0.1:{counted.replicas[0].port}/become/500")
    failed = (await caller.variants("counted--risk.so1s.localhost", 100))["failed"]
    # For 2 s after the fifth failure in a row, which is many calls here, and few on a slow machine; there the
    # healthy one may answer its checks too late, and Envoy then has none, which it counts.
    now = await figures(http, world)
    assert failed <= 6 * now[EJECTED] + now[DESERTED] + 5


async def test_statistics_count_answers_once_whatever_was_tried_again(world, mesh, caller, deploy, http):
    counted = deploy("counted", replicas=2)
    await serve(mesh, route("counted", 1, counted.arm(1)))
    await all_answer(caller, counted)
    before = await figures(http, world)
    await http.get(f"http://127.0.0.1:{counted.replicas[0].port}/become/503")
    await caller.variants("counted--risk.so1s.localhost", 30)

    after = await figures(http, world)
    assert after[ANSWERED] - before[ANSWERED] == 30
    assert FAILED not in after
    assert after[f"envoy_cluster_membership_healthy{{{LABEL}}}"] == 2
    timed = f"envoy_cluster_upstream_rq_time_count{{{LABEL}}}"

    async def flushed() -> bool:
        return (await figures(http, world))[timed] >= 30

    await eventually(flushed)
