"""Checks: a version takes traffic once they passed, and a verdict may come at any time."""

import pytest

from services.router import progress
from services.router.domain.deadlines import Deadlines
from so1s.events import (
    RoutesApplied,
    RoutesRejected,
)
from so1s.events.codec import unwrap
from tests.router.driver import ready
from tests.router.said import HOST, checked


async def test_a_version_takes_traffic_once_its_checks_passed(router):
    await router.take(ready(), ready("fraud-next", requires=["quality"], initial_percent=25))
    assert [arm.weight for arm in router.mesh.gateways[0][HOST].arms] == [1, 0]
    [applied] = await router.take(checked("fraud-next", passed=True))
    assert applied.weights == {"fraud": 3, "fraud-next": 1}


async def test_a_verdict_that_another_chain_gave_already_is_answered_too(router):
    await router.take(ready("fraud-next", requires=["quality"]), checked("fraud-next", passed=True))
    [applied] = await router.take(checked("fraud-next", passed=True))
    assert applied.weights == {"fraud-next": 1}
    assert await router.take(checked("fraud-next", passed=False)) == []


async def test_a_verdict_may_overtake_the_readiness_that_it_speaks_of(router):
    await router.take(ready())
    assert await router.take(checked("fraud-next", passed=True)) == []
    [applied] = await router.take(ready("fraud-next", requires=["quality"], initial_percent=25))
    assert applied.weights == {"fraud": 3, "fraud-next": 1}


async def test_a_verdict_on_another_revision_says_nothing_of_this_one(router):
    await router.take(ready(), ready("fraud-next", 2, requires=["quality"], initial_percent=25))
    assert await router.take(checked("fraud-next", passed=True, revision=1)) == []
    assert await router.take(checked("fraud-next", passed=True, revision=3)) == []


async def test_a_candidate_changes_no_route_before_it_may_take_traffic(router):
    await router.take(ready())
    candidate = ready(revision=2, requires=["quality"], candidate=True)
    assert await router.take(candidate, checked("fraud", passed=True, revision=2)) == []
    [applied] = await router.take(ready(revision=2))
    assert (applied.revision, applied.weights) == (2, {"fraud": 1})


async def test_a_failed_check_is_told_at_once(router):
    await router.take(ready(), ready("fraud-next", requires=["quality"]))
    [rejected] = await router.take(checked("fraud-next", passed=False))
    assert rejected.value == "quality"
    assert "accuracy 0.710, needs 0.900" in rejected.allowed


async def test_checks_without_a_verdict_fail_at_the_deadline_and_may_still_pass_later(router):
    router.deadlines(Deadlines(weights=600, checks=0, apply=15))
    said = await router.take(ready(), ready("fraud-next", requires=["quality"], initial_percent=25))
    [rejected] = [event for event in said if isinstance(event, RoutesRejected)]
    assert rejected.value == "quality"
    assert "no verdict within 0 s" in rejected.allowed
    assert await router.turn() == []
    [applied] = await router.take(checked("fraud-next", passed=True))
    assert applied.weights == {"fraud": 3, "fraud-next": 1}


async def test_a_revision_that_comes_just_as_the_one_before_is_late_has_its_own_time(router, monkeypatch):
    await router.take(ready(), ready("fraud-next", requires=["quality"]))
    router.deadlines(Deadlines(weights=600, checks=0, apply=15))
    late = progress.unjudged

    async def overtaken(connection, before):
        found = await late(connection, before)
        await router.handle(ready("fraud-next", 2, requires=["quality"]))
        return found

    monkeypatch.setattr(progress, "unjudged", overtaken)
    await router.reconciler.waits.fail_unjudged()
    monkeypatch.undo()
    router.deadlines(Deadlines(weights=600, checks=600, apply=15))
    assert [type(event) for event in await router.turn()] == [RoutesApplied]


async def test_checks_end_at_their_deadline_although_the_mesh_is_away(router, monkeypatch):
    async def away(*_, **__):
        raise ConnectionError

    router.deadlines(Deadlines(weights=600, checks=0, apply=15))
    await router.handle(ready(requires=["quality"]))
    monkeypatch.setattr(router.mesh, "apply", away)
    with pytest.raises(ConnectionError):
        await router.turn()
    await router.store.outbox.flush(router.said)
    assert [unwrap(record.headers, record.value).type for record in router.said.records] == [
        RoutesRejected.type
    ]
