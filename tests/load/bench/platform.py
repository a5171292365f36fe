"""The whole platform: from an upload to its first prediction, and from a weight to the traffic."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import httpx

import so1s
from so1s.events import WeightsChanged
from tests.load.bench import servers
from tests.load.bench.envoy_file import HOST, BareEnvoy, wait_for_revision
from tests.load.bench.figure import Figure
from tests.load.bench.measure import spread
from tests.scenarios.running import ACCOUNT, SERVE_SECONDS, Running

_UPLOADS = 3
_CHANGES = 40
_UPLOAD = "upload → first prediction"

Steps = dict[str, float]
"""What was reached, and after how many seconds."""


async def measure(directory: Path) -> list[Figure]:
    return await asyncio.to_thread(_measure, directory)


def _measure(directory: Path) -> list[Figure]:
    running = Running(directory / "platform", window_seconds=5)
    running.start()
    try:
        return [*_uploads(running, directory), *_weights(running, directory)]
    finally:
        running.stop()
        running.close()


def _uploads(running: Running, directory: Path) -> list[Figure]:
    served = servers.model_directory(directory / "served")
    cold = _upload(running, directory, 0)
    warm, bare = [], []
    for number in range(1, _UPLOADS + 1):
        warm.append(_upload(running, directory, number))
        bare.append(_start(served))
    total = median(steps.pop("predicted") for steps in warm)
    peer = "start of the inference server alone"
    return [
        Figure(f"{_UPLOAD}, the first of its format", "s", cold["predicted"]),
        Figure(f"{_UPLOAD}, the next ones", "s", total, peer, median(bare)),
        *(Figure(f"  {name} after", "s", median(each[name] for each in warm)) for name in warm[0]),
    ]


def _upload(running: Running, directory: Path, number: int) -> Steps:
    path = servers.write_forest(directory / "uploads" / f"{number}.onnx", seed=number)
    steps: list[so1s.Step] = []
    started = time.perf_counter()
    published = running.publish(f"bench-{number}", path=path)
    serving = published.wait_until_serving(SERVE_SECONDS, on_step=steps.append)
    host = httpx.URL(serving.url).netloc.decode()
    running.http.post(
        f"{running.at.gateway}/predict", content=servers.body(), headers={"host": host}
    ).raise_for_status()
    return {step.name: step.seconds for step in steps} | {"predicted": time.perf_counter() - started}


def _start(model: Path) -> float:
    started = time.perf_counter()
    with servers.ours(model) as url:
        asyncio.run(servers.answers(url))
        return time.perf_counter() - started


def _weights(running: Running, directory: Path) -> list[Figure]:
    running.publish(
        "bench-next", path=directory / "uploads/1.onnx", deploy={"endpoint": "bench-0"}
    ).wait_until_serving()
    envoy = BareEnvoy(directory / "envoy")
    try:
        ours, theirs = _changes(running, envoy)
    finally:
        envoy.stop()
    mine, limits = spread(ours), spread(theirs)
    peer = "a file's move to Envoy alone"
    return [
        Figure(
            f"weight change → live, {name} of {_CHANGES}", "ms", mine[name] * 1000, peer, limits[name] * 1000
        )
        for name in mine
    ]


def _changes(running: Running, envoy: BareEnvoy) -> tuple[Sequence[float], Sequence[float]]:
    host = f"bench-0--{ACCOUNT}.{running.at.domain}"
    revision = running.endpoint("bench-0")["revision"]
    ours, theirs = [], []
    wait_for_revision(running.http, envoy.url, HOST, 1)
    with so1s.Publisher(running.client) as publisher:
        for number in range(1, _CHANGES + 1):
            weights = {"bench-0": 100 - number, "bench-next": number}
            began = time.perf_counter()
            publisher.publish(WeightsChanged(account=ACCOUNT, endpoint="bench-0", weights=weights))
            wait_for_revision(running.http, running.at.gateway, host, revision + number)
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            wait_for_revision(running.http, envoy.url, HOST, envoy.move())
            theirs.append(time.perf_counter() - began)
    return ours, theirs
