"""A registry that is away costs a build time, and nothing else."""

from dataclasses import replace

import pytest

from services.builder.adapters.images_registry import RegistryImages
from so1s.events import ImageBuilt
from so1s_lab.registry import Registry
from so1s_lab.runner import Runner

# ruff: noqa: F401, F811 - pytest collects what is imported
from tests.builder.conftest import estimator, runtime, shop, skops_model, store
from tests.builder.shop import EmptyDependencies
from tests.lab.pushing import client


@pytest.fixture
def own(tmp_path, lab):
    with Runner(lab.directory("away") / tmp_path.name) as runner:
        yield runner


async def test_a_build_waits_for_a_registry_that_is_away_and_is_then_pushed_whole(
    shop, own, skops_model, eventually, monkeypatch
):
    monkeypatch.setattr("so1s.registry.client._FIRST_PAUSE_SECONDS", 0)
    part = Registry(own.directory("registry"))
    images = RegistryImages(client(part), prefix="so1s/images")
    dependencies = EmptyDependencies(images, shop.directory / "dependencies")
    shop.world = replace(shop.world, images=images, dependencies=dependencies)
    await shop.say(shop.uploaded(data=skops_model))

    await shop.worker().work()
    assert await shop.state() == "queued"

    own.start(part)

    async def is_built() -> bool:
        await shop.worker().work()
        return await shop.state() == "built"

    await eventually(is_built)
    (built,) = [each for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    assert built.image.reference.startswith(f"{part.host}/so1s/images/risk/fraud@sha256:")
