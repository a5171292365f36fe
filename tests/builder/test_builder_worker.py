"""Workers: who builds what, and how a build ends."""

import asyncio
import io
import json
import tarfile
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest
import structlog
import zstandard
from sqlalchemy import update
from structlog.testing import capture_logs

from services.builder.domain.failure import BuildError
from services.builder.store import builds
from services.builder.worker import Worker
from so1s.errors import TemporaryError
from so1s.events import (
    BuildCancelled,
    BuildFailed,
    BuildStepFinished,
    DeployOptions,
    ImageBuilt,
    ResourceOptions,
)
from so1s.store import Store

both_databases = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


@asynccontextmanager
async def at_work(worker: Worker):
    task = asyncio.create_task(worker.work())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.01)


def kinds(events) -> list[str]:
    return [type(event).__name__ for event in events]


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def model_layer(shop, built: ImageBuilt) -> dict[str, bytes]:
    blobs = shop.directory / "images/blobs/sha256"
    manifest = json.loads((blobs / built.image.digest.removeprefix("sha256:")).read_bytes())
    data = (blobs / manifest["layers"][-1]["digest"].removeprefix("sha256:")).read_bytes()
    plain = zstandard.ZstdDecompressor().stream_reader(data).readall()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


async def test_a_build_says_each_step_and_then_the_image_with_all_that_a_deployer_needs(shop, skops_model):
    event = shop.uploaded(
        data=skops_model,
        uploaded_by="airflow:risk",
        labels={"team": "fraud"},
        deploy=DeployOptions(resources=ResourceOptions(memory_mib=256)),
    )
    await shop.say(event)
    await shop.worker().work()

    *steps, built = await shop.emitted()
    assert [step.step for step in steps] == ["fetch", "inspect", "dependencies", "model", "image"]
    assert steps[2].detail == "dependencies cached"
    assert isinstance(built, ImageBuilt)
    assert (built.account, built.model, built.version) == ("risk", "fraud", "3")
    assert (built.format, built.user, built.labels) == ("skops", "airflow:risk", {"team": "fraud"})
    assert built.deploy == event.deploy
    assert built.sources == {"resources.memory_mib": "event"}
    assert built.signature.outputs[0].name == "label"
    assert built.image.reference == f"oci:{shop.directory}/images@{built.image.digest}"


async def test_an_archive_with_a_so1s_yaml_is_built_as_it_says(shop, skops_model):
    described = b"""
schema: so1s/v1
inputs: [{name: rows, dtype: float32, shape: [-1, 4]}]
outputs: [{name: label, dtype: int64, shape: [-1]}]
sample: sample.json
deploy: {scaling: {max_replicas: 4}}
alerts: [{availability_below: 0.9}]
"""
    files = {"out/so1s.yaml": described, "out/model.skops": skops_model, "out/sample.json": b"[[0, 0, 0, 0]]"}
    await shop.say(shop.uploaded(data=tar_of(files), name="3.tar.gz"))
    await shop.worker().work()

    built = (await shop.emitted())[-1]
    assert isinstance(built, ImageBuilt)
    assert built.signature.inputs[0].name == "rows"
    assert built.sources == {"scaling.max_replicas": "so1s.yaml", "alerts": "so1s.yaml"}
    assert built.alerts[0].availability_below == 0.9
    assert len(shop.inspector.checked) == 1  # what was declared is tried
    layer = model_layer(shop, built)
    assert layer["opt/so1s/model/files/model.skops"] == skops_model
    manifest = json.loads(layer["opt/so1s/model/model.json"])
    assert (manifest["file"], manifest["sample"]) == ("files/model.skops", "files/sample.json")
    assert (manifest["name"], manifest["version"], manifest["format"]) == ("fraud", "3", "skops")


@both_databases
async def test_the_same_version_built_again_has_the_same_digest(shop, skops_model):
    digests = set()
    for _ in range(2):
        await shop.say(shop.uploaded(data=skops_model))
        await shop.worker().work()
        digests.add((await shop.emitted())[-1].image.digest)

    assert len(digests) == 1


