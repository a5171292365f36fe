"""Which libraries an image holds whose replicas reserve a GPU."""

import pytest

from services.builder.locks import ON_GPU, Lock, libraries_of, shipped
from so1s.events import BuildRequested, DeployOptions, ImageBuilt, ResourceOptions
from tests.builder.test_builder_worker import tar_of
from tests.builder.working import both_databases


def asking(gpus: int | None) -> DeployOptions:
    return DeployOptions(resources=ResourceOptions(gpus=gpus))


def described(onnx_model: bytes, gpus: int) -> bytes:
    """An archive whose so1s.yaml asks for GPUs."""
    said = f"schema: so1s/v1\ndeploy: {{resources: {{gpus: {gpus}}}}}\n"
    return tar_of({"so1s.yaml": said.encode(), "model.onnx": onnx_model})


async def libraries(shop, number: int = 1) -> str:
    """What the libraries are called that a build took."""
    (line,) = [line for line in await shop.log(number=number) if "empty dependencies of" in line]
    return line.rpartition(" of ")[2]


@pytest.mark.parametrize(("gpus", "taken"), [(2, "onnx-gpu"), (1, "onnx-gpu"), (0, "onnx"), (None, "onnx")])
async def test_an_onnx_model_that_asks_for_gpus_has_the_libraries_that_use_them(
    shop, onnx_model, gpus, taken
):
    await shop.say(shop.uploaded(data=onnx_model, name="3.onnx", deploy=asking(gpus)))
    await shop.worker().work()

    built = (await shop.emitted())[-1]
    assert isinstance(built, ImageBuilt), built
    assert (built.format, await libraries(shop)) == ("onnx", taken)


@pytest.mark.parametrize(
    ("in_file", "in_event", "taken"),
    [
        (1, asking(None), "onnx-gpu"),
        (1, asking(0), "onnx"),
        (0, asking(1), "onnx-gpu"),
        (1, None, "onnx-gpu"),  # the image alone: whoever deploys it will
    ],
)
async def test_the_event_wins_over_the_file_in_asking_for_gpus(shop, onnx_model, in_file, in_event, taken):
    data = described(onnx_model, in_file)
    await shop.say(shop.uploaded(data=data, name="3.tar.gz", deploy=in_event))
    await shop.worker().work()

    assert await libraries(shop) == taken


async def test_a_model_that_is_compiled_to_onnx_has_them_too(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model, optimize="onnx", deploy=asking(1)))
    await shop.worker().work()

    assert await libraries(shop) == "onnx-gpu"


async def test_a_version_that_is_built_again_has_the_libraries_of_its_upload(shop, onnx_model):
    await shop.say(shop.uploaded(data=onnx_model, name="3.onnx", deploy=asking(1)))
    await shop.worker().work()
    again = BuildRequested(account="risk", model="fraud", version="3", requested_by="cli:ann")
    for number in (2, 3):
        await shop.say(again)
        await shop.worker().work()
        assert await libraries(shop, number) == "onnx-gpu"

    first, *rest = [each for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    assert first.deploy == asking(1)
    assert [(each.image, each.deploy) for each in rest] == [(first.image, None)] * 2


@both_databases
async def test_an_upload_that_asks_for_gpus_does_not_wait_for_a_build_without(shop, onnx_model):
    await shop.say(shop.uploaded(data=onnx_model, name="3.onnx"))
    await shop.say(shop.uploaded(data=onnx_model, name="3.onnx", deploy=asking(1)))
    await shop.worker().work()

    assert await libraries(shop, number=2) == "onnx-gpu"


def test_a_format_whose_libraries_serve_both_or_know_no_gpu_keeps_its_own():
    formats = ("torch", "torchscript", "transformers", "skops", "lightgbm", "keras", "python")
    assert [libraries_of(each, 1) for each in formats] == [*formats]
    assert (libraries_of("xgboost", 1), libraries_of("xgboost", 0)) == ("xgboost-gpu", "xgboost")


def names(lock: Lock) -> set[str]:
    return {name for name, _version in lock.hashes}


def test_the_libraries_for_a_gpu_have_the_package_with_cuda_in_place_of_the_one_without():
    of_onnx, of_xgboost = names(shipped("onnx-gpu")), names(shipped("xgboost-gpu"))
    assert of_onnx > {"onnxruntime-gpu", "nvidia-cudnn-cu13", "nvidia-cublas", "nvidia-cuda-runtime"}
    assert "xgboost" in of_xgboost
    assert not {"onnxruntime", "xgboost-cpu"} & (of_onnx | of_xgboost)


@pytest.mark.parametrize("name", ON_GPU)
def test_the_server_is_the_same_beside_both(name):
    own = {"onnxruntime", "xgboost-cpu"}
    assert (
        shipped(name).hashes.items()
        > {
            pin: hashes
            for pin, hashes in shipped(name.removesuffix("-gpu")).hashes.items()
            if pin[0] not in own
        }.items()
    )


@pytest.mark.parametrize(("gpus", "warned"), [(1, True), (0, False), (None, False)])
async def test_a_model_that_cannot_use_the_gpu_it_reserves_is_warned_of(shop, skops_model, gpus, warned):
    await shop.say(shop.uploaded(data=skops_model, deploy=asking(gpus)))
    await shop.worker().work()

    built = (await shop.emitted())[-1]
    assert isinstance(built, ImageBuilt), built
    assert any("skops runs on the CPU alone" in each for each in built.warnings) == warned
