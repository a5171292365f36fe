"""How long the server of an image takes from its start to its first answer, beside its library's import.

Both begin with an interpreter, on one core, and read files that the system has in memory.
"""

import asyncio
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import skops.io

from so1s.events import ImageBuilt
from so1s.events.model import Optimization
from tests.load.bench import servers
from tests.load.bench.figure import Figure
from tests.load.bench.measure import medians
from tests.served_images import PYTHON, build_of, environment_in, served, settings_in, unpacked, uploaded

_ROUNDS = 5


@dataclass(frozen=True)
class _Image:
    """An image, unpacked, and its configuration."""

    config: dict
    root: Path


async def measure(directory: Path) -> list[Figure]:
    onnx = servers.write_forest(directory / "made/model.onnx").read_bytes()
    forest = skops.io.dumps(servers.forest())
    images = {
        "ONNX": (await _built(directory / "onnx", "model.onnx", onnx, "none"), "import onnxruntime"),
        "scikit-learn": (await _built(directory / "skops", "model.skops", forest, "none"), "import skops.io"),
        "scikit-learn, compiled to ONNX": (
            await _built(directory / "compiled", "model.skops", forest, "onnx"),
            "import onnxruntime",
        ),
    }
    figures = []
    for name, (image, statement) in images.items():
        runs = [partial(_start, image), partial(_import, image, statement)]
        await medians(*runs, rounds=1)  # files are read from the disk
        ours, alone = await medians(*runs, rounds=_ROUNDS)
        figures.append(Figure(f"start to first answer, {name}", "s", ours, f"`{statement}` alone", alone))
    return figures


async def _built(place: Path, file: str, data: bytes, optimize: Optimization) -> _Image:
    event = uploaded(place, file, data, "trees").model_copy(update={"optimize": optimize})
    built = (await build_of(settings_in(place), event))[-1]
    assert isinstance(built, ImageBuilt), built
    return _Image(unpacked(place / "images", built.image.digest, place / "root"), place / "root")


async def _start(image: _Image) -> float:
    """Seconds from a server's start to its first answer."""
    began = time.perf_counter()
    with ExitStack() as running:
        with servers.started_on_one_core():
            url = running.enter_context(served(image.config, image.root, log=subprocess.DEVNULL))
        await servers.answers(f"{url}/predict")
        return time.perf_counter() - began


async def _import(image: _Image, statement: str) -> float:
    """Seconds that an interpreter takes for an import."""
    began = time.perf_counter()
    with servers.started_on_one_core():
        environment = environment_in(image.config, image.root)
        process = await asyncio.create_subprocess_exec(*PYTHON, "-c", statement, env=environment)
    assert await process.wait() == 0
    return time.perf_counter() - began
