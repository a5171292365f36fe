"""Servers of one small model: ours, and the bare one."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from so1s_local.ports import free_port
from so1s_runtime.loaders.onnx import inspect
from so1s_runtime.manifest import FILE_NAME, Manifest
from tests.served_images import served

_START_SECONDS = 60
_SEED = 7


def forest(seed: int = _SEED) -> RandomForestClassifier:
    """A forest on 30 measurements of tumours."""
    data = load_breast_cancer()
    return RandomForestClassifier(20, max_depth=6, random_state=seed).fit(data.data, data.target)


def write_forest(path: Path, seed: int = _SEED) -> Path:
    """The forest as ONNX."""
    made = forest(seed)
    inputs = [("x", FloatTensorType([None, made.n_features_in_]))]
    graph = to_onnx(made, initial_types=inputs, options={"zipmap": False})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return path


def body() -> bytes:
    """A request of one row."""
    return json.dumps({"x": load_breast_cancer().data[:1].tolist()}).encode()


def model_directory(directory: Path) -> Path:
    """A model and its manifest, as an image has them."""
    path = write_forest(directory / "model.onnx")
    manifest = Manifest(name="tumour", version="1", format="onnx", file=path.name, signature=inspect(path))
    (directory / FILE_NAME).write_bytes(manifest.to_json())
    return directory


@contextmanager
def serving(module: str, *arguments: str) -> Generator[str, None, None]:
    """Run a server; gives the URL that predicts."""
    port = free_port()
    command = [sys.executable, "-m", module, *(each.format(port=port) for each in arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    on_one_core(process)
    try:
        yield f"http://127.0.0.1:{port}/predict"
    finally:
        process.terminate()
        process.wait()


def on_one_core(process: subprocess.Popen) -> None:
    """Keep a server on the first core, where that can be said; the load has the others."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})


@contextmanager
def started_on_one_core() -> Generator[None, None, None]:
    """Processes that are started meanwhile run on the first core only, where that can be said."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def of_image(config: dict, root: Path) -> Generator[str, None, None]:
    """Run the server of an unpacked image; gives the URL that predicts."""
    with ExitStack() as running:
        with started_on_one_core():
            url = running.enter_context(served(config, root, log=subprocess.DEVNULL))
        yield f"{url}/predict"


async def answers(url: str, content: bytes | None = None) -> None:
    """Return once a server predicts."""
    deadline = time.monotonic() + _START_SECONDS
    content = content or body()
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                (await http.post(url, content=content)).raise_for_status()
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.01)
            else:
                return


def ours(directory: Path, host: str = "127.0.0.1"):
    options = ["--host", host, "--port", "{port}", "--drain-seconds", "0"]
    return serving("so1s_runtime", "--model-dir", str(directory), *options)


def bare(directory: Path):
    return serving("tests.load.bench.bare_asgi", str(directory / "model.onnx"), "{port}")
