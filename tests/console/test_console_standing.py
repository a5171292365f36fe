"""How an account stands, as the console tells it from events alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console import standing
from services.console.domain.standing import Told, aspect_of, view
from so1s.events import (
    DeploymentProgressed,
    DeploymentRemoved,
    EndpointRemoved,
    IncidentOpened,
    IncidentResolved,
    ModelUploaded,
    ReplicasChanged,
    VariantInUse,
)
from so1s.events.envelope import Received
from tests import played_events as played
from tests.console.conftest import bearer

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
both = pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)


def at(second, event, chain="run-7", cause=""):
    """An event of so many seconds after noon."""
    time = NOON + timedelta(seconds=second)
    return Received(
        event, f"id-{second}", "so1s/played", time, cause_id=cause, correlation_id=chain, traceparent=""
    )


def uploaded(version="3"):
    artifact = {"uri": "s3://models/risk/fraud/3.onnx"}
    return ModelUploaded.model_validate(
        {"account": "risk", "model": "fraud", "version": version, "artifact": artifact}
    )


def requested(version):
    asked = played.requested("fraud")
    return asked.model_copy(update={"workload": asked.workload.model_copy(update={"version": version})})


def refused(reason="superseded"):
    return played.deployment_failed("fraud").model_copy(update={"revision": 0, "reason": reason})


def changed(ready, desired):
    return ReplicasChanged(
        account="risk",
        deployment="fraud",
        revision=1,
        ready=ready,
        desired=desired,
        restarts=1,
        reason="autoscaler",
        observed_at=NOON,
    )


def progressed(revision):
    return DeploymentProgressed(
        account="risk", deployment="fraud", revision=revision, ready=0, desired=2, message="0 of 2"
    )


def opened(incident="i-1"):
    said = {"rule": "availability", "subject": "endpoint fraud", "severity": "critical", "summary": "down"}
    return IncidentOpened(account="risk", incident=incident, opened_at=NOON, **said)


def resolved(incident="i-1"):
    said = {"rule": "availability", "subject": "endpoint fraud", "summary": "up"}
    return IncidentResolved(account="risk", incident=incident, opened_at=NOON, resolved_at=NOON, **said)


def stands(*received):
    """How the account stands after events; of each aspect the newest, as the store keeps it."""
    newest = {}
    for each in sorted(received, key=lambda each: each.time):
        if aspect := aspect_of(each):
            newest[aspect] = Told(each.event, each.time.timestamp(), each.id, each.correlation_id)
    return view("risk", newest.items())


SERVING = (
    at(0, uploaded()),
    at(1, played.built("fraud")),
    at(2, played.requested("fraud")),
    at(3, progressed(1)),
    at(4, played.ready("fraud")),
    at(5, played.applied("fraud", 7, fraud=90, next=10)),
)


def test_what_serves_is_shown_with_its_route():
    told = stands(*SERVING)
    (deployment,) = told["deployments"]
    assert (deployment["deployment"], deployment["state"], deployment["revision"]) == ("fraud", "ready", 1)
    assert deployment["serving"] == {"revision": 1, "model": "fraud", "version": "3"}
    assert (deployment["ready"], deployment["desired"], deployment["endpoint"]) == (1, 1, "fraud")
    (endpoint,) = told["endpoints"]
    weights = [(each["variant"], each["weight"], each["version"]) for each in endpoint["variants"]]
    assert weights == [("fraud", 90, "3"), ("next", 10, None)]
    assert (told["builds"], told["incidents"]) == ([], [])


def test_replicas_are_those_that_were_told_of_last():
    (deployment,) = stands(*SERVING, at(6, changed(2, 3)))["deployments"]
    assert (deployment["ready"], deployment["desired"], deployment["restarts"]) == (2, 3, 1)


def test_a_later_revision_rolls_out_or_fails_beside_the_one_that_serves():
    (rolling,) = stands(*SERVING, at(6, progressed(2)))["deployments"]
    assert (rolling["state"], rolling["revision"], rolling["serving"]["revision"]) == ("rolling out", 2, 1)
    broken = played.deployment_failed("fraud").model_copy(update={"revision": 2})
    (failed,) = stands(*SERVING, at(6, progressed(2)), at(7, broken))["deployments"]
    assert (failed["state"], failed["failure"]["reason"]) == ("failed", "crash_loop")
    assert failed["serving"]["revision"] == 1


def test_a_warning_of_an_image_is_shown_while_its_version_has_a_deployment():
    warned = at(6, played.built("fraud").model_copy(update={"warnings": ["of another scikit-learn"]}))
    assert stands(*SERVING, warned)["warnings"] == [
        {"version": "fraud@3", "warning": "of another scikit-learn"}
    ]
    gone = at(7, DeploymentRemoved(account="risk", deployment="fraud", revision=1))
    assert stands(*SERVING, warned, gone)["warnings"] == []


def test_a_request_that_was_refused_changes_nothing():
    late = at(6, requested("2"), "run-6")
    told = stands(*SERVING, late, at(7, refused(), "run-6", cause=late.id))
    assert told == stands(*SERVING)
    scaled = at(8, refused("unknown"), "run-9", cause="id-of-another-request")
    assert stands(*SERVING, late, at(7, refused(), "run-6", cause=late.id), scaled) == told


def test_a_first_request_that_was_refused_is_no_deployment():
    first = at(0, requested("3"))
    assert [each["version"] for each in stands(first)["deployments"]] == ["3"]
    assert stands(first, at(1, refused(), cause=first.id))["deployments"] == []


def test_a_request_after_one_that_was_refused_in_the_same_chain_counts():
    first, again = at(0, requested("3")), at(2, requested("4"))
    (deployment,) = stands(first, at(1, refused("invalid"), cause=first.id), again)["deployments"]
    assert (deployment["version"], deployment["state"]) == ("4", "rolling out")


def test_an_upload_is_under_way_until_it_is_answered_and_a_failure_stays_until_the_next_image():
    (build,) = stands(*SERVING, at(6, uploaded("4"), "run-8"))["builds"]
    assert (build["version"], build["state"]) == ("4", "under way")
    failed = at(7, played.build_failed("fraud"), "run-8")
    (build,) = stands(*SERVING, at(6, uploaded("4"), "run-8"), failed)["builds"]
    assert (build["state"], build["reason"]) == ("failed", "dependencies")
    assert stands(*SERVING, failed, at(8, played.built("fraud"), "run-9"))["builds"] == []


def test_what_is_gone_is_not_shown_and_may_begin_again():
    removed = (
        at(8, DeploymentRemoved(account="risk", deployment="fraud", revision=1)),
        at(9, EndpointRemoved(account="risk", endpoint="fraud", removed_at=NOON)),
    )
    told = stands(*SERVING, *removed)
    assert (told["deployments"], told["endpoints"]) == ([], [])
    again = stands(*SERVING, *removed, at(10, played.ready("fraud", revision=2)))
    assert [each["revision"] for each in again["deployments"]] == [2]


def in_use(revision=1):
    said = {"endpoint": "fraud", "reason": "it has weight 90 of 100 on fraud; set its weight to 0"}
    return VariantInUse(account="risk", deployment="fraud", revision=revision, **said)


def test_a_deployment_that_is_to_go_and_what_keeps_it_are_shown_until_that_is_over():
    told = stands(*SERVING, at(6, in_use()))
    assert [each["state"] for each in told["deployments"]] == ["retiring"]
    uses = {each["variant"]: each["in_use"] for each in told["endpoints"][0]["variants"]}
    assert uses == {"fraud": in_use().reason, "next": None}
    without = stands(*SERVING, at(6, in_use()), at(7, played.applied("fraud", 8, fraud=0, next=10)))
    assert [each["in_use"] for each in without["endpoints"][0]["variants"]] == [None, None]


def test_a_deployment_that_is_wanted_anew_is_not_to_go():
    told = stands(*SERVING, at(6, in_use()), at(7, played.ready("fraud", revision=2)))
    assert [each["state"] for each in told["deployments"]] == ["ready"]
    assert not any(each["in_use"] for each in told["endpoints"][0]["variants"])


def test_an_incident_is_shown_while_it_is_open():
    (incident,) = stands(at(0, opened()))["incidents"]
    assert (incident["subject"], incident["severity"]) == ("endpoint fraud", "critical")
    assert stands(at(0, opened()), at(1, resolved()))["incidents"] == []


ALL = (*SERVING, at(6, changed(2, 3)), at(7, opened()), at(8, resolved()), at(9, uploaded("4"), "run-8"))


@both
async def test_the_order_of_events_and_their_repetition_is_no_matter(console):
    async with console.service.store.transaction() as tx:
        for batch in ([*ALL, *ALL], ALL[::-1], ALL[3:], ALL[:2]):
            await standing.remember(tx, batch)
        assert await standing.read(tx.connection, "risk") == stands(*ALL)


@given(st.permutations(ALL))
def test_every_order_shows_the_same(events):
    assert stands(*events) == stands(*ALL)


@both
async def test_what_came_to_its_end_long_ago_is_forgotten_and_all_else_stays(console):
    async with console.service.store.transaction() as tx:
        await standing.remember(tx, [at(0, opened()), at(1, resolved()), at(2, opened("i-2"))])
        await standing.prune(tx, days=0)
        kept = [row.subject for row in await tx.execute(standing.standing.select())]
    assert kept == ["i-2"]


@both
async def test_a_request_that_was_refused_long_ago_is_forgotten_with_its_refusal(console):
    first = at(0, requested("3"), "r" * 255)
    async with console.service.store.transaction() as tx:
        await standing.remember(tx, [at(2, refused(), cause=first.id), first])
        assert (await standing.read(tx.connection, "risk"))["deployments"] == []
        await standing.prune(tx, days=0)
        assert (await tx.execute(standing.standing.select())).all() == []


async def test_a_clock_that_is_ahead_does_not_hide_what_comes_after(console):
    shown = []
    ahead = replace(at(0, changed(1, 3)), time=datetime.now(UTC) + timedelta(days=400))
    earlier = replace(at(1, changed(0, 3)), time=ahead.time - timedelta(seconds=1))
    for batch in (
        [ahead, earlier],
        [replace(at(2, changed(2, 3)), time=datetime.now(UTC) + timedelta(days=1))],
    ):
        async with console.service.store.transaction() as tx:
            await standing.remember(tx, batch)
            told = await standing.read(tx.connection, "risk")
        (deployment,) = told["deployments"]
        shown.append(deployment["ready"])
    assert shown == [1, 2]


async def test_an_account_sees_itself_alone(console):
    async with console.service.store.transaction() as tx:
        await standing.remember(tx, SERVING)
    tokens = [await console.token("read", account=account) for account in ("risk", "shop")]
    answers = [await console.http.get("/v1/status", headers=bearer(token)) for token in tokens]
    mine, others = (answer.json() for answer in answers)
    assert [each["deployment"] for each in mine["deployments"]] == ["fraud"]
    assert others.pop("account") == "shop"
    assert not any(others.values())
    assert (await console.http.get("/v1/status")).status_code == 401
