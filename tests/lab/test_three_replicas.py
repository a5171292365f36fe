"""Every service three times at once, as an operator runs them: they share their work, and any may die."""

import asyncio
import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from so1s_lab.installation import Installation, Parts
from so1s_lab.platform import ClusterPlan
from so1s_lab.ports import any_port
from so1s_local.process import Unit
from so1s_local.units import answers
from tests.lab.cluster import InCluster, running
from tests.scenarios.running import until
from tests.scenarios.test_chain import (
    test_a_version_that_is_published_again_is_answered_again,
    test_changed_weights_split_the_traffic,
    test_every_window_is_charged_once_and_the_chain_is_explained,
)

# ruff: noqa: F401 - what is imported are fixtures, and the scenarios that a laptop's platform passes too

TWINS = (1, 2)
"""Beside the first of each service."""


class Replicated(ClusterPlan):
    """Three pods of each service."""

    def services(self) -> list[Unit]:
        first = super().services()
        return [*first, *(self._twin(unit, number) for unit in first for number in TWINS)]

    def _twin(self, unit: Unit, number: int) -> Unit:
        port = any_port()
        own = {"SO1S_INSTANCE": f"{unit.name}-{number}", "SO1S_HTTP_PORT": str(port)}
        ready = answers(f"http://127.0.0.1:{port}/readyz")
        environment = unit.environment | own
        return replace(unit, name=f"{unit.name}-{number}", environment=environment, ready=ready)


@pytest.fixture(scope="module")
def platform(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InCluster]:
    installation = Installation(f"r{uuid.uuid4().hex[:6]}", parts)
    yield from running(installation, tmp_path_factory.mktemp("replicated"), Replicated)


@pytest.mark.parametrize("service", ["builder", "deployer", "router"])
def test_one_of_three_dies_in_the_middle_and_nobody_notices(platform: InCluster, service: str):
    """The one that leads its kind is among those that die."""
    before = platform.serve(f"{service}-dies")

    async def roll() -> None:
        async with platform.load(before.url, clients=1) as load:
            later = await asyncio.to_thread(platform.publish, f"{service}-dies", 2)
            for name in (service, f"{service}-1"):
                os.kill(platform.supervisor.processes[name].pid, signal.SIGKILL)
            await asyncio.to_thread(later.wait_until_serving, 90)
            await load.answered(20)
        assert load.failed == 0, load.tally

    platform.run(roll())
    until(lambda: platform.predict(before.url) == platform.wanted(f"{service}-dies", 2))
