"""`optimize: onnx`: the model is compiled while its image is built, or the build says why not."""

import json

import numpy as np
import pytest

from services.builder.domain.options import merge
from so1s.events import Artifact, BuildFailed, ImageBuilt, ModelUploaded
from so1s.modelfile import ModelFile
from tests.builder.test_builder_worker import model_files, tar_of
from tests.served_images import ask, blob, build_of, served, settings_in, unpacked

ROWS = np.random.default_rng(8).normal(size=(5, 4))
OF_FILE = b"schema: so1s/v1\noptimize: onnx\n"


def labels(shop, built: ImageBuilt) -> dict[str, str]:
    layout = shop.directory / "images"
    manifest = json.loads(blob(layout, built.image.digest))
    return json.loads(blob(layout, manifest["config"]["digest"]))["config"]["Labels"]


async def test_the_image_holds_the_compiled_model_and_says_what_it_was(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model, optimize="onnx"))
    await shop.worker().work()

    *steps, built = await shop.emitted()
    assert isinstance(built, ImageBuilt), built
    assert (built.format, built.compiled_from) == ("onnx", "skops")
    assert built.sources == {"optimize": "event"}
    files = model_files(shop, built)
    assert files["opt/so1s/model/compiled.onnx"] == b"compiled"
    assert not any(name.endswith(".skops") for name in files)
    manifest = json.loads(files["opt/so1s/model/model.json"])
    assert (manifest["format"], manifest["file"]) == ("onnx", "compiled.onnx")
    said = labels(shop, built)
    assert said["so1s.format"] == "onnx"
    assert said["so1s.compiled-from"] == "skops"
    assert said["so1s.compiled-by"] == "skl2onnx 1.20.0"
    assert "705 rows, 5 of them the sample's" in steps[3].detail
    assert shop.inspector.checked  # by the server itself, on the libraries of the image


async def test_the_file_asks_for_it_and_the_event_may_say_otherwise(shop, skops_model):
    data = tar_of({"so1s.yaml": OF_FILE, "model.skops": skops_model})
    await shop.say(shop.uploaded(data=data, name="3.tar.gz"))
    await shop.say(shop.uploaded(data=data, name="4.tar.gz", version="4", optimize="none"))
    await shop.worker().work()

    built = {each.version: each for each in await shop.emitted() if isinstance(each, ImageBuilt)}
    assert (built["3"].format, built["3"].sources) == ("onnx", {"optimize": "so1s.yaml"})
    assert (built["4"].format, built["4"].sources) == ("skops", {"optimize": "event"})
    assert built["4"].compiled_from is None


@pytest.mark.parametrize("optimize", ["none", "onnx"])
async def test_what_the_file_says_of_batching_goes_into_the_image(shop, skops_model, optimize):
    said = f"schema: so1s/v1\noptimize: {optimize}\nbatching: {{max_rows: 64}}\n".encode()
    await shop.say(
        shop.uploaded(data=tar_of({"so1s.yaml": said, "model.skops": skops_model}), name="3.tar.gz")
    )
    await shop.worker().work()

    *_, built = await shop.emitted()
    manifest = json.loads(model_files(shop, built)["opt/so1s/model/model.json"])
    assert manifest["batching"] == {"max_rows": 64}


async def test_a_model_that_answers_otherwise_is_a_failed_build(shop, skops_model):
    shop.inspector.compiled = None
    await shop.say(shop.uploaded(data=skops_model, optimize="onnx"))
    await shop.worker().work()

    failed = (await shop.emitted())[-1]
    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == ("format", "model")
    assert "leave `optimize` out" in failed.message


async def test_a_format_that_is_not_compiled_is_told_at_once(shop, onnx_model):
    await shop.say(shop.uploaded(data=onnx_model, name="3.onnx", optimize="onnx"))
    await shop.worker().work()

    failed = (await shop.emitted())[-1]
    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == ("format", "inspect")
    assert "optimize: 'onnx' is not allowed" in failed.message
    assert "those of skops, xgboost, lightgbm, keras, torch are compiled" in failed.message


async def test_a_version_that_shall_be_compiled_does_not_wait_for_its_build_that_does_not(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.say(shop.uploaded(data=skops_model, optimize="onnx"))
    await shop.worker().work()

    ends = [each for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    assert {each.format for each in ends} == {"onnx"}


def test_the_layer_that_says_it_is_known_even_where_nothing_is_deployed():
    artifact = Artifact(uri="s3://ml/risk/fraud.skops")
    event = ModelUploaded(account="risk", model="fraud", version="3", artifact=artifact, deploy=None)

    assert merge(event, ModelFile.parse(OF_FILE)).sources == {"optimize": "so1s.yaml"}


@pytest.mark.models  # half a minute of processor for libraries that nothing else here needs
async def test_a_compiled_model_is_served_without_its_library_as_with_it(tmp_path, estimator, skops_model):
    path = tmp_path / "artifacts/risk/model.skops"
    path.parent.mkdir(parents=True)
    path.write_bytes(skops_model)
    artifact = Artifact(uri=f"file://{path}")
    event = ModelUploaded(account="risk", model="fraud", version="3", artifact=artifact, optimize="onnx")

    built = (await build_of(settings_in(tmp_path), event))[-1]

    assert isinstance(built, ImageBuilt), built
    outputs = [(each.name, each.dtype, each.shape) for each in built.signature.outputs]
    assert outputs == [("label", "int64", [-1]), ("probabilities", "float64", [-1, 2])]
    config = unpacked(tmp_path / "images", built.image.digest, tmp_path / "image")
    assert not list((tmp_path / "image").rglob("sklearn"))
    assert not list((tmp_path / "image").rglob("so1s_compiler"))
    with served(config, tmp_path / "image") as url:
        answer = ask(url, "/predict", {"x": ROWS.tolist()})
    assert answer["label"] == estimator.predict(ROWS).tolist()
    np.testing.assert_allclose(answer["probabilities"], estimator.predict_proba(ROWS), atol=1e-12)
