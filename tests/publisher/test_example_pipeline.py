"""examples/pipeline, beside services that the test plays."""

import asyncio
import importlib.util
import tarfile
import uuid
from pathlib import Path

import pytest

import so1s
from so1s import events
from so1s.broker.reader import Reader, decoded
from so1s.modelfile import ModelFile
from so1s.platform import Platform
from tests import played_events as played
from tests.played_services import playing

EXAMPLES = Path(__file__).parents[2] / "examples" / "pipeline"
RUN_ID = "manual__2026-11-24T12:00:00+00:00"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model():
    return f"m-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def laptop(settings, tmp_path, monkeypatch):
    artifacts = f"file://{tmp_path}/artifacts/"
    platform = Platform(
        kafka=settings.kafka, artifacts=artifacts, gateway="http://x", domain="so1s.localhost", account="risk"
    )
    platform.write(tmp_path / ".so1s")
    monkeypatch.chdir(tmp_path)
    return settings


async def run(laptop, model, *answers):
    """Run the pipeline beside a platform that gives these answers to an upload."""
    async with playing(laptop, events.ModelUploaded, lambda _: answers):
        return await asyncio.to_thread(load("pipeline").run, RUN_ID, model=model, timeout_seconds=60)


async def test_the_pipeline_ends_with_a_served_model(laptop, model, tmp_path):
    serving = await run(laptop, model, played.built(model), played.ready(model), played.applied(model))
    assert serving.url == f"http://{model}--risk.so1s.localhost:8080"
    (packed,) = (tmp_path / "artifacts" / "risk" / model).rglob("*.tar")
    assert packed.parts[-3] == "manual__2026-11-24T12-00-00-00-00"
    with tarfile.open(packed) as archive:
        assert archive.getnames() == ["model.skops", "sample.json", "so1s.yaml"]
        assert ModelFile.parse(archive.extractfile("so1s.yaml").read()).format == "skops"


async def test_the_pipeline_turns_red_with_the_log_of_the_build(laptop, model):
    with pytest.raises(so1s.BuildFailed, match="because numpy==9 does not exist"):
        await run(laptop, model, played.build_failed(model))


async def test_the_event_of_a_plain_kafka_client_is_a_valid_one(settings, model):
    uri = "s3://models/risk/fraud/3.skops"
    event_id = load("without_so1s").publish(settings.kafka, "risk", model, "3", uri)
    async with Reader(settings, [events.ModelUploaded.topic.name]) as reader:
        found = [each async for record in reader.past() if (each := decoded(record))]
    (received,) = (each for each in found if each.id == event_id)
    assert received.event == events.ModelUploaded(
        account="risk", model=model, version="3", artifact=events.Artifact(uri=uri)
    )
