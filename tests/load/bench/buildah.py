"""buildah with the same content: an image of layers as ours but for the manifest's, and that as a layout."""

import asyncio
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uv

_CONTAINERFILE = """\
FROM scratch
COPY dependencies/ /opt/so1s/dependencies/
COPY runtime/ /opt/so1s/runtime/
COPY model/ /opt/so1s/model/
"""


class MissingPeerError(Exception):
    """buildah is not here; the message is the reason."""


@dataclass(frozen=True)
class Times:
    """Seconds."""

    build: float
    push: float
    """From its store to a layout in a directory, compressed by zstd as ours is."""
    install: float = 0.0
    """What was installed for it before."""


class Buildah:
    """A store of images, and the files that one is built of."""

    def __init__(self, directory: Path) -> None:
        """Make an empty one.

        Raises:
            MissingPeerError: there is no buildah.
        """
        program = shutil.which("buildah")
        if program is None:
            raise MissingPeerError("buildah is not installed")
        self._program = program
        self._directory = directory
        self._context = directory / "context"
        self._context.mkdir(parents=True)
        (self._context / "Containerfile").write_text(_CONTAINERFILE)

    @property
    def version(self) -> str:
        """Such as `buildah 1.28.2`."""
        said = subprocess.check_output([self._program, "--version"], text=True)
        return said.partition(" (")[0].replace(" version", "")

    def put(self, **trees: Path) -> None:
        """Copy the trees that become layers, named `dependencies`, `runtime` and `model`."""
        for name, tree in trees.items():
            shutil.rmtree(self._context / name, ignore_errors=True)
            shutil.copytree(tree, self._context / name)

    async def install(self, lock: Path) -> float:
        """Install and compile the libraries anew, as uv does best, from its cache; returns the seconds."""
        target = self._context / "dependencies"
        shutil.rmtree(target, ignore_errors=True)
        what = ["--require-hashes", "--no-deps", f"--requirement={lock}", f"--target={target}"]
        how = [f"--python={sys.executable}", "--compile-bytecode"]
        return await asyncio.to_thread(_timed, [uv.find_uv_bin(), "pip", "install", *how, *what])

    async def build(self) -> Times:
        """Build with the layers that the store has, and write the layout."""
        built = await asyncio.to_thread(
            self._run, "build", "--layers", "--isolation=chroot", "--tag=model", str(self._context)
        )
        layout = f"oci:{self._directory}/layout:model"
        return Times(
            built, await asyncio.to_thread(self._run, "push", "--compression-format=zstd", "model", layout)
        )

    async def forget(self) -> None:
        """Remove all images and layers, as on a machine that never built."""
        await asyncio.to_thread(self._run, "rmi", "--all", "--force")
        shutil.rmtree(self._directory / "layout", ignore_errors=True)

    def _run(self, verb: str, *arguments: str) -> float:
        store = [
            f"--root={self._directory}/root",
            f"--runroot={self._directory}/run",
            "--storage-driver=overlay",
        ]
        return _timed([self._program, *store, verb, *arguments])


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started
