"""From an upload to a server: real libraries, a real image, a prediction that equals the library's."""

import asyncio
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
from tests.served_images import ask, built, served, settings_in, unpacked, uploaded

ROWS = np.random.default_rng(8).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Of one builder for all tests, since libraries are installed once."""
    return tmp_path_factory.mktemp("builder")


@pytest.mark.parametrize("model_format", ["onnx", "skops"])
async def test_the_server_of_a_built_image_answers_as_the_library_does(
    directory, tmp_path, request, estimator, model_format
):
    data = request.getfixturevalue(f"{model_format}_model")

    events = await built(directory, f"3.{model_format}", data, f"fraud-{model_format}")

    image_built = events[-1]
    assert isinstance(image_built, ImageBuilt), events[-1]
    assert image_built.format == model_format
    config = unpacked(directory / "images", image_built.image.digest, tmp_path)
    assert config["Labels"]["so1s.base"] == "host"
    assert config["Labels"]["so1s.model"] == f"fraud-{model_format}"
    with served(config, tmp_path) as url:
        answer = ask(url, "/predict", ROWS.tolist())
    assert answer["label"] == estimator.predict(ROWS).tolist()
    np.testing.assert_allclose(answer["probabilities"], estimator.predict_proba(ROWS), atol=1e-5)


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
        async with asyncio.timeout(30):
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
        return published.wait_until_serving(30)

    async with service.running():
        with pytest.raises(so1s.BuildFailed, match="does not exist"):
            await asyncio.to_thread(attempt)
        with pytest.raises(so1s.BuildFailed, match="does not exist"):
            await asyncio.to_thread(attempt)  # nothing was mended
        await asyncio.to_thread(path.write_bytes, onnx_model)
        assert await asyncio.to_thread(attempt) == so1s.Serving(None, None)
    assert len(set(said)) == 3
