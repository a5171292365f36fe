"""Uploads that come out of order, and who waits for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from so1s.events import (
    DeploymentRemovalRequested,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    Scaling,
    VariantReleased,
)
from so1s.store import answers
from tests.deployer.fraud import (
    NAMES,
    REMOVAL,
    built,
    figures,
    image,
    recorded,
    requested,
    said,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def uploaded(version, minutes, **changes):
    """The request of an upload, so many minutes after noon."""
    request = requested(version, image=image(int(version)), **changes)
    return request.model_copy(update={"uploaded_at": NOON + timedelta(minutes=minutes)})


async def test_a_request_says_when_its_version_was_uploaded(tell):
    [request] = await tell(built(uploaded_at=NOON))
    assert request.uploaded_at == NOON


async def test_an_older_upload_that_is_built_later_does_not_roll_the_deployment_back(tell, store):
    await tell(uploaded("2", minutes=5))
    await tell(uploaded("1", minutes=0))
    assert (await recorded(store)).workload.version == "2"
    await tell(uploaded("3", minutes=6))
    assert (await recorded(store)).workload.version == "3"


async def test_the_author_of_an_older_upload_is_told_which_version_serves(tell, store):
    await tell(uploaded("2", minutes=5))
    [failed] = await tell(uploaded("1", minutes=0))
    assert (failed.deployment, failed.revision, failed.reason) == ("fraud", 0, "superseded")
    assert failed.message == "fraud@1 is not deployed, since a later upload of fraud was; none serves now"
    await figures(store, ready_revision=1, serving_revision=1)
    [failed] = await tell(uploaded("1", minutes=0))
    assert failed.message.endswith("; fraud@2 serves")


async def test_an_older_upload_does_not_undo_what_was_decided_after_a_later_one(tell, store):
    await tell(uploaded("1", minutes=0))
    await tell(uploaded("3", minutes=5))
    await tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
    await tell(uploaded("2", minutes=3))
    now = await recorded(store)
    assert (now.revision, now.workload.version) == (3, "1")


async def test_a_version_that_is_uploaded_again_is_the_latest(tell, store):
    await tell(uploaded("1", minutes=0))
    await tell(uploaded("1", minutes=5))
    [failed] = await tell(uploaded("2", minutes=3))
    assert failed.reason == "superseded"
    assert (await recorded(store)).workload.version == "1"


async def test_whoever_asks_is_not_refused_for_the_age_of_an_upload(tell, store):
    await tell(uploaded("2", minutes=5))
    await tell(requested("1"))
    assert (await recorded(store)).workload.version == "1"


async def test_uploads_of_different_models_do_not_compare(tell, store):
    await tell(uploaded("2", minutes=5))
    await tell(uploaded("1", minutes=0, model="other"))
    assert (await recorded(store)).workload.model == "other"


async def test_the_same_version_that_is_asked_for_later_by_an_earlier_upload_is_no_late_one(tell, store):
    await tell(uploaded("1", minutes=5))
    assert await tell(uploaded("1", minutes=0)) == []
    [failed] = await tell(uploaded("2", minutes=3))
    assert (failed.reason, failed.revision) == ("superseded", 0), "the later of the two uploads counts"
    assert (await recorded(store)).workload.version == "1"


async def owed(store):
    async with store.read() as connection:
        return [each.cause.event_id for each in (await answers.due(connection)).get("risk/fraud", [])]


async def test_all_who_wait_for_a_version_are_told_which_one_took_its_place(tell, store):
    for chain in ("first", "second"):
        await tell(requested("1"), chain=chain)
    await tell(requested("2"), chain="third")
    found = await said(store)
    assert [(chain, failed.revision, failed.reason) for chain, failed in found] == [
        ("first", 1, "superseded"),
        ("second", 1, "superseded"),
    ]
    message = "fraud@1 is not deployed, since fraud@2 was requested before it was ready"
    assert {failed.message for _, failed in found} == {message}
    assert await owed(store) == ["third"]


@pytest.mark.parametrize(("endpoint", "says"), [("other", "endpoint other"), (None, "no endpoint")])
async def test_who_waits_for_a_version_at_an_endpoint_is_told_that_it_goes_elsewhere(
    tell, store, endpoint, says
):
    await tell(requested("1"), chain="first")
    await tell(requested("1", endpoint=endpoint), chain="second")
    [(chain, failed)] = await said(store)
    assert (chain, failed.reason) == ("first", "superseded")
    assert f"since {says} was requested" in failed.message


async def test_who_waits_for_a_version_goes_on_to_wait_where_only_its_size_changes(tell, store):
    await tell(requested("1"), chain="first")
    request = DeploymentScaleRequested(**NAMES, scaling=Scaling(max_replicas=3), requested_by="jiho")
    await tell(request, chain="second")
    assert (await said(store), await owed(store)) == ([], ["first", "second"])


async def test_who_waits_for_a_deployment_that_is_removed_is_told_so(tell, store):
    await tell(requested("1"), chain="first")
    await tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"), chain="removal")
    await tell(VariantReleased(**NAMES, revision=1), chain="release")
    _, (chain, failed) = await said(store)
    assert (chain, failed.reason) == ("first", "superseded")
    assert "since the removal of the deployment was requested" in failed.message
    assert await owed(store) == []


async def test_a_deployment_that_waits_to_go_is_waited_for_still(tell, store):
    await tell(requested("1"), chain="first")
    await tell(REMOVAL, chain="removal")
    assert await owed(store) == ["first"]
