"""A version is checked beside the one that serves; on real processes."""

from __future__ import annotations

from so1s.events import (
    DeploymentRollbackRequested,
)
from tests.deployer.conftest import in_background, until
from tests.deployer.reconciled import NAMES


async def test_all_who_asked_for_a_version_while_it_was_checked_hear_the_end_of_it(deployer):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.request("2", "first", requires=["quality"])
        candidate = await deployer.once("DeploymentReady", 2)
        await deployer.request("2", "second", requires=["quality"])
        await deployer.check(candidate, passed=False)
        await deployer.once("DeploymentFailed", 2)
        await deployer.request("2", "third", requires=["quality"])
        await deployer.request("2", "fourth", requires=["quality"])
        await deployer.check(await deployer.once("DeploymentReady", 3))
        await deployer.once("DeploymentReady", 5)
    failed = await deployer.answered("DeploymentFailed")
    assert [(chain, each.reason) for chain, each in failed] == [
        ("first", "check_failed"),
        ("second", "check_failed"),
    ]
    ready = [(chain, each.candidate) for chain, each in await deployer.answered("DeploymentReady")]
    assert ready[1:] == [("first", True), ("third", True), ("third", False), ("fourth", False)]


async def test_a_version_is_checked_beside_the_one_that_serves_and_takes_its_place_once_it_passed(deployer):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.request("2", requires=["quality"])
        candidate = await deployer.once("DeploymentReady", 2)
        assert (candidate.revision, candidate.candidate, candidate.requires) == (2, True, ["quality"])
        assert await deployer.version_of(candidate.url) == "2"
        shown = await deployer.shown()
        assert (shown["state"], shown["version"], shown["serving"]["version"]) == ("checking", "2", "1")
        assert await deployer.versions() == {"1"}
        await deployer.check(candidate)
        ready = await deployer.once("DeploymentReady", 3)
        assert (ready.revision, ready.candidate, ready.requires) == (2, False, [])
        assert ready.url == candidate.url
        await until(lambda: _holds(deployer.versions, {"2"}))
    assert await deployer.said("DeploymentFailed") == []


async def test_a_version_that_fails_its_check_ends_and_the_one_before_serves_on(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.request("2", requires=["quality"])
        await deployer.check(await deployer.once("DeploymentReady", 2), passed=False)
        failed = await deployer.once("DeploymentFailed")
        assert (failed.revision, failed.reason) == (2, "check_failed")
        assert failed.message == "quality: accuracy 0.71"
        await until(lambda: _holds(_living(machine), {"1"}))
        shown = await deployer.shown()
        assert (shown["state"], shown["failure"]["reason"]) == ("failed", "check_failed")
        assert shown["serving"] == {"revision": 1, "model": "fraud", "version": "1"}
        assert await deployer.versions() == {"1"}
        machine.processes()[0].kill()  # what serves is still told of, under its own revision
        assert (await deployer.once("ReplicasChanged")).revision == 1
        await deployer.request("2", requires=["quality"])
        again = await deployer.once("DeploymentReady", 3)
        assert (again.revision, again.candidate) == (3, True)


async def test_a_version_that_gets_no_verdict_fails_after_the_deadline_and_a_late_one_counts(deployer):
    async with in_background(deployer.make(checks=0.2).lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.request("2", requires=["quality"])
        failed = await deployer.once("DeploymentFailed")
        assert (failed.reason, failed.message) == ("check_failed", "quality: no verdict within 0.2 s")
        [_, candidate] = await deployer.said("DeploymentReady")
        await deployer.check(candidate)
        assert (await deployer.once("DeploymentReady", 3)).candidate is False
        assert "2" in await deployer.versions()


async def test_a_first_version_is_held_back_by_its_endpoint_alone(deployer):
    async with in_background(deployer.make(checks=0).lead()):
        await deployer.request("1", requires=["quality"])
        ready = await deployer.once("DeploymentReady")
        assert (ready.candidate, ready.requires) == (False, ["quality"])
        await deployer.request("2", requires=["quality"])  # the first has not passed, so none serves
        assert (await deployer.once("DeploymentReady", 2)).candidate is False
        await deployer.check(await deployer.once("DeploymentReady", 2))
        await deployer.request("3", requires=["quality"])
        assert (await deployer.once("DeploymentReady", 3)).candidate is True
    assert all(each.revision == 3 for each in await deployer.said("DeploymentFailed"))


async def test_a_version_that_passed_comes_back_unchecked(deployer):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1", requires=["quality"])
        await deployer.check(await deployer.once("DeploymentReady"))
        await deployer.request("2")
        await deployer.once("DeploymentReady", 2)
        await deployer.tell(DeploymentRollbackRequested(**NAMES, requested_by="jiho"))
        back = await deployer.once("DeploymentReady", 3)
        assert (back.revision, back.version, back.candidate, back.requires) == (3, "1", False, [])


async def test_a_deployer_that_starts_again_keeps_the_gate_shut(deployer, machine):
    async with in_background(deployer.reconciler.lead()):
        await deployer.request("1")
        await deployer.once("DeploymentReady")
        await deployer.request("2", requires=["quality"])
        candidate = await deployer.once("DeploymentReady", 2)
    before = machine.processes()
    async with in_background(deployer.make().lead()):
        await deployer.check(candidate)
        await deployer.once("DeploymentReady", 3)
        assert before[0] in machine.processes() or before[1] in machine.processes()
    assert [each.candidate for each in await deployer.said("DeploymentReady")] == [False, True, False]


async def _holds(ask, wanted):
    return await ask() == wanted


def _living(machine):
    async def versions():
        return {record.version for record in machine.living()}

    return versions
