"""Libraries as uv installs them from a lock file.

A set of libraries is installed and packed once for each lock file and platform, in a directory of its own:

    KEY/site-packages/   what models are tried with
    KEY/layer.json       the layer that the image store holds
    KEY/installed        where no image holds them, and there is no layer
    KEY.lock             held while one builder installs; the others wait
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from filelock import AsyncFileLock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from services.builder.adapters.locker_uv import UvLocker
from services.builder.adapters.resolution import TORCH, TORCH_INDEX, Wanted
from services.builder.adapters.source_builder import SourceBuilder
from services.builder.adapters.uv_command import PlainUv, Uv, heard, last_words
from services.builder.adapters.wheels import Wheels
from services.builder.bytecode import compile_tree
from services.builder.domain.failure import BuildError
from services.builder.domain.image import DEPENDENCIES_ROOT, Layer
from services.builder.domain.lock import Lock
from services.builder.layers import pack, unpack
from services.builder.packed import OwnLayers
from services.builder.ports import Dependencies, Images, Log, PackedLayers, Tools
from services.builder.stop import in_thread
from so1s.errors import TemporaryError
from so1s.requirements import Requirements

_RECIPE = "4"
"""Part of each key: a new number packs anew when the way of packing changes."""
_OF_THIS_MACHINE = ("direct_url.json", "uv_cache.json")


class UvDependencies:
    """Installs with uv, which takes what it has in its cache and the rest from the configured index."""

    def __init__(
        self,
        directory: Path,
        images: Images,
        *,
        python: Path,
        platform: str,
        glibc: str | None = None,
        uv: Uv | None = None,
        sources: SourceBuilder | None = None,
        packed: PackedLayers | None = None,
        torch_cpu_index: str | None = None,
    ) -> None:
        """Make a source of libraries.

        Args:
            directory: where they are kept on this machine.
            images: takes their layers.
            python: the interpreter that will import them.
            platform: what that interpreter runs on, as images declare it.
            glibc: the newest C library, such as `2.28`, that a wheel may ask for: those of an image that
                runs elsewhere do not depend on the builder's own. None for this machine's.
            uv: how it is run; None for as this process itself.
            sources: builds packages from source; None where nothing is.
            packed: what builders of other machines share with this one; None where there are none.
            torch_cpu_index: the URL of an index of PyTorch for the CPU alone; None where there is none.
        """
        self.platform = platform
        self._directory = directory.absolute()
        self._images = images
        self._python = python
        self._target = _target(platform, glibc) if glibc else ()
        self._uv = uv or PlainUv()
        self._packed = packed or OwnLayers()
        self._torch_cpu_index = torch_cpu_index
        self._wheels = Wheels(self._directory / "wheels", platform, self._uv, sources)
        self._locker = UvLocker(
            self._directory / "locks", platform, self._uv, self._wheels, python=python, target=self._target
        )

    async def lock(
        self,
        asked: Requirements,
        needed: Sequence[str],
        base: Lock,
        log: Log,
        *,
        builds: bool = False,
        on_cpu: bool = False,
    ) -> Lock:
        """See `ports.DependencySource`."""
        index = self._torch_cpu_index if on_cpu and _names_torch(asked, needed) else None
        return await self._locker.lock(Wanted(asked, (*needed,), base, index), log, builds=builds)

    async def on_cpu(self, lock: Lock, needed: Sequence[str], log: Log) -> Lock:
        """See `ports.DependencySource`."""
        version = dict(lock.hashes.keys()).get(TORCH)
        if version is None or self._torch_cpu_index is None:
            return lock
        asked, name = Requirements((f"{TORCH}=={version}",)), f"{lock.name} for the CPU"
        return await self._locker.lock(Wanted(asked, (*needed,), lock, self._torch_cpu_index, name), log)

    async def provide(self, lock: Lock, log: Log) -> Dependencies:
        """See `ports.DependencySource`."""
        home = self._directory / self._key(lock)
        if layer := await self._present(home):
            return Dependencies(lock, layer, home / "site-packages", cached=True)
        self._directory.mkdir(parents=True, exist_ok=True)
        async with AsyncFileLock(home.with_suffix(".lock"), poll_interval=0.1):
            if layer := await self._present(home):
                return Dependencies(lock, layer, home / "site-packages", cached=True)
            async with self._packed.turn(home.name, log):
                if not (home / "site-packages").exists() and await self._take(home, log):
                    layer = await self._present(home)
                if layer is not None:
                    return Dependencies(lock, layer, home / "site-packages", cached=True)
                if not (home / "site-packages").exists():
                    await self._install(lock, home, log)
                layer = await self._pack(home)
                await self._packed.tell(home.name, layer)
        return Dependencies(lock, layer, home / "site-packages", cached=False)

    async def install(self, lock: Lock, log: Log) -> Tools:
        """See `ports.DependencySource`."""
        home = self._directory / self._key(lock)
        self._directory.mkdir(parents=True, exist_ok=True)
        async with AsyncFileLock(home.with_suffix(".lock"), poll_interval=0.1):
            if not (home / "site-packages").exists():
                await self._install(lock, home, log)
            # What was broken off may have left some modules without their bytecode.
            if not (home / "installed").exists() and not (home / "layer.json").exists():
                await in_thread(compile_tree, self._python, home / "site-packages", DEPENDENCIES_ROOT)
            (home / "installed").touch()
        os.utime(home)
        return Tools(lock, home / "site-packages")

    def _key(self, lock: Lock) -> str:
        parts = (_RECIPE, self.platform, *self._target, lock.sha256)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def _present(self, home: Path) -> Layer | None:
        try:
            layer = Layer(**json.loads((home / "layer.json").read_bytes()))
            os.utime(home)  # asked for: what nobody asks for is removed by and by
        except FileNotFoundError:
            return None
        return layer if await self._images.has(layer) else None

    async def _install(self, lock: Lock, home: Path, log: Log) -> None:
        """Install beside `home`, then rename: a crash leaves no half of it."""
        with self._uv.directory(self._directory, prefix="installing-") as directory:
            target, file = directory / "site-packages", directory / "lock.txt"
            made = {each.pin: await self._wheels.of(each, log) for each in lock.origins}
            file.write_text(await asyncio.to_thread(_with_wheels, lock, made, directory))
            said = last_words()
            command = self._command(file, target, lock.torch_index)
            code = await self._uv.run(command, directory=directory, on_line=heard(said, log))
            if code != 0:
                raise _error(f"the libraries of {lock.name} cannot be installed", said)
            await asyncio.to_thread(_settle, target, home / "site-packages")

    def _command(self, lock: Path, target: Path, torch_index: str | None) -> list[str]:
        return [
            *("pip", "install", "--require-hashes", "--no-deps"),
            "--no-build",  # a source distribution would run its author's code here
            "--link-mode=hardlink",  # hundreds of megabytes; uv copies where it cannot link
            *("--python", str(self._python.resolve())),
            *self._target,
            *(_beside_others(torch_index) if torch_index else ()),
            *("--target", str(target)),
            *("--requirement", str(lock)),
        ]

    async def _take(self, home: Path, log: Log) -> bool:
        """Take a layer from the image store, if another builder packed it and it is still there."""
        layer = await self._packed.known(home.name)
        if layer is None or not await self._images.has(layer):
            return False
        with tempfile.TemporaryDirectory(dir=self._directory, prefix="installing-") as temporary:
            file, tree = Path(temporary, "layer"), Path(temporary, "site-packages")
            await self._images.fetch(layer, file)
            await in_thread(unpack, layer, file, DEPENDENCIES_ROOT, tree)
            _enter(tree, home, layer)
        log(f"another builder packed these libraries: {layer.digest} was taken from the image store")
        return True

    async def _pack(self, home: Path) -> Layer:
        packed = home / "layer"
        packed.unlink(missing_ok=True)
        await in_thread(compile_tree, self._python, home / "site-packages", DEPENDENCIES_ROOT)
        layer = await in_thread(pack, home / "site-packages", DEPENDENCIES_ROOT, packed)
        await self._images.add(layer, packed)
        _describe(home, layer)
        return layer


def _target(platform: str, glibc: str) -> tuple[str, ...]:
    """Whose wheels uv takes: `linux-x86_64-cp311` and `2.28` are Python 3.11 on x86_64-manylinux_2_28."""
    _system, machine, abi = platform.split("-", 2)
    version = abi.removeprefix("cp")
    return (
        *("--python-version", f"{version[0]}.{version[1:]}"),
        *("--python-platform", f"{machine}-manylinux_{glibc.replace('.', '_')}"),
    )


def _names_torch(asked: Requirements, needed: Sequence[str]) -> bool:
    """Whether PyTorch is asked for in whatever build there is.

    Hashes are of PyPI's files, unless the version names another build, as `+cpu` does.
    """
    said = map(Requirement, (*asked.packages, *needed))
    torch = [each for each in said if canonicalize_name(each.name) == TORCH]
    return any(TORCH not in asked.hashes or "+" in str(each.specifier) for each in torch)


def _beside_others(torch_index: str) -> tuple[str, ...]:
    """Options of uv for one index more.

    A library that several indexes have is taken from the one with the file that the lock has the hash of.
    """
    return ("--index", f"{TORCH_INDEX}={torch_index}", "--index-strategy", "unsafe-best-match")


def _error(problem: str, said: Sequence[str]) -> Exception:
    """What a failed installation is: the lock is ours and was tried, so that an index or a disk may mend.

    Bytes that are not those of the lock stay what they are.
    """
    if any("hash mismatch" in line.lower() for line in said):
        return BuildError("dependencies", f"{problem}: a file has another checksum than the lock says")
    return TemporaryError(
        f"{problem} now: {next(filter(str.strip, reversed(said)), 'uv said nothing').strip()}"
    )


def _enter(tree: Path, home: Path, layer: Layer) -> None:
    home.mkdir(exist_ok=True)
    tree.rename(home / "site-packages")
    _describe(home, layer)


def _describe(home: Path, layer: Layer) -> None:
    described = home / "layer.json.new"
    described.write_text(json.dumps(asdict(layer)))
    described.replace(home / "layer.json")


def _with_wheels(lock: Lock, made: Mapping[str, Path], directory: Path) -> str:
    """The lock as it is installed: wheels that were made are taken from a directory that uv sees."""
    if not made:
        return lock.text
    lines: list[str] = []
    pin = ""
    for line in lock.text.splitlines():
        if not line.startswith(("#", " ")):
            pin = line.rstrip("\\").strip()
            if wheel := made.get(pin):
                place = Path(shutil.copy(wheel, directory))
                with place.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                lines += [f"{pin.partition('==')[0]} @ {place.as_uri()} --hash=sha256:{sha256}"]
        if pin not in made:
            lines.append(line)
    return "\n".join([*lines, ""])


def _settle(target: Path, site_packages: Path) -> None:
    """Put an installation in its place, without what tells of this machine.

    Scripts start with the path of this interpreter; of a file that was made here, uv notes place and time.
    """
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for name in _OF_THIS_MACHINE:
        for path in target.glob(f"*.dist-info/{name}"):
            path.unlink()
    for record in target.glob("*.dist-info/RECORD"):
        text = _without_scripts(record.read_text())
        record.unlink()  # it may be a hard link into uv's cache
        record.write_text(text)
    site_packages.parent.mkdir(exist_ok=True)
    try:
        target.rename(site_packages)
    except OSError:  # from another file system; whoever finds it finds all of it
        copied = site_packages.with_name("copying")
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(target, copied, symlinks=True).rename(site_packages)


def _without_scripts(record: str) -> str:
    rows = csv.reader(io.StringIO(record))
    kept = sorted(
        row
        for row in rows
        if not row[0].startswith(("bin/", "../../bin/")) and not row[0].endswith(_OF_THIS_MACHINE)
    )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    return text.getvalue()
