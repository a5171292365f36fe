"""Requests whose answers come as events: weights, scale, rollback, remove, builds, endpoints."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager

import pytest

from so1s import events
from so1s.broker.reader import Reader, decoded
from so1s.publisher import AsyncPublisher
from tests import played_events as played


@pytest.fixture
def so1s(so1s):
    """Run a command beside this test's loop, which plays the service."""

    async def call(*arguments):
        return await asyncio.to_thread(so1s, *arguments)

    return call


async def test_set_weights_are_shown_once_they_are_applied(so1s, answering):
    asked = []

    def answer(change):
        asked.append(change)
        return [played.applied("fraud", 7, **change.weights)]

    async with answering(events.WeightsChanged, answer):
        result = await so1s("weights", "set", "fraud", "fraud=90", "fraud-next=10", "--reason", "canary")
    assert (result.code, result.lines) == (0, ["revision 7 applied in 12 ms"])
    (change,) = asked
    assert change.weights == {"fraud": 90, "fraud-next": 10}
    assert (change.account, change.reason) == ("risk", "canary")


async def test_set_weights_tell_which_variants_they_detach(so1s, answering, http):
    history = [
        {"revision": 7, "weights": {"fraud": 1}},
        {"revision": 6, "weights": {"fraud": 9, "fraud-next": 1, "fraud-old": 0, "fraud-going": 1}},
        {"revision": 5, "weights": {"fraud": 1, "fraud-first": 1}},
    ]
    states = {"fraud": "attached", "fraud-going": "retiring"}
    variants = [
        {"variant": name, "state": states.get(name, "detached")}
        for name in ("fraud", "fraud-next", "fraud-old", "fraud-going", "fraud-first")
    ]
    endpoint = {"endpoint": "fraud", "waits": [], "history": history, "variants": variants}
    http.answers["/v1/endpoints"] = {"endpoints": [endpoint]}
    async with answering(events.WeightsChanged, lambda it: [played.applied("fraud", 7, **it.weights)]):
        result = await so1s("weights", "set", "fraud", "fraud=1")
    assert (result.code, result.lines) == (0, ["revision 7 applied in 12 ms"])
    said = "is detached, as the weights do not name it; `so1s remove"
    told = [line for line in result.err.splitlines() if said in line]
    assert [line.split()[1] for line in told] == ["fraud-next", "fraud-old"]


@pytest.mark.parametrize(
    "said", ["no json", [], {}, {"endpoints": [{"endpoint": "fraud", "waits": []}]}], ids=str
)
async def test_weights_that_are_set_are_so_whatever_the_router_says_then(so1s, answering, http, said):
    http.answers["/v1/endpoints"] = said
    async with answering(events.WeightsChanged, lambda it: [played.applied("fraud", 7, **it.weights)]):
        result = await so1s("weights", "set", "fraud", "fraud=1")
    assert (result.code, result.lines) == (0, ["revision 7 applied in 12 ms"])
    assert "whether this detached a variant is not known" in " ".join(result.err.split())


async def test_the_same_weights_again_are_another_request(so1s, answering):
    revisions = iter([7, 8])

    async with answering(events.WeightsChanged, lambda _: [played.applied("fraud", next(revisions))]):
        await so1s("weights", "set", "fraud", "fraud=1")
        result = await so1s("weights", "set", "fraud", "fraud=1")
    assert result.lines == ["revision 8 applied in 12 ms"]


async def test_rejected_weights_end_with_1_and_say_what_is_allowed(so1s, answering):
    def answer(_):
        return [played.rejected("fraud", "expected_revision", "5", "6, the present revision")]

    async with answering(events.WeightsChanged, answer):
        result = await so1s("weights", "set", "fraud", "fraud=1", "--expected-revision", "5")
    assert result.code == 1
    assert "expected_revision: 5 is not allowed; allowed: 6, the present revision" in result.err


async def test_a_degraded_route_is_waited_for(so1s, answering):
    degraded = events.RoutesDegraded(
        account="risk", endpoint="fraud", revision=7, gateways_serving=1, gateways=2
    )
    async with answering(events.WeightsChanged, lambda _: [degraded, played.applied("fraud")]):
        result = await so1s("weights", "set", "fraud", "fraud=1")
    assert result.code == 0


async def test_silence_ends_with_4_and_names_the_request(so1s, laptop):
    result = await so1s("weights", "set", "fraud", "fraud=1", "--timeout-seconds", "0.3")
    assert result.code == 4
    assert "WeightsChanged was published, and after 0.3 s the answer is nothing" in result.err
    assert "the request stands" in result.err


async def test_no_wait_only_publishes(so1s, laptop):
    result = await so1s("weights", "set", "fraud", "fraud=1", "--no-wait", "-o", "json")
    assert result.code == 0
    assert result.json["event_id"]


