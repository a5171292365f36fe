"""Images built, beside what the bytes themselves take and beside buildah with the same content.

The model's signature is known: to load a library takes what the library takes.
"""

import asyncio
import hashlib
import os
import shutil
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import zstandard

from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.dependencies_uv import UvDependencies
from services.builder.adapters.images_layout import LayoutImages
from services.builder.attestor import Attestor
from services.builder.disk import Disk
from services.builder.domain.archive import Limits
from services.builder.locks import LOCKS
from services.builder.runtime import stage
from services.builder.steps import World
from so1s.store import Store
from tests.builder.shop import HeldInspector, Shop
from tests.load.bench import image_memory
from tests.load.bench.buildah import Buildah, MissingPeerError, Times
from tests.load.bench.figure import Figure
from tests.load.bench.image_model import MEGABYTES, trained
from tests.load.bench.measure import interleaved

_ROUNDS = 5
_COLD_ROUNDS = 3
_ZSTD_LEVEL = 3
_THREADS = os.cpu_count() or 1
_LIMIT = f"sha256 + zstd on {_THREADS} cores + write of its bytes"


async def measure(directory: Path) -> list[Figure]:
    store = Store(f"sqlite+aiosqlite:///{directory}/builder.db", producer="builder")
    await store.migrate("services.builder.migrations")
    shop = Shop(store, directory / "shop", HeldInspector(), _world(directory / "shop"))
    try:
        versions = count(1)
        await _build(shop, versions, trained())  # the libraries are in uv's cache and in a layer from now on
        figures = [await _rebuilt(shop, versions, directory)]
        try:
            peer = Buildah(directory / "buildah")
        except MissingPeerError as missing:
            figures.append(Figure("build an image", "s", 0, str(missing)))
        else:
            figures += await _beside(shop, versions, peer)
    finally:
        await store.close()
    return figures + await image_memory.measure(directory / "memory")


async def _rebuilt(shop: Shop, versions: count, directory: Path) -> Figure:
    ours = partial(_build_new, shop, versions)
    limit = partial(asyncio.to_thread, _hash_and_write, directory)
    rebuilt, bare = await interleaved(ours, limit, rounds=_ROUNDS)
    name = f"rebuild an image whose model of {MEGABYTES:.0f} MB changed"
    return Figure(name, "s", median(rebuilt), _LIMIT, median(bare))


async def _beside(shop: Shop, versions: count, peer: Buildah) -> list[Figure]:
    """Each gets the same libraries, inference server and model."""
    libraries = next((shop.directory / "dependencies").glob("*/site-packages"))
    peer.put(dependencies=libraries, runtime=shop.world.runtime)

    async def warm() -> Times:
        return await _theirs(peer, shop.directory)

    async def cold() -> Times:
        await peer.forget()
        install = await peer.install(LOCKS / "onnx.txt")
        return replace(await _theirs(peer, shop.directory), install=install)

    await cold()
    warm_ours, warm_theirs = await interleaved(partial(_build_new, shop, versions), warm, rounds=_ROUNDS)
    cold_ours, cold_theirs = await interleaved(
        partial(_build_from_nothing, shop, versions), cold, rounds=_COLD_ROUNDS
    )
    rebuilt = f"rebuild that image with {_megabytes(libraries):.0f} MB of libraries"
    from_nothing = "build it where no layer is there"
    all_of_it = median(each.install + each.build + each.push for each in cold_theirs)
    installed = f"uv, then {peer.version}, and the push: as ours does"
    return [
        *_figures(rebuilt, peer.version, warm_ours, warm_theirs),
        *_figures(from_nothing, peer.version, cold_ours, cold_theirs),
        Figure(from_nothing, "s", median(cold_ours), installed, all_of_it),
    ]


def _figures(name: str, peer: str, ours: list[float], theirs: list[Times]) -> list[Figure]:
    build = median(each.build for each in theirs)
    push = median(each.build + each.push for each in theirs)
    return [
        Figure(name, "s", median(ours), f"{peer} build --layers", build),
        Figure(name, "s", median(ours), f"{peer}, and the push to a layout, which ours includes", push),
    ]


async def _theirs(peer: Buildah, directory: Path) -> Times:
    tree = directory / "for-buildah"
    tree.mkdir(exist_ok=True)
    (tree / "model.onnx").write_bytes(trained())
    await asyncio.to_thread(peer.put, model=tree)
    await asyncio.to_thread(os.sync)
    return await peer.build()


def _world(directory: Path) -> World:
    images = LayoutImages(directory / "images")
    return World(
        artifacts={"file": FileArtifacts()},
        dependencies=_dependencies(directory / "dependencies", images),
        inspector=HeldInspector(),
        images=images,
        runtime=stage(directory / "runtime", Path(sys.executable)),
        prefixes=[f"file://{directory}/artifacts/{{account}}/"],
        limits=Limits(artifact_bytes=10**9, unpacked_bytes=10**9, files=100, ratio=50),
        disk=Disk([directory], directory / "work", [images], None, in_use_seconds=60),
        attestor=Attestor(None, "https://builder.example"),
    )


def _dependencies(directory: Path, images: LayoutImages) -> UvDependencies:
    platform = f"linux-x86_64-cp{sys.version_info.major}{sys.version_info.minor}"
    return UvDependencies(directory, images, python=Path(sys.executable), platform=platform)


async def _build_new(shop: Shop, versions: count) -> float:
    return await _build(shop, versions, trained())


async def _build_from_nothing(shop: Shop, versions: count) -> float:
    """In a store without a layer; uv has the libraries in its cache."""
    fresh = shop.directory / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    images = LayoutImages(fresh / "images")
    dependencies = _dependencies(fresh / "dependencies", images)
    world = replace(shop.world, images=images, dependencies=dependencies)
    return await _build(replace(shop, world=world), versions, trained())


async def _build(shop: Shop, versions: count, model: bytes) -> float:
    await asyncio.to_thread(os.sync)  # what the one before left to be written is none of its business
    version = str(next(versions))
    await shop.say(shop.uploaded(version, data=model, name=f"{version}.onnx"))
    started = time.perf_counter()
    await shop.worker(deadline_seconds=3600).work()
    seconds = time.perf_counter() - started
    assert await shop.state(version) == "built"
    return seconds


def _hash_and_write(directory: Path) -> float:
    artifact, packed = directory / "limit.onnx", directory / "limit.zst"
    artifact.write_bytes(trained())
    started = time.perf_counter()
    data = artifact.read_bytes()
    hashlib.sha256(data).hexdigest()
    with packed.open("wb") as file:
        file.write(zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=_THREADS).compress(data))
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


def _megabytes(tree: Path) -> float:
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) / 1e6