@pytest.mark.parametrize(
    ("said", "reason", "step", "message"),
    [
        ({"data": b"no model"}, "format", "inspect", "no file is a model"),
        ({"data": b"x", "sha256": "a" * 64}, "artifact", "fetch", "artifact.sha256"),
        ({"data": b"\x1f\x8bbroken"}, "artifact", "inspect", "no whole tar.gz"),
        ({"data": tar_of({"so1s.yaml": b"schema: so1s/v2"})}, "format", "inspect", "schema: 'so1s/v2'"),
        ({"data": tar_of({"../m": b"x"})}, "artifact", "inspect", "outside of its directory"),
    ],
)
async def test_a_build_that_cannot_succeed_fails_with_its_reason_step_and_log(
    shop, said, reason, step, message
):
    await shop.say(shop.uploaded(**said))
    await shop.worker().work()

    failed = (await shop.emitted())[-1]
    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == (reason, step)
    assert message in failed.message
    assert failed.log_tail[-1] == f"failed: {failed.message}"
    assert await shop.state() == "failed"


async def test_a_model_that_its_library_refuses_is_a_failed_build(shop, skops_model):
    shop.inspector.error = BuildError("format", "types that are not trusted")
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()

    failed = (await shop.emitted())[-1]
    assert (failed.reason, failed.step, failed.message) == ("format", "model", "types that are not trusted")


async def test_bytes_that_changed_since_the_version_was_built_are_a_conflict(shop, skops_model, onnx_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    await shop.say(shop.uploaded(data=onnx_model))  # the same URI, overwritten
    await shop.worker().work()

    failed = (await shop.emitted())[-1]
    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == ("version_conflict", "fetch")


@both_databases
async def test_a_running_build_stops_when_it_is_cancelled(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model), "upload")
    async with at_work(shop.worker(lease_seconds=0.2)) as task:
        await shop.inspector.entered.wait()
        event = BuildCancelled(account="risk", model="fraud", version="3", cancelled_by="user:jiho")
        assert await shop.say(event, "end") == []
        await asyncio.wait_for(task, 5)

    answered = await shop.answered()
    assert [chain for chain, _ in answered] == ["upload", "end"]
    assert {(each.reason, each.message) for _, each in answered} == {("cancelled", "cancelled by user:jiho")}
    assert await shop.state() == "cancelled"


async def test_a_build_past_its_deadline_fails(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model))
    await asyncio.wait_for(shop.worker(lease_seconds=0.2, deadline_seconds=0.3).work(), 5)

    failed = (await shop.emitted())[-1]
    assert (failed.reason, failed.step) == ("deadline_exceeded", "model")


async def hours_pass(store: Store) -> None:
    """Every time that the builds know is a day ago."""
    day, known = 86_400, builds.c
    times = (known.queued_at, known.not_before, known.started_at, known.held_until)
    async with store.transaction() as tx:
        await tx.execute(update(builds).values({each.name: each - day for each in times}))


@both_databases
@pytest.mark.parametrize("error", [None, TemporaryError("the store is away")])
async def test_hours_in_which_no_builder_ran_are_none_of_a_builds_deadline(shop, skops_model, error):
    shop.inspector.hold, shop.inspector.error = error is None, error
    await shop.say(shop.uploaded(data=skops_model))
    async with at_work(shop.worker(deadline_seconds=60)) as task:
        await asyncio.wait_for(shop.inspector.entered.wait(), 5)
        if error:
            await asyncio.wait_for(task, 5)
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


async def test_a_build_that_kills_its_builder_each_time_ends_by_its_deadline(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))

    async def failed() -> bool:
        worker = shop.worker(deadline_seconds=0.3)
        build = await worker._claim()  # and dies
        if build and time.time() > build.started_at + 0.3:
            await worker.work()
        return await shop.state() == "failed"

    await until(failed)
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


