"""From an upload to a server: real libraries, a real image, a prediction that equals the library's."""

import asyncio
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pytest

import so1s
from services.builder import app
from so1s.events import BuildFailed, ImageBuilt
from so1s.platform import ClientSettings
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from tests.boxed import answer_of
from tests.builder.test_builder_worker import tar_of
from tests.served_images import ask, built, served, settings_in, unpacked, uploaded

ROWS = np.random.default_rng(8).normal(size=(5, 4)).astype(np.float32)


OWN_CODE = {
    "so1s.yaml": b"""schema: so1s/v1
format: python
inputs: [{name: x, dtype: float32, shape: [-1, 4]}]
outputs: [{name: above, dtype: bool, shape: [-1]}]
""",
    "prepared.py": b"""
def load_artifacts():
    return float(open("edge.txt").read())


def run(artifacts, input):
    return input["x"][:, 0] > artifacts
""",
    "edge.txt": b"0.5",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Of one builder for all tests, since libraries are installed once."""
    return tmp_path_factory.mktemp("builder")


@pytest.fixture(scope="module")
def image_of(directory, tmp_path_factory):
    """Makes the image of a file: its configuration, and where it is unpacked; each is made once."""

    @cache
    def make(name: str, data: bytes, model: str) -> tuple[dict, Path]:
        image_built = asyncio.run(built(directory, name, data, model, user_code_accounts=["risk"]))[-1]
        assert isinstance(image_built, ImageBuilt), image_built
        root = tmp_path_factory.mktemp("root")
        return unpacked(directory / "images", image_built.image.digest, root), root

    return make


@pytest.mark.parametrize("model_format", ["onnx", "skops"])
def test_the_server_of_a_built_image_answers_as_the_library_does(image_of, request, estimator, model_format):
    data = request.getfixturevalue(f"{model_format}_model")
    config, root = image_of(f"3.{model_format}", data, f"fraud-{model_format}")
    assert config["Labels"]["so1s.base"] == "host"
    assert config["Labels"]["so1s.format"] == model_format
    assert config["Labels"]["so1s.model"] == f"fraud-{model_format}"
    with served(config, root) as url:
        answer = ask(url, "/predict", ROWS.tolist())
    assert answer["label"] == estimator.predict(ROWS).tolist()
    np.testing.assert_allclose(answer["probabilities"], estimator.predict_proba(ROWS), atol=1e-5)


@pytest.mark.parametrize("model_format", ["onnx", "skops", "python"])
def test_an_image_serves_as_an_ordinary_user_who_can_write_and_reach_nothing(
    sandbox, image_of, request, estimator, model_format
):
    if model_format == "python":
        name, data, expected = "own.tar.gz", tar_of(OWN_CODE), {"above": (ROWS[:, 0] > 0.5).tolist()}
    else:
        name, data = f"3.{model_format}", request.getfixturevalue(f"{model_format}_model")
        expected = {"label": estimator.predict(ROWS).tolist()}

    config, root = image_of(name, data, f"fraud-{model_format}")
    seen = answer_of(sandbox, config, root, "/predict", ROWS.tolist())

    assert {output: seen["answer"][output] for output in expected} == expected
    assert (seen["user"], seen["writable"], seen["interfaces"]) == (65532, ["/tmp"], ["lo"])
    assert seen["code"] == 0


async def test_a_second_model_of_a_format_takes_the_same_libraries_from_the_cache(directory, onnx_model):
    await built(directory, "a.onnx", onnx_model, "first")
    events = await built(directory, "b.onnx", onnx_model, "second")

    details = {event.step: event.detail for event in events[:-1]}
    assert details["dependencies"] == "dependencies cached"


async def test_a_file_that_is_a_model_by_its_shell_alone_fails_with_the_librarys_words(directory):
    graph = b"\x08\x0a\x3a\x02\x08\x01\x42\x04\x0a\x00\x10\x15"  # fields of a ModelProto, nonsense within

    failed = (await built(directory, "broken.onnx", graph, "broken"))[-1]

    assert isinstance(failed, BuildFailed)
    assert (failed.reason, failed.step) == ("format", "model")
    assert "onnxruntime" in failed.message


async def test_a_builder_on_a_real_broker_builds_what_is_uploaded_and_shows_it(directory, kafka, onnx_model):
    service = app.build(settings_in(directory, kafka=kafka, prepared_formats=["onnx"]))
    event = uploaded(directory, "broker.onnx", onnx_model, "on-broker")
    transport = httpx.ASGITransport(service.app)
    async with (
        service.running(),
        AsyncPublisher(KafkaSettings(kafka=kafka)) as publisher,
        httpx.AsyncClient(transport=transport, base_url="http://builder") as http,
    ):
        await publisher.publish(event)
        async with asyncio.timeout(60):
            while True:
                builds = (await http.get("/v1/builds", params={"account": "risk"})).json()["builds"]
                if any(each["model"] == "on-broker" and each["state"] == "built" for each in builds):
                    break
                await asyncio.sleep(0.02)
        log = (await http.get("/v1/builds/risk/on-broker/3/log")).text

    assert "image: sha256:" in log


async def test_an_upload_that_failed_is_built_by_the_next_call_of_its_pipeline(directory, kafka, onnx_model):
    service = app.build(settings_in(directory, kafka=kafka, prepared_formats=["onnx"]))
    event = uploaded(directory, "away.onnx", onnx_model, "tried-again")
    path = Path(event.artifact.uri.removeprefix("file://"))
    await asyncio.to_thread(path.unlink)  # its store is empty for now
    said = []

    def attempt():
        settings = ClientSettings(kafka=kafka, account="risk")
        published = so1s.publish_model(
            event.model, event.artifact.uri, version=event.version, deploy=None, settings=settings
        )
        said.append(published.event_id)
        return published.wait_until_serving(60)

    async with service.running():
        with pytest.raises(so1s.BuildFailed, match="does not exist"):
            await asyncio.to_thread(attempt)
        with pytest.raises(so1s.BuildFailed, match="does not exist"):
            await asyncio.to_thread(attempt)  # nothing was mended
        await asyncio.to_thread(path.write_bytes, onnx_model)
        assert await asyncio.to_thread(attempt) == so1s.Serving(None, None)
    assert len(set(said)) == 3
