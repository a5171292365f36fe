"""Checks that a version waits for."""

from __future__ import annotations

from so1s.events import (
    DeploymentRemovalRequested,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    Scaling,
    VariantReleased,
)
from tests.deployer.fraud import (
    NAMES,
    checked,
    figures,
    image,
    recorded,
    requested,
    serves,
)


async def test_a_version_that_requires_checks_waits_beside_the_one_that_serves(tell, store):
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality", "bias"]))
    assert (await recorded(store)).gate.outstanding == ["quality", "bias"]
    await tell(checked(2))
    now = await recorded(store)
    assert (now.gate.outstanding, now.gate.closed, now.serving.number) == (["bias"], True, 1)
    waited_since = now.status.since
    await tell(checked(2, check="bias"))
    now = await recorded(store)
    assert not now.gate.closed
    assert now.status.since > waited_since, "the wait for the checks counts against the rollout"


async def test_a_revision_that_is_ready_serves_once_its_checks_passed(tell, store):
    await tell(requested("1", requires=["quality"]))
    await figures(store, ready_revision=1)
    await tell(checked(1, passed=False))
    assert (await recorded(store)).serving is None
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(1))  # late, and it says that an endpoint may send traffic to the first
    now = await recorded(store)
    assert (now.serving.number, now.gate.closed) == (1, True)


async def test_a_verdict_on_another_image_or_on_nothing_opens_no_gate(tell, store):
    assert await tell(checked(1)) == []
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality"]))
    for revision in (1, 3):
        await tell(checked(revision))
    assert (await recorded(store)).gate.closed


async def test_an_image_that_failed_is_checked_anew_and_one_that_passed_is_not(tell, store):
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(2, passed=False))
    assert (await recorded(store)).gate.failures == {"quality": "accuracy 0.71"}
    await tell(requested("2", image=image(2), requires=["quality"], labels={"try": "2"}))
    now = await recorded(store)
    assert (now.gate.outstanding, now.gate.failures) == (["quality"], {})
    await tell(checked(3))
    await tell(requested("2", image=image(2), requires=["quality"], labels={"try": "3"}))
    assert (await recorded(store)).gate.outstanding == []


async def test_static_with_checks_is_refused_where_another_version_serves(tell, store):
    static = {"image": image(2), "strategy": "static", "requires": ["quality"]}
    await serves(tell, store)
    [failed] = await tell(requested("2", **static))
    assert (failed.reason, failed.revision) == ("invalid", 0)
    assert failed.message.startswith("workload.strategy: 'static' is not allowed")
    assert failed.message.endswith("allowed: 'rolling', or no workload.requires")
    assert (await recorded(store)).revision == 1


async def test_static_with_checks_is_taken_where_nothing_serves_or_the_image_passed(tell, store):
    static = {"image": image(2), "strategy": "static", "requires": ["quality"]}
    await tell(requested("2", **static))
    await figures(store, ready_revision=1)
    await tell(checked(1))
    await tell(requested("1", image=image(1)))
    await figures(store, ready_revision=2, serving_revision=2)
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.strategy, now.gate.closed) == (3, "static", False)


async def test_scaling_after_a_failed_check_scales_what_serves(tell, store):
    await serves(tell, store)
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(2, passed=False))
    await figures(store, failed_revision=2, withdrawn_revision=2)
    await tell(DeploymentScaleRequested(**NAMES, scaling=Scaling(max_replicas=3), requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version, now.gate.closed) == (3, "1", False)


async def test_what_is_said_of_an_earlier_life_counts_no_more(tell, store):
    await serves(tell, store)
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await tell(VariantReleased(**NAMES, revision=1))
    await tell(requested("2", image=image(2), requires=["quality"]))
    await tell(checked(1))
    now = await recorded(store)
    assert (now.serving, now.gate.closed) == (None, False)
