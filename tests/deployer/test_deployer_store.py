"""The deployer's tables, alike on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from services.deployer import store as deployments
from services.deployer.alarm import Alarm
from services.deployer.handlers import consumer
from so1s.events import CheckFinished, DeploymentFailed, DeploymentRequested, Image, Workload
from so1s.events.envelope import Cause
from so1s.store import Store
from so1s.testing import run
from tests.tables import make_tables

DIGEST = f"sha256:{'a' * 64}"
IMAGE = Image(reference=f"oci:/images@{DIGEST}", digest=DIGEST, size_bytes=1)


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request, tmp_path):
    if request.param == "postgres":
        url, schema = request.getfixturevalue("postgres"), f"deployer_{uuid.uuid4().hex}"
    else:
        url, schema = f"sqlite+aiosqlite:///{tmp_path}/deployer.db", None
    store = Store(url, producer="deployer", schema=schema)
    await make_tables(store, "services.deployer.migrations")
    yield store
    await store.close()


def workload(version):
    return Workload(
        model="fraud", version=version, image=IMAGE, endpoint=None, user="jiho", labels={"a": "b"}
    )


async def revise(store, version, revision, account="risk"):
    async with store.transaction(Cause(f"event-{version}", "upload", "trace")) as tx:
        wanted = workload(version)
        await deployments.revise(tx, account, "fraud", revision=revision, wanted=wanted, requested_by="jiho")


async def find(store):
    async with store.transaction() as tx:
        return await deployments.find(tx, "risk", "fraud")


async def test_a_deployment_is_found_as_it_was_last_revised(store):
    assert await find(store) is None
    await revise(store, "1", 1)
    await revise(store, "2", 2)
    found = await find(store)
    assert (found.revision, found.state, found.workload) == (2, "active", workload("2"))
    assert found.cause == Cause("event-2", "upload", "trace")
    async with store.transaction() as tx:
        assert await deployments.workload(tx, "risk", "fraud", 1) == workload("1")
        assert await deployments.workload(tx, "risk", "fraud", 3) is None


async def test_what_was_told_of_a_deployment_is_kept(store):
    await revise(store, "1", 1)
    failed = DeploymentFailed(account="risk", deployment="fraud", revision=1, reason="image", message="gone")
    async with store.transaction() as tx:
        found = await deployments.find(tx, "risk", "fraud")
        figures = {"failed_revision": 1, "failure": failed.model_dump_json(), "ready": 3, "told": 7}
        await deployments.tell(tx, found, figures)
    found = await find(store)
    assert (found.status.ready, found.told, found.answer()) == (3, 7, failed)


async def test_a_removed_deployment_is_listed_no_more_and_its_revisions_go_on(store):
    await revise(store, "1", 1)
    await revise(store, "1", 1, account="other")
    async with store.transaction() as tx:
        await deployments.enter(tx, await deployments.find(tx, "risk", "fraud"), "removed")
    async with store.read() as connection:
        assert [each.account for each in await deployments.present(connection)] == ["other"]
        assert await deployments.present(connection, "risk") == []
    assert (await find(store)).revision == 1


async def test_requests_at_the_same_time_become_revisions_one_after_another(store):
    await revise(store, "0", 1)
    requests = [
        DeploymentRequested(
            account="risk", deployment="fraud", workload=workload(str(number)), requested_by="jiho"
        )
        for number in range(1, 6)
    ]
    await asyncio.gather(*(run(consumer, request, store=store, provide=[Alarm()]) for request in requests))
    assert (await find(store)).revision == 6
    async with store.transaction() as tx:
        versions = {(await deployments.workload(tx, "risk", "fraud", each)).version for each in range(2, 7)}
    assert versions == {"1", "2", "3", "4", "5"}


async def test_a_verdict_is_kept_with_the_image_and_its_deployment(store):
    judged = {"model": "fraud", "version": "1", "check": "quality", "reason": "right"}
    for number, account in enumerate(("risk", "other")):
        await revise(store, f"{number}", 1, account=account)
    for passed in (False, True):
        async with store.transaction(Cause("check", "upload", "trace")) as tx:
            verdict = CheckFinished(account="risk", deployment="fraud", revision=1, passed=passed, **judged)
            await deployments.record_verdict(tx, verdict, DIGEST)
            await deployments.serve(tx, await deployments.find(tx, "risk", "fraud"), 1)
    async with store.read() as connection:
        other, ours = await deployments.present(connection)
    assert (other.gate.verdicts, other.serving) == ({}, None)
    assert [each.passed for each in ours.gate.verdicts.values()] == [True]
    assert ours.serving == ours.newest
    async with store.transaction() as tx:
        another = workload("2").model_copy(update={"requires": ["quality"]})
        assert (await deployments.gate(tx, ours, 2, another)).outstanding == []  # the same image
