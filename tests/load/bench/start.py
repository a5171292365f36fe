"""How long an inference server takes from its start to its first answer, beside its library's import.

Both begin with an interpreter, on one core, and read files that the system has in memory.
"""

import asyncio
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import skops.io

from so1s_runtime.loaders.skops import inspect
from so1s_runtime.manifest import FILE_NAME, Manifest
from tests.load.bench import servers
from tests.load.bench.figure import Figure
from tests.load.bench.measure import medians

_ROUNDS = 5


async def measure(directory: Path) -> list[Figure]:
    models = {
        "ONNX": (servers.model_directory(directory / "onnx"), "import onnxruntime"),
        "scikit-learn": (_skops_directory(directory / "skops"), "import skops.io"),
    }
    figures = []
    for name, (model, statement) in models.items():
        runs = [partial(start, model), partial(imported, statement)]
        await medians(*runs, rounds=1)  # files are read from the disk
        ours, alone = await medians(*runs, rounds=_ROUNDS)
        figures.append(Figure(f"start to first answer, {name}", "s", ours, f"`{statement}` alone", alone))
    return figures


def _skops_directory(directory: Path) -> Path:
    """The forest as scikit-learn itself has it."""
    directory.mkdir()
    path = directory / "model.skops"
    skops.io.dump(servers.forest(), path)
    manifest = Manifest(name="tumour", version="1", format="skops", file=path.name, signature=inspect(path))
    (directory / FILE_NAME).write_bytes(manifest.to_json())
    return directory


async def start(model: Path) -> float:
    """Seconds from a server's start to its first answer."""
    began = time.perf_counter()
    with servers.ours(model) as url:
        await servers.answers(url)
        return time.perf_counter() - began


async def imported(statement: str) -> float:
    """Seconds that an interpreter takes for an import."""
    return await asyncio.to_thread(_imported, statement)


def _imported(statement: str) -> float:
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", statement]) as process:
        servers.on_one_core(process)
    assert process.returncode == 0
    return time.perf_counter() - began
