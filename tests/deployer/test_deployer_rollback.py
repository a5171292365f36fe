"""Rolling a deployment back."""

from __future__ import annotations

import pytest

from services.deployer import history
from services.deployer import store as deployments
from so1s.events import (
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    Scaling,
)
from tests.deployer.fraud import (
    NAMES,
    REMOVAL,
    recorded,
    requested,
)


async def test_rolling_back_makes_the_earlier_workload_a_new_revision(tell, store):
    for version in "123":
        await tell(requested(version))
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (4, "2")
    await tell(DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (5, "1")


async def test_rolling_back_skips_what_never_served(tell, store):
    for version in "123":
        await tell(requested(version))
        if version != "2":
            await ready(store)
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (4, "1")


async def test_rolling_back_to_a_revision_that_never_was_is_refused(tell, store):
    await tell(requested("1"))
    [failed] = await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    assert "has no earlier version" in failed.message
    await tell(requested("2"))
    for revision in (2, 9):
        [failed] = await tell(DeploymentRollbackRequested(**NAMES, to_revision=revision, requested_by="jiho"))
        assert failed.message == f"to_revision: {revision} is not allowed; allowed: 1 to 1"
    assert (await recorded(store)).revision == 2


async def ready(store):
    async with store.transaction() as tx:
        present = await deployments.find(tx, "risk", "fraud")
        await history.record(tx, present, present.ready(1, "file:///e", "http://127.0.0.1:1", 1.0))


@pytest.fixture
def steps(tell, store):
    """Take a deployment through versions, and what else is said by a word; each revision gets ready."""
    said = {
        "back": DeploymentRollbackRequested(**NAMES, requested_by="jiho"),
        "scale": DeploymentScaleRequested(
            **NAMES, scaling=Scaling(min_replicas=4, max_replicas=4), requested_by="jiho"
        ),
        "remove": REMOVAL,
    }

    async def steps(words):
        answer = []
        for word in words.split():
            answer = await tell(said.get(word) or requested(word))
            if word == "remove":
                async with store.transaction() as tx:
                    await deployments.enter(tx, await deployments.find(tx, "risk", "fraud"), "removed")
            else:
                await ready(store)
        return answer

    return steps


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("1 2 scale back", "1"),
        ("1 2 3 back back", "1"),
        ("1 2 3 back scale back", "1"),
        ("1 2 back 3 back", "1"),
        ("0 1 2 back scale 3 back back", "0"),
        ("1 2 back 2 back", "1"),
        ("1 remove 2 3 back", "2"),
    ],
)
async def test_rolling_back_goes_to_the_version_before_and_never_to_one_that_was_gone_back_from(
    steps, store, words, version
):
    await steps(words)
    assert (await recorded(store)).workload.version == version


@pytest.mark.parametrize("words", ["1 scale back", "1 2 back back", "1 2 remove 3 back"])
async def test_rolling_back_is_refused_where_no_earlier_version_is_left(steps, store, words):
    [*_, failed] = await steps(words)
    assert (failed.reason, "has no earlier version" in failed.message) == ("unknown", True)


async def test_rolling_back_keeps_the_present_scaling(steps, tell, store):
    await steps("1 2 scale back")
    assert (await recorded(store)).workload.scaling == Scaling(min_replicas=4, max_replicas=4)
    await steps("2 scale")
    await tell(DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"))
    now = (await recorded(store)).workload
    assert (now.version, now.scaling.min_replicas) == ("1", 4)


async def test_rolling_back_to_a_revision_of_the_same_version_takes_it_whole(steps, tell, store):
    await steps("1 scale")
    await tell(DeploymentRollbackRequested(**NAMES, to_revision=1, requested_by="jiho"))
    now = await recorded(store)
    assert (now.revision, now.workload.scaling) == (3, Scaling())
