"""Builds that change hands: workers that die or stop, uploads that supersede, several builders."""

import asyncio

from services.builder.domain.failure import BuildError
from so1s.events import (
    BuildCancelled,
    BuildStepFinished,
    ImageBuilt,
)
from tests.builder.working import at_work, both_databases, hours_pass, kinds, until


@both_databases
async def test_a_build_whose_worker_died_is_taken_over(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    dead = shop.worker("dead", lease_seconds=30)
    assert await dead._claim()  # and then silence

    other = shop.worker("other")

    async def built() -> bool:
        await other.work()
        return await shop.state() == "built"

    assert not await built()  # the lease holds
    await hours_pass(shop.store)
    assert await built()


async def test_a_worker_that_was_started_again_goes_on_with_its_own_build_at_once(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    assert await shop.worker("one", lease_seconds=60)._claim()

    await shop.worker("one", lease_seconds=60).work()

    assert await shop.state() == "built"


async def test_a_worker_that_was_given_up_for_dead_says_nothing_more(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model))
    slow = shop.worker("slow", lease_seconds=0.1)
    slow._beat = _no_beat  # it hangs, as a paused process would
    async with at_work(slow) as task:
        await shop.inspector.entered.wait()
        shop.inspector.hold = False
        other = shop.worker("other")

        async def built() -> bool:
            await other.work()
            return await shop.state() == "built"

        await until(built)
        shop.inspector.error = BuildError("format", "said too late")
        shop.inspector.go_on.set()
        await asyncio.wait_for(task, 60)

    assert await shop.state() == "built"
    events = kinds(await shop.emitted())
    assert (events.count("ImageBuilt"), events.count("BuildFailed")) == (1, 0)


async def _no_beat(*_) -> None: ...


@both_databases
async def test_an_upload_of_a_version_whose_build_runs_is_answered_by_that_build(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model), "first")
    async with at_work(shop.worker(lease_seconds=0.2)) as task:
        await shop.inspector.entered.wait()
        await shop.say(shop.uploaded(data=skops_model, labels={"team": "new"}), "second")
        shop.inspector.go_on.set()
        await asyncio.wait_for(task, 60)

    assert [(chain, built.labels) for chain, built in await shop.answered()] == [
        ("first", {}),
        ("second", {"team": "new"}),
    ]


@both_databases
async def test_an_upload_that_says_more_supersedes_the_running_build_which_answers_none(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model), "first")
    async with at_work(shop.worker(lease_seconds=0.2)) as task:
        await shop.inspector.entered.wait()
        shop.inspector.hold = False
        await shop.say(shop.uploaded(data=skops_model, format="skops"), "second")
        await asyncio.wait_for(task, 60)

    assert [(chain, type(said)) for chain, said in await shop.answered()] == [
        ("first", ImageBuilt),
        ("second", ImageBuilt),
    ]


async def test_an_upload_after_a_cancellation_is_built_and_who_was_cancelled_hears_of_that(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model), "first")
    async with at_work(shop.worker(lease_seconds=60)):
        await shop.inspector.entered.wait()
        event = BuildCancelled(account="risk", model="fraud", version="3", cancelled_by="user:jiho")
        await shop.say(event, "end")
        await shop.say(shop.uploaded(data=skops_model), "second")
    shop.inspector.hold = False
    await shop.worker("other").work()

    answered = {chain: getattr(said, "reason", "built") for chain, said in await shop.answered()}
    assert answered == {"first": "cancelled", "end": "cancelled", "second": "built"}


async def test_a_worker_that_is_stopped_gives_its_build_back_at_once(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model))
    async with at_work(shop.worker("one", lease_seconds=60)):
        await shop.inspector.entered.wait()
    assert await shop.state() == "queued"

    shop.inspector.hold = False
    await shop.worker("other").work()
    assert await shop.state() == "built"


@both_databases
async def test_two_workers_never_build_the_same_version(shop, skops_model):
    for number in range(6):
        await shop.say(shop.uploaded(version=str(number), data=skops_model))
    await asyncio.gather(*(shop.worker(name).work() for name in ("one", "two", "three")))

    events = await shop.emitted()
    assert sorted(e.version for e in events if isinstance(e, ImageBuilt)) == list("012345")
    assert len([e for e in events if isinstance(e, BuildStepFinished)]) == 30


@both_databases
async def test_a_worker_that_is_stopped_while_it_records_gives_its_build_back_at_once(
    shop, skops_model, monkeypatch
):
    recording = asyncio.Event()

    async def hold(*_):
        recording.set()
        await asyncio.Event().wait()

    await shop.say(shop.uploaded(data=skops_model))
    with monkeypatch.context() as patch:
        patch.setattr("services.builder.wishes.answer", hold)
        async with at_work(shop.worker("one", lease_seconds=60)):
            await recording.wait()
    assert await shop.state() == "queued"

    await shop.worker("two").work()
    assert kinds(await shop.emitted()) == ["BuildStepFinished"] * 5 + ["ImageBuilt"]
