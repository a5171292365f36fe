"""An image rebuilt because its model changed, beside what the bytes themselves take.

The libraries are there, and the model's signature is known: to load a library takes what the library takes.
"""

import asyncio
import hashlib
import os
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import zstandard
from onnx import TensorProto, helper, numpy_helper

from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.archive import Limits
from services.builder.runtime import stage
from services.builder.steps import World
from so1s.store import Store
from tests.builder.conftest import EmptyDependencies, HeldInspector, Shop
from tests.load.bench.figure import Figure
from tests.load.bench.measure import interleaved

_ROWS, _COLUMNS = 1024, 16_384
_MEGABYTES = _ROWS * _COLUMNS * 4 / 1e6
_ROUNDS = 5
_ZSTD_LEVEL = 3


async def measure(directory: Path) -> list[Figure]:
    store = Store(f"sqlite+aiosqlite:///{directory}/builder.db", producer="builder")
    await store.migrate("services.builder.migrations")
    shop = Shop(store, directory / "shop", HeldInspector(), _world(directory / "shop"))
    ours = partial(_rebuild, shop, count(1))
    limit = partial(asyncio.to_thread, _hash_and_write, directory)
    rebuilt, bare = await interleaved(ours, limit, rounds=_ROUNDS)
    await store.close()
    name = f"rebuild an image whose model of {_MEGABYTES:.0f} MB changed"
    return [Figure(name, "s", median(rebuilt), "sha256 + zstd + write of its bytes", median(bare))]


def _world(directory: Path) -> World:
    images = LayoutImages(directory / "images")
    return World(
        artifacts={"file": FileArtifacts()},
        dependencies=EmptyDependencies(images, directory / "dependencies"),
        inspector=HeldInspector(),
        images=images,
        runtime=stage(directory / "runtime", Path(sys.executable)),
        prefixes=[f"file://{directory}/artifacts/{{account}}/"],
        limits=Limits(artifact_bytes=10**9, unpacked_bytes=10**9, files=100, ratio=50),
    )


async def _rebuild(shop: Shop, versions: count) -> float:
    version = str(next(versions))
    await shop.say(shop.uploaded(version, data=_trained(), name=f"{version}.onnx"))
    started = time.perf_counter()
    await shop.worker().work()
    seconds = time.perf_counter() - started
    assert await shop.state(version) == "built"
    return seconds


def _hash_and_write(directory: Path) -> float:
    artifact, packed = directory / "limit.onnx", directory / "limit.zst"
    artifact.write_bytes(_trained())
    started = time.perf_counter()
    data = artifact.read_bytes()
    hashlib.sha256(data).hexdigest()
    with packed.open("wb") as file:
        file.write(zstandard.compress(data, _ZSTD_LEVEL))
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


def _trained() -> bytes:
    """A model of one dense layer, whose weights are as a training leaves them: new, and hard to compress."""
    weights = np.random.default_rng().normal(size=(_ROWS, _COLUMNS)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, _ROWS])
    answered = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, _COLUMNS])
    graph = helper.make_graph([node], "dense", [given], [answered], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph).SerializeToString()