DEPLOYMENTS = {
    "deployments": [
        {
            "deployment": "fraud",
            "model": "fraud",
            "version": "3",
            "revision": 1,
            "state": "ready",
            "ready": 1,
            "desired": 1,
            "restarts": 0,
            "endpoint": "fraud",
            "scaling": {"min_replicas": 1, "max_replicas": 4, "cpu_percent": 60},
        }
    ]
}


async def test_scale_changes_what_is_said_and_keeps_the_rest(so1s, answering, http):
    http.answers["/v1/deployments"] = DEPLOYMENTS
    asked = []

    def answer(request):
        asked.append(request.scaling)
        return [played.ready("fraud", revision=2, replicas=2)]

    async with answering(events.DeploymentScaleRequested, answer):
        result = await so1s("scale", "fraud", "--min-replicas", "2")
    assert result.lines == ["fraud revision 2: 2 ready, fraud@3"]
    assert asked == [events.Scaling(min_replicas=2, max_replicas=4, cpu_percent=60)]


async def test_scale_to_a_number_fixes_it(so1s, answering, http):
    http.answers["/v1/deployments"] = DEPLOYMENTS
    asked = []

    def answer(request):
        asked.append(request.scaling)
        return [played.ready("fraud")]

    async with answering(events.DeploymentScaleRequested, answer):
        await so1s("scale", "fraud", "3")
    assert asked == [events.Scaling(min_replicas=3, max_replicas=3, cpu_percent=60)]


async def test_scale_can_say_all_that_the_event_can(so1s, answering, http):
    http.answers["/v1/deployments"] = DEPLOYMENTS
    asked = []

    def answer(request):
        asked.append(request.scaling)
        return [played.ready("fraud")]

    said = dict.fromkeys(events.ScalingOptions.model_fields, 7)
    options = [word for name in said for word in (f"--{name.replace('_', '-')}", "7")]
    async with answering(events.DeploymentScaleRequested, answer):
        await so1s("scale", "fraud", *options)
    assert asked == [events.Scaling(**said)]


async def test_a_rollback_that_waits_for_its_checks_says_so(so1s, answering, http):
    http.answers["/v1/deployments"] = DEPLOYMENTS
    candidate = played.ready("fraud", revision=2).model_copy(
        update={"candidate": True, "requires": ["quality"]}
    )
    ready = played.ready("fraud", revision=2)
    async with answering(events.DeploymentRollbackRequested, lambda _: [candidate, ready]):
        result = await so1s("rollback", "fraud", "--to-revision", "1")
    assert result.lines == ["fraud revision 2: 1 ready, fraud@3"]
    assert "revision 2 waits for check quality" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scale", "nope", "3"], "deployment: 'nope' is not allowed; allowed: a deployment of risk: fraud"),
        (["scale", "fraud"], "replicas is missing"),
        (["scale", "fraud", "--min-replicas", "9"], "allowed: at least min_replicas, 9"),
        (["rollback", "nope"], "deployment: 'nope' is not allowed; allowed: a deployment of risk: fraud"),
        (["rollback", "fraud", "--to-revision", "2"], "to_revision: 2 is not allowed; allowed: 1 to 1"),
    ],
)
async def test_what_cannot_be_is_refused_before_anyone_is_asked(so1s, laptop, http, arguments, message):
    http.answers["/v1/deployments"] = DEPLOYMENTS
    result = await so1s(*arguments)
    assert result.code == 2
    assert message in result.err


async def test_rollback_that_fails_shows_the_log(so1s, answering, http):
    http.answers["/v1/deployments"] = DEPLOYMENTS
    async with answering(events.DeploymentRollbackRequested, lambda _: [played.deployment_failed("fraud")]):
        result = await so1s("rollback", "fraud", "--to-revision", "1")
    assert result.code == 1
    assert "it ended 5 times" in result.err
    assert "MemoryError" in result.err


async def test_remove_waits_until_no_replica_is_left(so1s, answering):
    removed = events.DeploymentRemoved(account="risk", deployment="fraud", revision=3)
    async with answering(events.DeploymentRemovalRequested, lambda _: [removed]):
        result = await so1s("remove", "fraud")
    assert result.lines == ["fraud removed"]


async def test_remove_of_a_variant_in_use_ends_at_once_and_says_what_to_do(so1s, answering):
    used = events.VariantInUse(
        account="risk", deployment="fraud-next", revision=3, endpoint="fraud", reason="it takes all traffic"
    )
    async with answering(events.DeploymentRemovalRequested, lambda _: [used]):
        result = await so1s("remove", "fraud-next", "--timeout-seconds", "60")
    assert (result.code, result.lines) == (1, [])
    assert "fraud-next is in use: it takes all traffic; the request stands" in result.err
    assert "`so1s weights set fraud …` without it, or `so1s endpoint remove fraud`" in result.err
    assert "`so1s rollback fraud-next --to-revision 3` keeps it" in result.err


