"""Builds that take long, are put off, or have no room: each comes to an end."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from so1s.errors import TemporaryError
from tests.builder.working import at_work, both_databases, hours_pass, kinds, until


@dataclass
class Clock:
    """The time of workers, which a test moves on: so a deadline passes when it is to pass, and no sooner."""

    ahead_seconds: float = 0

    def time(self) -> float:
        return time.time() + self.ahead_seconds

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("services.builder.worker.time", clock)
    return clock


async def test_a_build_past_its_deadline_fails(shop, skops_model, clock):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model))
    async with at_work(shop.worker(lease_seconds=1, deadline_seconds=600)) as task:
        await asyncio.wait_for(shop.inspector.entered.wait(), 60)
        clock.ahead_seconds = 600
        await asyncio.wait_for(task, 60)

    failed = (await shop.emitted())[-1]
    assert (failed.reason, failed.step) == ("deadline_exceeded", "model")


@both_databases
@pytest.mark.parametrize("error", [None, TemporaryError("the store is away")])
async def test_hours_in_which_no_builder_ran_are_none_of_a_builds_deadline(shop, skops_model, error):
    shop.inspector.hold, shop.inspector.error = error is None, error
    await shop.say(shop.uploaded(data=skops_model))
    async with at_work(shop.worker(deadline_seconds=60)) as task:
        await asyncio.wait_for(shop.inspector.entered.wait(), 60)
        if error:
            await asyncio.wait_for(task, 60)
    assert await shop.state() == "queued"

    await hours_pass(shop.store)
    shop.inspector.hold, shop.inspector.error = False, None
    await shop.worker(deadline_seconds=60).work()
    assert await shop.state() == "built"


@both_databases
@pytest.mark.parametrize("name", ["one", "other"])
async def test_hours_after_a_builder_was_killed_are_none_of_a_builds_deadline(shop, skops_model, name):
    await shop.say(shop.uploaded(data=skops_model))
    assert await shop.worker("one", deadline_seconds=60)._claim()  # and then silence
    await hours_pass(shop.store)
    await shop.worker(name, deadline_seconds=60).work()
    assert await shop.state() == "built"


async def test_a_build_that_kills_its_builder_each_time_ends_by_its_deadline(shop, skops_model, clock):
    await shop.say(shop.uploaded(data=skops_model))
    worker = shop.worker(lease_seconds=600, deadline_seconds=600)
    for _ in range(3):
        clock.ahead_seconds += 200
        assert await worker._claim()  # and dies
    await worker.work()
    assert await shop.state() == "failed"
    assert (await shop.emitted())[-1].reason == "deadline_exceeded"


async def test_a_temporary_error_puts_a_build_off_and_the_next_try_succeeds(shop, skops_model):
    shop.inspector.error = TemporaryError("the store is away")
    await shop.say(shop.uploaded(data=skops_model))
    worker = shop.worker()
    await worker.work()
    assert await shop.state() == "queued"

    shop.inspector.error = None

    async def built() -> bool:
        await worker.work()
        return await shop.state() == "built"

    await until(built)
    events = await shop.emitted()
    # Both tries took the first steps, but each step is said once.
    assert kinds(events) == ["BuildStepFinished"] * 5 + ["ImageBuilt"]


async def test_a_build_that_is_put_off_until_its_deadline_says_what_it_met(shop, skops_model, clock):
    shop.inspector.error = OSError("no space left on device")
    await shop.say(shop.uploaded(data=skops_model))
    worker = shop.worker(deadline_seconds=600)
    await worker.work()
    assert await shop.state() == "queued"
    clock.ahead_seconds = 600

    async def failed() -> bool:
        await worker.work()
        return await shop.state() == "failed"

    await until(failed)
    event = (await shop.emitted())[-1]
    assert event.reason == "deadline_exceeded"
    assert "no space left on device" in event.message


async def test_a_directory_that_cannot_be_made_leaves_no_build_running(shop, skops_model):
    (shop.directory / "builder").mkdir()
    (shop.directory / "builder/work").write_text("a file is in the way")
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    assert await shop.state() == "queued"
