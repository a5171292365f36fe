"""Removing a deployment, and changing one's mind."""

from __future__ import annotations

import pytest

from so1s.events import (
    DeploymentFailed,
    DeploymentRemovalRequested,
    DeploymentRetiring,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    Scaling,
    VariantReleased,
)
from tests.deployer.fraud import (
    NAMES,
    REMOVAL,
    recorded,
    requested,
    said,
    serves,
)


async def test_removal_asks_the_endpoints_first(tell, store):
    await tell(requested("1"))
    [retiring] = await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    assert retiring == DeploymentRetiring(**NAMES, revision=1, endpoint="fraud")
    assert (await recorded(store)).state == "retiring"


async def test_a_released_deployment_is_to_go(tell, store):
    await tell(requested("1"))
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await tell(VariantReleased(**NAMES, revision=1))
    assert (await recorded(store)).state == "released"


@pytest.mark.parametrize("released", [False, True])
async def test_a_removal_that_a_new_request_undoes_is_answered(tell, store, released):
    await serves(tell, store)
    for chain in ("removal", "again"):
        await tell(REMOVAL, chain=chain)
    if released:
        await tell(VariantReleased(**NAMES, revision=1))
    await tell(requested("2"), chain="anew")
    answers_ = [(chain, event) for chain, event in await said(store) if chain in {"removal", "again"}]
    failed = [(chain, event) for chain, event in answers_ if isinstance(event, DeploymentFailed)]
    assert [(chain, event.revision, event.reason) for chain, event in failed] == [
        ("removal", 1, "superseded"),
        ("again", 1, "superseded"),
    ]
    says = "the deployment stays, since fraud@2 was requested before it was gone"
    assert {event.message for _, event in failed} == {says}


@pytest.mark.parametrize(
    "undoing",
    [
        DeploymentScaleRequested(**NAMES, scaling=Scaling(max_replicas=2), requested_by="jiho"),
        DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_a_deployment_that_waits_to_go_can_be_scaled_and_rolled_back_and_stays(tell, store, undoing):
    await serves(tell, store)
    await tell(REMOVAL)
    [kept] = await tell(undoing, chain="undoing")
    now = await recorded(store)
    assert (now.state, now.revision) == ("active", 2)
    assert (kept.reason, kept.message[:20]) == ("superseded", "the deployment stays")


async def test_a_release_that_comes_after_a_new_request_ends_nothing(tell, store):
    await tell(requested("1"))
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await tell(requested("1"))
    await tell(VariantReleased(**NAMES, revision=1))
    now = await recorded(store)
    assert (now.state, now.revision) == ("active", 2)


async def test_a_release_that_nobody_asked_for_ends_nothing(tell, store):
    await tell(requested("1"))
    await tell(VariantReleased(**NAMES, revision=1))
    assert (await recorded(store)).state == "active"
