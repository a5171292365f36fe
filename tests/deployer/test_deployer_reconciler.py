"""From what is recorded to replicas, and from what becomes of them to events; on real processes."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from structlog.testing import capture_logs

from services.deployer import api
from services.deployer import store as deployments
from services.deployer.domain.observation import Observation
from so1s.errors import TemporaryError
from so1s.events import (
    DeploymentRemovalRequested,
    DeploymentScaleRequested,
    Scaling,
    VariantReleased,
)
from so1s.events.envelope import Cause
from tests.deployer.conftest import in_background, until, workload
from tests.deployer.fraud import requested
from tests.deployer.reconciled import NAMES


async def test_a_request_becomes_a_ready_deployment(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1", requires=["quality"], labels={"team": "fraud-ds"}, initial_percent=10)
        ready = await deployer.once("DeploymentReady")
    assert (ready.revision, ready.model, ready.version, ready.endpoint) == (1, "fraud", "1", "fraud")
    assert (ready.requires, ready.labels, ready.initial_percent) == (["quality"], {"team": "fraud-ds"}, 10)
    assert ready.service == machine.world.endpoints("risk", "fraud").as_uri()
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{ready.url}/predict")).json()["version"] == "1"
    progressed = await deployer.said("DeploymentProgressed")
    assert [each.message for each in progressed] == ["0 of 1 replicas ready"]


async def test_what_this_process_records_is_brought_without_waiting_for_the_next_look(deployer):
    reconciler = deployer.make(poll_seconds=3600)
    async with in_background(reconciler.lead()):
        await deployer.request("1")
        assert (await deployer.once("DeploymentReady")).revision == 1
        scaling = Scaling(min_replicas=2, max_replicas=2)
        await deployer.tell(DeploymentScaleRequested(**NAMES, scaling=scaling, requested_by="jiho"))
        assert (await deployer.once("DeploymentReady", 2)).revision == 2
        await deployer.tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
        await deployer.tell(VariantReleased(**NAMES, revision=2))
        await deployer.once("DeploymentRemoved")


async def test_all_who_asked_for_a_deployment_while_it_rolled_out_hear_that_it_is_ready(deployer):
    for chain in ("first", "second"):
        await deployer.request("1", chain)
    scaling = Scaling(min_replicas=1, max_replicas=2)
    await deployer.tell(DeploymentScaleRequested(**NAMES, scaling=scaling, requested_by="jiho"), "third")
    async with in_background(deployer.reconciler.lead()):
        await deployer.once("DeploymentReady", 3)
    ready = await deployer.answered("DeploymentReady")
    assert [(chain, each.revision) for chain, each in ready] == [("third", 2), ("first", 2), ("second", 2)]
    assert await deployer.said("DeploymentFailed") == []


async def test_replicas_bear_the_cause_of_their_revision(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
    [record] = machine.living()
    assert (record.event_id, record.correlation_id) == ("test", "test")


async def test_a_broken_version_fails_with_its_last_words_while_the_old_one_serves(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.request("2", behaviour={"crash": "no such tensor"})
        failed = await deployer.once("DeploymentFailed")
        assert (failed.revision, failed.reason) == (2, "crash_loop")
        assert any("the model is broken: no such tensor" in line for line in failed.log_tail)
        assert [each.version for each in machine.living() if each.takes_traffic] == ["1"]
        await deployer.request("3")
        assert (await deployer.once("DeploymentReady", 2)).revision == 3
    assert len(await deployer.said("DeploymentFailed")) == 1


async def test_a_version_that_never_gets_ready_fails_after_the_deadline(deployer):
    reconciler = deployer.make(rollout=1.0)
    async with in_background(reconciler.lead()):
        await deployer.request("1", behaviour={"start_seconds": 600})
        failed = await deployer.once("DeploymentFailed")
    assert failed.reason == "deadline_exceeded"
    assert any("serving 1" in line for line in failed.log_tail)


async def test_a_lost_replica_is_told_of_and_the_revision_is_not_ready_twice(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        machine.processes()[0].kill()

        async def recovered():
            changes = await deployer.said("ReplicasChanged")
            return changes and (changes[-1].ready, changes[-1].restarts) == (1, 1) and changes

        changes = await until(recovered)
    assert (changes[0].ready, changes[0].restarts) == (0, 1)
    assert len(await deployer.said("DeploymentReady")) == 1


async def test_scaling_is_a_ready_revision_of_its_own(deployer):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        scaling = Scaling(min_replicas=2, max_replicas=2)
        await deployer.tell(DeploymentScaleRequested(**NAMES, scaling=scaling, requested_by="jiho"))
        ready = await deployer.once("DeploymentReady", 2)
    assert (ready.revision, ready.replicas) == (2, 2)


class Shown:
    """A cluster that shows one deployment with three replicas, whatever is applied."""

    def __init__(self, **shown):
        self.shown = shown
        self.applied = 0
        self.removed = []
        self.error = None

    async def apply(self, _deployment):
        if self.error:
            raise self.error
        self.applied += 1

    async def remove(self, account, name):
        self.removed.append((account, name))

    async def observe(self):
        figures = {"desired": 3, "updated": 3, "ready": 3, "total": 3, "restarts": 0}
        story = {"revision": 1, "candidate": False, "service": "", "url": ""}
        return [Observation("risk", "fraud", **figures | story | self.shown)]


async def test_a_deployment_that_waited_to_be_smaller_is_applied_again_once_it_may(deployer):
    cluster = deployer.cluster = Shown(updated=0, outdated=3)
    reconciler = deployer.make()
    await deployer.request("1")
    for _ in range(2):
        await reconciler.reconcile()
    assert cluster.applied == 1
    cluster.shown = {}
    await reconciler.reconcile()
    assert cluster.applied == 2


async def test_what_another_hand_changed_is_put_back_at_once_and_told_of(deployer):
    cluster = deployer.cluster = Shown(desired=1)
    reconciler = deployer.make()
    await deployer.request("1")
    for _ in range(2):
        await reconciler.reconcile()
    assert cluster.applied == 1
    before = REGISTRY.get_sample_value("so1s_deployer_drift_total")
    cluster.shown |= {"drift": {"Service": ["deleted"], "Deployment": [".spec.replicas"]}}
    with capture_logs() as logs:
        await reconciler.reconcile()
    assert cluster.applied == 2
    assert REGISTRY.get_sample_value("so1s_deployer_drift_total") == before + 1
    warned = [each for each in logs if each["log_level"] == "warning"]
    assert [(each["account"], each["deployment"], each["kind"], each["fields"]) for each in warned] == [
        ("risk", "fraud", "Service", ["deleted"]),
        ("risk", "fraud", "Deployment", [".spec.replicas"]),
    ]


async def test_who_insists_on_a_change_is_answered_after_waits_that_double_up_to_five_minutes(deployer):
    """Also where everything is applied again in between."""
    cluster, now = Shown(desired=1, drift={"Deployment": [".spec.template"]}), [0.0]
    deployer.cluster = cluster
    reconciler = deployer.make(clock=lambda: now[0])
    await deployer.request("1")
    await reconciler.reconcile()
    for answers, wait in enumerate((1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300), start=1):
        for seconds in (wait - 0.5, 0.5):
            assert cluster.applied == answers
            now[0] += seconds
            await reconciler.reconcile()


async def test_a_change_long_after_the_last_one_was_put_back_is_put_back_at_once(deployer):
    cluster, now = Shown(desired=1, drift={"Deployment": [".spec.template"]}), [0.0]
    deployer.cluster = cluster
    reconciler = deployer.make(clock=lambda: now[0])
    await deployer.request("1")
    for _ in range(3):
        now[0] += 5
        await reconciler.reconcile()
    assert cluster.applied == 3
    now[0] += 600
    for wait in (0, 1):
        before = cluster.applied
        now[0] += wait
        await reconciler.reconcile()
        assert cluster.applied == before + 1


async def test_what_cannot_be_put_back_now_is_neither_counted_nor_told_and_is_tried_again_soon(deployer):
    cluster = deployer.cluster = Shown(desired=1)
    reconciler = deployer.make()
    await deployer.request("1")
    await reconciler.reconcile()
    before = REGISTRY.get_sample_value("so1s_deployer_drift_total")
    cluster.shown |= {"drift": {"Deployment": [".spec.template"]}}
    cluster.error = TemporaryError("the API does not answer")
    with capture_logs() as logs, pytest.raises(TemporaryError):
        await reconciler.reconcile()
    assert [each for each in logs if "another hand" in each["event"]] == []
    assert REGISTRY.get_sample_value("so1s_deployer_drift_total") == before
    cluster.error = None
    await reconciler.reconcile()
    assert REGISTRY.get_sample_value("so1s_deployer_drift_total") == before + 1


async def test_a_released_deployment_goes_and_can_be_made_again(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
        assert len(machine.living()) == 1
        await deployer.tell(VariantReleased(**NAMES, revision=1))
        assert (await deployer.once("DeploymentRemoved")).revision == 1
        assert machine.living() == []
        await deployer.request("1")
        assert (await deployer.once("DeploymentReady", 2)).revision == 2


async def test_a_removal_is_caused_by_the_request_of_it(deployer, machine):
    wanted = workload(machine.image("1"), "1")
    async with deployer.store.transaction(Cause("upload", "upload")) as tx:
        await deployments.revise(tx, *NAMES.values(), revision=1, wanted=wanted, requested_by="jiho")
    await deployer.tell(DeploymentRemovalRequested(**NAMES, requested_by="jiho"))
    await deployer.tell(VariantReleased(**NAMES, revision=1))
    async with in_background(deployer.reconciler.lead()):
        await deployer.once("DeploymentRemoved")
    [(headers, _)] = await deployer.sent("DeploymentRemoved")
    assert (headers["ce_causationid"], headers["ce_correlationid"]) == ("test", "test")


async def test_a_deployer_that_starts_again_says_nothing_twice(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
    before = machine.processes()
    async with in_background(deployer.make().lead()):
        await deployer.tell(
            DeploymentScaleRequested(
                **NAMES, scaling=Scaling(min_replicas=1, max_replicas=2), requested_by="jiho"
            )
        )
        await deployer.once("DeploymentReady", 2)
    assert machine.processes() == before
    assert [each.revision for each in await deployer.said("DeploymentReady")] == [1, 2]
    assert await deployer.said("ReplicasChanged") == []


async def test_a_deployment_that_nobody_recorded_is_removed(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
    [process] = machine.processes()
    async with deployer.store.transaction() as tx:
        await tx.connection.exec_driver_sql("UPDATE deployments SET name = 'other', state = 'removed'")

    async def gone():
        return not process.is_running()

    async with in_background(deployer.make().lead()):
        await until(gone)


async def test_what_runs_is_kept_by_a_deployer_that_began_without_a_deployment_until_the_next_start(deployer):
    cluster = deployer.cluster = Shown(desired=1)
    reconciler = deployer.make()
    with capture_logs() as logs:
        for _ in range(2):
            await reconciler.reconcile()
    [error] = [each for each in logs if each["log_level"] == "error"]
    assert (error["deployments"], error["such_as"]) == (1, "risk/fraud")
    assert "database_url and database_schema" in error["check"]
    assert cluster.removed == []
    assert REGISTRY.get_sample_value("so1s_deployer_strangers") == 1
    await deployer.tell(requested().model_copy(update={"deployment": "churn"}))
    await reconciler.reconcile()
    assert cluster.removed == []
    assert REGISTRY.get_sample_value("so1s_deployer_strangers") == 1
    await deployer.make().reconcile()
    assert cluster.removed == [("risk", "fraud")]
    assert REGISTRY.get_sample_value("so1s_deployer_strangers") == 0


async def test_a_database_that_is_away_ends_nothing(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        async with deployer.store.transaction() as tx:
            await tx.connection.exec_driver_sql("ALTER TABLE deployments RENAME TO away")
        machine.processes()[0].kill()

        async def recovered():
            [record] = machine.living()
            return record.restarts == 1 and record.ready_at

        await until(recovered)
        async with deployer.store.transaction() as tx:
            await tx.connection.exec_driver_sql("ALTER TABLE away RENAME TO deployments")
        change = await deployer.once("ReplicasChanged")
    assert (change.ready, change.restarts) == (1, 1)


async def test_the_api_shows_deployments_and_their_logs(deployer):
    app = Starlette(routes=api.routes(deployer.store, deployer.cluster))
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://deployer") as http:
            listed = (await http.get("/v1/deployments", params={"account": "risk"})).json()
            [shown] = listed["deployments"]
            assert (shown["deployment"], shown["state"], shown["ready"]) == ("fraud", "ready", 1)
            logs = await http.get("/v1/deployments/risk/fraud/logs", params={"lines": 50})
            assert "serving 1\n" in logs.text
            assert (await http.get("/v1/deployments")).status_code == 400
            assert (await http.get("/v1/deployments/risk/other/logs")).status_code == 404
            assert (await http.get("/v1/deployments/risk/fraud/logs?lines=0")).status_code == 400
            others = (await http.get("/v1/deployments", params={"account": "else"})).json()
            assert others["deployments"] == []


async def test_the_api_tells_what_became_of_each_revision(deployer):
    transport = httpx.ASGITransport(Starlette(routes=api.routes(deployer.store, deployer.cluster)))
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.request("2", behaviour={"crash": "MemoryError"})
        await deployer.once("DeploymentFailed")
        await deployer.request("3", behaviour={"start_seconds": 60})
        await deployer.request("1")
        await deployer.once("DeploymentReady", 2)
    async with httpx.AsyncClient(transport=transport, base_url="http://deployer") as http:
        assert (await http.get("/v1/deployments/risk/other/revisions")).status_code == 404
        found = (await http.get("/v1/deployments/risk/fraud/revisions")).json()["revisions"]
    assert [(each["revision"], each["version"], each["state"]) for each in found] == [
        (4, "1", "serving"),
        (3, "3", "superseded"),
        (2, "2", "failed"),
        (1, "1", "replaced"),
    ]
    assert found[2]["failure"]["reason"] == "crash_loop"
    assert {each["requested_by"] for each in found} == {"jiho"}
    assert found[3]["requested_at"] < found[3]["ready_at"] < found[2]["requested_at"]
    assert found[0]["workload"]["image"] == found[3]["workload"]["image"]


async def _holds(ask, wanted):
    return await ask() == wanted


def _living(machine):
    async def versions():
        return {record.version for record in machine.living()}

    return versions
