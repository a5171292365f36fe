"""From an upload to a server: real libraries, a real image, a prediction that equals the library's."""

import asyncio
import hashlib
import io
import json
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import zstandard
from pydantic import SecretStr

import so1s
from services.builder import app
from services.builder.handlers import consumer
from services.builder.settings import Settings
from services.builder.worker import Workers
from so1s.events import Artifact, BuildFailed, Event, ImageBuilt, ModelUploaded
from so1s.platform import ClientSettings
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from so1s.store import Store
from so1s.testing import run
from tests.builder.conftest import emitted

ROWS = np.random.default_rng(8).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Of one builder for all tests, since libraries are installed once."""
    return tmp_path_factory.mktemp("builder")


def settings_in(directory: Path, **said) -> Settings:
    return Settings(
        database_url=SecretStr(f"sqlite+aiosqlite:///{directory}/builder.db"),
        artifact_prefixes=[f"file://{directory}/artifacts/{{account}}/"],
        image_dir=directory / "images",
        build_dir=directory / "work",
        libraries_dir=directory / "libraries",
        **said,
    )


def uploaded(directory: Path, name: str, data: bytes, model: str) -> ModelUploaded:
    path = directory / "artifacts/risk" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ModelUploaded(account="risk", model=model, version="3", artifact=Artifact(uri=f"file://{path}"))


async def built(directory: Path, name: str, data: bytes, model: str) -> list[Event]:
    """Upload an artifact to a builder with real adapters; the events that its build says."""
    settings = settings_in(directory)
    store = Store(settings.database_url.get_secret_value(), producer="builder")
    await store.migrate("services.builder.migrations")
    event = uploaded(directory, name, data, model)
    await run(consumer, event, store=store, provide=[settings, Workers([], poll_seconds=1)])
    await app.make_workers(settings, store, app.make_world(settings))[0].work()
    events = [each.event for each in await emitted(store)]
    await store.close()
    return events


def blob(layout: Path, digest: str) -> bytes:
    data = (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


def unpacked(layout: Path, digest: str, into: Path) -> dict:
    """Unpack an image's layers, with each digest held against its bytes; the image's configuration."""
    manifest = json.loads(blob(layout, digest))
    config = json.loads(blob(layout, manifest["config"]["digest"]))
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = zstandard.ZstdDecompressor().stream_reader(blob(layout, layer["digest"])).readall()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == diff_id
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(into, filter="data")
    return config["config"]


@contextmanager
def served(config: dict, root: Path) -> Iterator[str]:
    """The server of an unpacked image, started as its configuration says."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    _python, *arguments = config["Entrypoint"]
    command = [
        sys._base_executable,
        "-S",
        *(argument.replace("/opt", f"{root}/opt") for argument in arguments),
    ]
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    environment["PYTHONPATH"] = environment["PYTHONPATH"].replace("/opt", f"{root}/opt")
    process = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def ask(url: str, path: str, body: object) -> dict:
    """Post to a server that may still be loading."""
    deadline = time.monotonic() + 30
    while True:
        try:
            answer = httpx.post(f"{url}{path}", json=body, timeout=10)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
            continue
        if answer.status_code != 503 or time.monotonic() > deadline:
            return answer.raise_for_status().json()
        time.sleep(0.05)


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
