"""Workers: who builds what, and how a build ends."""

import asyncio
import io
import json
import tarfile

import pytest
import structlog
import zstandard
from structlog.testing import capture_logs

from services.builder.domain.failure import BuildError
from so1s.events import (
    BuildCancelled,
    BuildFailed,
    DeployOptions,
    ImageBuilt,
    ResourceOptions,
    Signature,
    Tensor,
)
from tests.builder.working import at_work, both_databases


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def blob(shop, digest: str) -> bytes:
    return (shop.directory / "images/blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def model_layers(shop, built: ImageBuilt) -> list[str]:
    """The digests of those above the libraries and the runtime."""
    return [layer["digest"] for layer in json.loads(blob(shop, built.image.digest))["layers"][2:]]


def files_of(shop, digest: str) -> dict[str, bytes]:
    plain = zstandard.ZstdDecompressor().stream_reader(blob(shop, digest)).readall()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def model_files(shop, built: ImageBuilt) -> dict[str, bytes]:
    layers = [files_of(shop, digest) for digest in model_layers(shop, built)]
    return {name: data for files in layers for name, data in files.items()}


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
    assert steps[2].detail == "dependencies installed"
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
    layer = model_files(shop, built)
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


def table(columns: int) -> Signature:
    inputs = [Tensor(name=f"column_{number}", dtype="float64", shape=[-1, 1]) for number in range(columns)]
    return Signature(inputs=inputs, outputs=[Tensor(name="label", dtype="int64", shape=[-1])])


async def test_every_model_is_tried_as_it_lies_in_its_image(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()

    assert len(shop.inspector.checked) == 1


async def test_of_a_table_of_many_columns_a_step_tells_the_first_ones(shop, skops_model):
    shop.inspector.found = table(2000)
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()

    *steps, built = await shop.emitted()
    assert isinstance(built, ImageBuilt), built
    assert len(built.signature.inputs) == 2000
    assert steps[3].detail.startswith("column_0 float64[-1,1], column_1 float64[-1,1], ")
    assert "… → label int64[-1]; " in steps[3].detail
    assert len(steps[3].detail) < 500


async def test_a_signature_that_no_event_can_tell_is_a_failed_build(shop, skops_model):
    shop.inspector.found = table(20_000)
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()

    failed = (await shop.emitted())[-1]
    assert isinstance(failed, BuildFailed), failed
    assert (failed.reason, failed.step) == ("format", "model")
    assert "20000 inputs and 1 outputs" in failed.message
    assert "allowed: at most 393216 bytes" in failed.message


async def test_a_model_that_its_library_refuses_is_a_failed_build(shop, skops_model):
    shop.inspector.error = BuildError("format", "types that are not trusted")
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()

    failed = (await shop.emitted())[-1]
    assert (failed.reason, failed.step, failed.message) == ("format", "model", "types that are not trusted")


async def test_a_new_version_of_the_same_weights_has_their_layer_and_another_above_it(shop, skops_model):
    built = []
    for version in ("3", "4"):
        await shop.say(shop.uploaded(data=skops_model, name="model.skops", version=version))
        await shop.worker().work()
        built.append((await shop.emitted())[-1])
    (weights, above), (same, other) = (model_layers(shop, each) for each in built)
    assert weights == same
    assert above != other
    assert files_of(shop, weights) == {"opt/so1s/model/files/model.skops": skops_model}
    assert files_of(shop, above).keys() == {"opt/so1s/model/model.json"}


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
        await asyncio.wait_for(task, 60)

    answered = await shop.answered()
    assert [chain for chain, _ in answered] == ["upload", "end"]
    assert {(each.reason, each.message) for _, each in answered} == {("cancelled", "cancelled by user:jiho")}
    assert await shop.state() == "cancelled"


@both_databases
async def test_accounts_take_turns(shop, skops_model):
    for number in range(3):
        await shop.say(shop.uploaded(version=str(number), data=skops_model))
    await shop.say(shop.uploaded(version="1", account="ads", data=skops_model))
    await shop.worker().work()

    order = [e.account for e in await shop.emitted() if isinstance(e, ImageBuilt)]
    assert order.index("ads") == 1


async def test_no_file_of_a_build_is_left(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()

    assert not [path for path in (shop.directory / "builder").rglob("*") if path.is_file()]


async def test_what_a_worker_says_between_builds_names_no_account(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    with capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        await shop.worker().work()
    assert {each["account"] for each in logs} == {"risk"}
    assert structlog.contextvars.get_contextvars() == {}


async def test_the_layer_of_the_inference_server_is_packed_again_where_it_is_gone(shop, onnx_model):
    def layers(built: ImageBuilt) -> list[str]:
        return [layer["digest"] for layer in json.loads(blob(shop, built.image.digest))["layers"]]

    await shop.say(shop.uploaded("1", data=onnx_model, name="1.onnx"))
    await shop.worker().work()
    *_, first = await shop.emitted()
    runtime = layers(first)[1]
    assert b"so1s_runtime" in b"".join(name.encode() for name in files_of(shop, runtime))

    (shop.directory / "images/blobs/sha256" / runtime.removeprefix("sha256:")).unlink()
    await shop.say(shop.uploaded("2", data=onnx_model, name="2.onnx"))
    await shop.worker().work()
    *_, second = await shop.emitted()
    assert layers(second)[1] == runtime
    assert files_of(shop, runtime)