async def test_remove_that_is_undone_says_so(so1s, answering):
    kept = played.deployment_failed("fraud").model_copy(
        update={"reason": "superseded", "message": "the deployment stays"}
    )
    async with answering(events.DeploymentRemovalRequested, lambda _: [kept]):
        result = await so1s("remove", "fraud")
    assert result.code == 1
    assert "fraud: the deployment stays" in result.err


class Waits:
    """A router whose change of weights waits, for one thing after another."""

    def __init__(self, http):
        self.http = http
        self.asked = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.obstacles = iter(["its replicas", "its replicas", "check quality"])
        self.event_id = ""

    def start(self, event_id):
        self.event_id = event_id
        self.http.answers["/v1/endpoints"] = self.answer

    def answer(self, _headers, _body):
        obstacle = next(self.obstacles, "check quality")
        if obstacle == "check quality":
            self.loop.call_soon_threadsafe(self.asked.set)
        change = {"event_id": self.event_id, "weights": {"fraud-next": 1}, "until": "2026-01-01T12:03:10Z"}
        others = change | {"event_id": "other", "for": {"fraud": "its replicas"}}
        waits = [change | {"for": {"fraud-next": obstacle}}, others]
        history = [{"revision": 6, "weights": {"fraud": 1}}]
        endpoint = {"endpoint": "fraud", "waits": waits, "history": history, "variants": []}
        return 200, {}, json.dumps({"endpoints": [endpoint]}).encode()


@asynccontextmanager
async def hearing(settings, kind):
    """Hears what somebody publishes of a class: each call answers the next one."""
    async with Reader(settings, [kind.topic.name]) as reader, aclosing(reader.coming()) as records:
        reader.skip_to_end()

        async def following():
            return decoded(await asyncio.wait_for(anext(records), 60))

        yield following


async def apply(settings, change):
    async with AsyncPublisher(settings) as publisher:
        await publisher.publish(played.applied("fraud", 7), cause=change.cause)


SET = ("weights", "set", "fraud", "fraud-next=1", "--timeout-seconds", "60")


async def test_weights_that_wait_say_what_they_wait_for_and_end_with_the_answer(so1s, laptop, http):
    waits = Waits(http)
    async with hearing(laptop, events.WeightsChanged) as following:
        setting = asyncio.create_task(so1s(*SET))
        change = await following()
    waits.start(change.id)
    await asyncio.wait_for(waits.asked.wait(), 60)
    await apply(laptop, change)
    result = await setting
    assert (result.code, result.lines) == (0, ["revision 7 applied in 12 ms"])
    assert result.err.splitlines() == [
        "→ fraud-next waits for its replicas, until 12:03:10 UTC",
        "→ fraud-next waits for check quality, until 12:03:10 UTC",
    ]


async def test_weights_are_waited_for_although_the_router_says_nothing(so1s, laptop, http):
    loop, asked = asyncio.get_running_loop(), asyncio.Event()

    def away(_headers, _body):
        loop.call_soon_threadsafe(asked.set)
        return 503, {}, b""

    http.answers["/v1/endpoints"] = away
    async with hearing(laptop, events.WeightsChanged) as following:
        setting = asyncio.create_task(so1s(*SET))
        change = await following()
    await asyncio.wait_for(asked.wait(), 60)
    await apply(laptop, change)
    result = await setting
    (said,) = result.err.splitlines()
    assert (result.code, "is not known, as the router did not tell" in said) == (0, True)


async def test_ctrl_c_says_that_the_request_stands(laptop, http, tmp_path):
    waits = Waits(http)
    waits.start("other")
    command = [sys.executable, "-c", "from so1s.cli import main; main()", *SET]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=subprocess.PIPE)
    await asyncio.wait_for(waits.asked.wait(), 60)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130
    assert "WeightsChanged was published; the request stands" in err.decode()
    assert "Traceback" not in err.decode()


async def test_build_again_waits_for_the_image(so1s, answering):
    async with answering(events.BuildRequested, lambda request: [played.built(request.model)]):
        result = await so1s("build", "again", "fraud@3")
    assert result.lines == [f"built {played.DIGEST} in 0.3 s"]


async def test_endpoint_remove_waits_until_the_host_is_gone(so1s, answering):
    removed = events.EndpointRemoved.from_json(
        b'{"account":"risk","endpoint":"fraud","removed_at":"2026-01-01T00:00:00Z"}'
    )
    async with answering(events.EndpointRemovalRequested, lambda _: [removed]):
        result = await so1s("endpoint", "remove", "fraud")
    assert result.lines == ["fraud removed"]
