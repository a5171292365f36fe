"""Health is answered while callers keep a model computing without pause: who is busy must not be killed."""

import asyncio
import json
import time
from pathlib import Path

import httpx
import pytest

from tests.runtime.running import is_ready, running

_CALLERS = 16
_PROBES = 20
_PROBE_SECONDS = 1.0
"""The timeout of a replica's probes, on Kubernetes and on one machine."""
_MOST_MISSED = 1
"""In a row, before a replica takes no more traffic."""

# A call takes some hundredths of a second of one processor.
_MODELS = {
    "Python": """
def load_artifacts(): ...


def run(artifacts, input):
    total = 0
    for number in range(500_000):
        total += number % 7
    return {"y": input["x"] + total}
""",
    "NumPy": """
import numpy as np


def load_artifacts():
    return np.random.default_rng(0).random((500, 500))


def run(artifacts, input):
    return {"y": input["x"] + np.sort(artifacts @ artifacts @ artifacts, axis=None).size}
""",
}


@pytest.fixture(params=_MODELS)
def busy_model(request, tmp_path) -> Path:
    inputs, outputs = ([{"name": name, "dtype": "int64", "shape": [-1]}] for name in "xy")
    manifest = {"schema": "so1s-model/v1", "name": "busy", "version": "1", "format": "python"}
    manifest |= {"file": "prepared.py", "inputs": inputs, "outputs": outputs}
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    (tmp_path / "prepared.py").write_text(_MODELS[request.param])
    return tmp_path


async def test_health_is_answered_in_time_while_many_callers_keep_a_model_computing(busy_model):
    answered, waits = asyncio.Semaphore(0), []

    async def ask_without_pause(url: httpx.URL) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as caller:
            while True:
                began = time.monotonic()
                answer = await caller.post("/predict", json=[1])
                assert answer.status_code in {200, 429}  # too many wait for a slow machine
                if answer.status_code == 200:
                    waits.append(time.monotonic() - began)
                    answered.release()

    async with running(busy_model) as server, asyncio.TaskGroup() as group:
        await server.until(is_ready)
        url = server.client.base_url
        callers = [group.create_task(ask_without_pause(url)) for _ in range(_CALLERS)]
        missed = {"live": 0, "ready": 0}
        for _ in range(_PROBES):
            await answered.acquire()  # the model is at work between any two probes
            for state, before in missed.items():
                # On a slow machine one whose probes queued with the callers would still be found out.
                seconds = max(_PROBE_SECONDS, max(waits[-_CALLERS:]) / 2)
                missed[state] = 0 if await _answers(url, state, seconds) else before + 1
            assert max(missed.values()) <= _MOST_MISSED
        for caller in callers:
            caller.cancel()


async def _answers(url: httpx.URL, state: str, seconds: float) -> bool:
    """Whether a probe succeeds in time, on a connection of its own."""
    try:
        async with asyncio.timeout(seconds), httpx.AsyncClient(base_url=url) as probe:
            return (await probe.get(f"/v2/health/{state}")).status_code == 200
    except TimeoutError:
        return False
