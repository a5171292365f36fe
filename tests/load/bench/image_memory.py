"""How much memory the build of a large model takes, beside a small one: each in a process of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.images_layout import LayoutImages
from services.builder.attestor import Attestor
from services.builder.disk import Disk
from services.builder.domain.archive import Limits
from services.builder.steps import World
from so1s.events import Artifact, ModelUploaded
from so1s.store import Store
from tests.builder.shop import EmptyDependencies, HeldInspector, Shop
from tests.load.bench.figure import Figure

_LARGE_BYTES, _SMALL_BYTES = 2 * 10**9, 10**7
_BLOCK_BYTES = 2**20
_HEAD = b"\x08\x0a\x42\x02\x10\x15\x3a"  # ONNX: IR version 10, operators 21, and a graph of so many bytes


async def measure(directory: Path) -> Sequence[Figure]:
    large, small = [
        await asyncio.to_thread(_in_a_process, directory / str(size), size)
        for size in (_LARGE_BYTES, _SMALL_BYTES)
    ]
    name = f"peak memory of the build of a model of {_LARGE_BYTES / 1e9:g} GB"
    return [Figure(name, "MiB", large, f"the same, of {_SMALL_BYTES / 1e6:g} MB", small)]


def _in_a_process(directory: Path, size: int) -> float:
    command = [sys.executable, "-m", "tests.load.bench.image_memory", str(directory), str(size)]
    return float(subprocess.check_output(command, text=True).splitlines()[-1])


async def _build(directory: Path, size: int) -> float:
    """MiB that this process had at most."""
    store = Store(f"sqlite+aiosqlite:///{directory}/builder.db", producer="builder")
    await store.migrate("services.builder.migrations")
    shop = Shop(store, directory, HeldInspector(), _world(directory))
    path = directory / "artifacts/risk/model.onnx"
    _write(path, size)
    artifact = Artifact(uri=f"file://{path}")
    await shop.say(ModelUploaded(account="risk", model="large", version="1", artifact=artifact))
    await shop.worker(deadline_seconds=3600).work()
    assert await shop.state("1") == "built"
    await store.close()
    return _peak_mebibytes()


def _peak_mebibytes() -> float:
    """Of this program alone: the kernel counts to `ru_maxrss` what the process that started it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1024


def _world(directory: Path) -> World:
    images = LayoutImages(directory / "images")
    (directory / "runtime").mkdir()
    return World(
        artifacts={"file": FileArtifacts()},
        dependencies=EmptyDependencies(images, directory / "dependencies"),
        inspector=HeldInspector(),
        images=images,
        runtime=directory / "runtime",
        prefixes=[f"file://{directory}/artifacts/{{account}}/"],
        limits=Limits(artifact_bytes=10**11, unpacked_bytes=10**11, files=100, ratio=50),
        disk=Disk([directory], directory / "work", [images], None, in_use_seconds=60),
        attestor=Attestor(None, "https://builder.example"),
    )


def _write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(_HEAD + _varint(size))
        block = os.urandom(min(_BLOCK_BYTES, size))
        for written in range(0, size, len(block)):
            file.write(block[: size - written])


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(each | 0x80 for each in groups[:-1]), groups[-1]])


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True)
    sys.stdout.write(f"{asyncio.run(_build(where, int(sys.argv[2])))}\n")
