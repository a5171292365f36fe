"""Requests whose answers come as events: weights, scale, rollback, remove, builds, endpoints."""

import asyncio
import uuid

import pytest

from so1s import events
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scale", "nope", "3"], "deployment: 'nope' is not allowed; allowed: a deployment of risk: fraud"),
        (["scale", "fraud"], "replicas is missing"),
        (["scale", "fraud", "--min-replicas", "9"], "max_replicas of at least min_replicas"),
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


async def test_remove_ends_once_the_deployment_is_gone_whoever_caused_it(so1s, laptop):
    removed = events.DeploymentRemoved(account="risk", deployment="fraud", revision=3)
    other = removed.model_copy(update={"deployment": "other"})

    async def without_a_cause(event):
        async with AsyncPublisher(laptop) as publisher:
            await publisher.publish(event, id=str(uuid.uuid4()))

    removing = asyncio.create_task(so1s("remove", "fraud", "--timeout-seconds", "20"))
    while not removing.done():
        await without_a_cause(other)
        await without_a_cause(removed)
    assert (await removing).lines == ["fraud removed"]


async def test_remove_of_a_variant_in_use_says_why(so1s, answering):
    used = events.VariantInUse(
        account="risk", deployment="fraud", revision=3, endpoint="fraud", reason="it takes all traffic"
    )
    async with answering(events.DeploymentRemovalRequested, lambda _: [used]):
        result = await so1s("remove", "fraud")
    assert result.code == 1
    assert "fraud stays: it takes all traffic" in result.err


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