async def test_a_build_that_is_put_off_until_its_deadline_says_what_it_met(shop, skops_model):
    shop.inspector.error = OSError("no space left on device")
    await shop.say(shop.uploaded(data=skops_model))
    worker = shop.worker(deadline_seconds=0.5)

    async def failed() -> bool:
        await worker.work()
        return await shop.state() == "failed"

    await until(failed)
    event = (await shop.emitted())[-1]
    assert event.reason == "deadline_exceeded"
    assert "no space left on device" in event.message


@pytest.fixture
def full_log(shop):
    """The log of the first build is on a disk that is full."""
    path = shop.directory / "builder/logs/risk/fraud/3.1.log"
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")


@pytest.mark.usefixtures("full_log")
@pytest.mark.parametrize(
    ("error", "state"),
    [(None, "built"), (BuildError("format", "no model"), "failed"), (TemporaryError("away"), "queued")],
)
async def test_a_build_ends_as_ever_though_its_log_is_on_a_full_disk(shop, skops_model, error, state):
    shop.inspector.error = error
    await shop.say(shop.uploaded(data=skops_model))
    with capture_logs() as logs:
        await shop.worker().work()

    assert await shop.state() == state
    assert [each["event"] for each in logs].count("the build's log cannot be written") == 1
    if state == "failed":
        assert (await shop.emitted())[-1].log_tail[-1] == "failed: no model"


@pytest.mark.usefixtures("full_log")
async def test_a_worker_that_is_stopped_gives_its_build_back_though_the_disk_is_full(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model))
    async with at_work(shop.worker("one", lease_seconds=60)):
        await asyncio.wait_for(shop.inspector.entered.wait(), 5)
    assert await shop.state() == "queued"


@pytest.mark.parametrize(("place", "state"), [("logs", "built"), ("work", "queued")])
async def test_a_directory_that_cannot_be_made_leaves_no_build_running(shop, skops_model, place, state):
    (shop.directory / "builder").mkdir()
    (shop.directory / "builder" / place).write_text("a file is in the way")
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    assert await shop.state() == state


@both_databases
async def test_a_build_whose_worker_died_is_taken_over(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    dead = shop.worker("dead", lease_seconds=0.2)
    assert await dead._claim()  # and then silence

    other = shop.worker("other")

    async def built() -> bool:
        await other.work()
        return await shop.state() == "built"

    assert not await built()  # the lease holds
    await until(built)


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
        await asyncio.wait_for(task, 5)

    assert await shop.state() == "built"
    events = kinds(await shop.emitted())
    assert (events.count("ImageBuilt"), events.count("BuildFailed")) == (1, 0)


async def _no_beat(_build) -> None: ...


@both_databases
async def test_an_upload_of_a_version_whose_build_runs_is_answered_by_that_build(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model), "first")
    async with at_work(shop.worker(lease_seconds=0.2)) as task:
        await shop.inspector.entered.wait()
        await shop.say(shop.uploaded(data=skops_model, labels={"team": "new"}), "second")
        shop.inspector.go_on.set()
        await asyncio.wait_for(task, 5)

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
        await asyncio.wait_for(task, 5)

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
async def test_accounts_take_turns(shop, skops_model):
    for number in range(3):
        await shop.say(shop.uploaded(version=str(number), data=skops_model))
    await shop.say(shop.uploaded(version="1", account="ads", data=skops_model))
    await shop.worker().work()

    order = [e.account for e in await shop.emitted() if isinstance(e, ImageBuilt)]
    assert order.index("ads") == 1


async def test_nothing_of_a_build_is_left_but_its_log(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()

    files = [path for path in (shop.directory / "builder").rglob("*") if path.is_file()]
    assert files == [shop.directory / "builder/logs/risk/fraud/3.1.log"]
    assert "dependencies: dependencies cached" in files[0].read_text()


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


async def test_what_a_worker_says_between_builds_names_no_account(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    with capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        await shop.worker().work()
    assert {each["account"] for each in logs} == {"risk"}
    assert structlog.contextvars.get_contextvars() == {}
