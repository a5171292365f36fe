"""Models are tried by the runtime's own check, in a process with its own libraries and limits.

What the check accepts is what a replica accepts. The process is a child of a warm one, `inspection.server`:
to import scikit-learn takes longer than all the rest of a build. Where bubblewrap works, the warm one is in a
sandbox without any model, and each child in an enclosure of its own with one model:
docs/decisions/0023-what-a-model-sees-while-it-is-tried.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from services.builder.adapters.bubblewrap import INSPECTION, Bubblewrap
from services.builder.adapters.command import lines
from services.builder.adapters.inspection import places
from services.builder.adapters.lending import lend
from services.builder.adapters.sent import Sent
from services.builder.adapters.warm_process import NotStartedError, WarmProcess, lent_of
from services.builder.domain.compilation import Compilation
from services.builder.domain.failure import BuildError
from services.builder.ports import Libraries
from so1s.events import Signature
from so1s.events.model import Format

_WARM: dict[str, tuple[str, ...]] = {
    "onnx": (),  # onnxruntime starts a thread as it is imported, which a child would not have
    "onnx-gpu": (),
    "skops": ("skops.io",),
    "pickle": ("sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"),
    "xgboost": ("xgboost",),
    "xgboost-gpu": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "keras": ("so1s_runtime.loaders.tensorflow_library", "keras"),
    "tensorflow": ("so1s_runtime.loaders.tensorflow_library",),
    "skops-to-onnx": ("skops.io", "so1s_compiler.sklearn"),
    "xgboost-to-onnx": ("so1s_compiler.xgboost",),
    "lightgbm-to-onnx": ("lightgbm", "so1s_compiler.lightgbm"),
    "keras-to-onnx": ("so1s_runtime.loaders.tensorflow_library", "keras", "so1s_compiler.keras"),
    "torch-to-onnx": (
        "so1s_runtime.loaders.torch_library",
        "torch.export",
        "onnxscript",
        "so1s_compiler.torch",
    ),
    "torch": ("so1s_runtime.loaders.torch_library", "torch.export"),
    "torchscript": ("so1s_runtime.loaders.torch_library",),
    "transformers": ("so1s_runtime.loaders.torch_library", "so1s_runtime.loaders.transformers_library"),
}
"""The modules that take long to import, by the name of a lock."""
_Place = tuple[Path, int, int]
"""Site packages: their path, and the device and inode that are there."""
_CHECK, _COMPILE = "so1s_runtime.check", "so1s_compiler.compile"
_MIB = 2**20
_LOADED_BYTES_PER_SECOND = 25 * _MIB
"""Of a disk that gives twice as much."""
_SHOWN_LINES = 5
_SHOWN_CHARACTERS = 4000
_LONGEST_ANSWER_BYTES = 4 * _MIB
"""A signature is one line, of some 60 bytes for each column of a table."""
_MOST_WARM = 8
"""Warm processes at once, of some hundred MB each: user code brings libraries of its own without end."""
_NOBODY = (places.NOBODY, places.TEMPORARY)
_SERVER = ("-S", "-s", "-P", "-m", "so1s_inspection.server")
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "PATH": os.defpath,
    "PYTHONDONTWRITEBYTECODE": "1",
}
_SANDBOX_ENVIRONMENT = _ENVIRONMENT | {
    "HOME": places.TEMPORARY,
    "PYTHONPATH": places.CODE,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one model may use while it is tried; without a sandbox only time and memory are bound."""

    seconds: float = 120
    """Beside those that a large model takes, see `of`."""
    memory_mib: int = 8192
    """Address space of each process, and in the sandbox memory of all together; beside a model's own."""
    temporary_mib: int = 1024
    processes: int = 512
    """Threads count, too."""
    processors: int = 4

    def of(self, model_bytes: int) -> Bounds:
        """Those of a model of this size: it is read twice, and libraries hold it twice while they load it."""
        return replace(
            self,
            seconds=self.seconds + model_bytes / _LOADED_BYTES_PER_SECOND,
            memory_mib=self.memory_mib + 2 * model_bytes // _MIB,
        )


class ProcessInspector:
    """Tries models in processes of their own."""

    def __init__(
        self,
        *,
        directory: Path,
        python: Path,
        runtime: Path,
        bounds: Bounds,
        sandbox: Bubblewrap | None,
        most_warm: int = _MOST_WARM,
    ) -> None:
        """Make an inspector.

        Args:
            directory: of its own, where its processes write; what an earlier one left there is removed.
            python: the interpreter that the image will run on.
            runtime: a directory that holds the package `so1s_runtime` and nothing else.
            bounds: for one model.
            sandbox: what its processes are in; None where none works.
            most_warm: sets of libraries that are kept imported, unless more are in use at once.
        """
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._directory = directory
        self._python = python
        self._runtime = runtime
        self._bounds = bounds
        self._sandbox = sandbox
        self._most_warm = most_warm
        self._starting = asyncio.Lock()
        self._warm: dict[_Place, WarmProcess] = {}
        """The latest used last. Each ends with its control socket, so with this one at the latest."""
        self._in_use: Counter[WarmProcess] = Counter()
        self.close = weakref.finalize(self, _close, self._warm)
        """Ends the warm processes, as happens anyway when the inspector is collected."""
        if sandbox is None:
            (directory / "so1s_inspection").symlink_to(INSPECTION)
        else:
            (directory / "passwd").write_text("nobody:x:{0}:{0}::{1}:/bin/false\n".format(*_NOBODY))

    @property
    def isolates(self) -> bool:
        """See `ports.Inspector`."""
        return self._sandbox is not None

    async def signature(self, directory: Path, dependencies: Libraries) -> Signature:
        """See `ports.Inspector`."""
        return _signature(await self._check(["signature"], directory, dependencies))

    async def check(self, directory: Path, dependencies: Libraries) -> Signature:
        """See `ports.Inspector`."""
        return _signature(await self._check(["model"], directory, dependencies))

    async def compile(self, directory: Path, into: Path, tools: Libraries) -> Compilation:
        """See `ports.Inspector`."""
        with into.open("xb") as file:
            found = await self._check([], directory, tools, Sent(file, self._bounds.memory_mib * _MIB))
        try:
            return Compilation.model_validate(found)
        except ValidationError as error:
            raise BuildError("format", _cut(f"the compiler answers nonsense: {error}")) from error

    async def warm(self, dependencies: Libraries) -> None:
        """See `ports.Inspector`."""
        async with self._connected(dependencies):
            pass

    async def _check(
        self, command: list[str], model: Path, dependencies: Libraries, sent: Sent | None = None
    ) -> Any:
        """What a command found; the model's path is its last argument.

        It is the runtime's check; where a file shall be sent, the compiler.
        """
        output = await self._run(command, model, dependencies, sent)
        if not _is_json(output[-1:]) and not self._is_running(dependencies):
            # its warm process was killed, maybe by another
            output = await self._run(command, model, dependencies, sent)
        return _answer(output)

    async def _run(
        self, command: list[str], model: Path, dependencies: Libraries, sent: Sent | None
    ) -> list[str]:
        """The last lines that a check wrote, in a child of the warm process."""
        output: list[str] = []
        bounds = self._bounds.of(await asyncio.to_thread(_size_of, model))
        try:
            async with (
                asyncio.timeout(bounds.seconds),
                self._connected(dependencies) as (warm, reader, writer),
                self._request(command, model, warm, bounds) as request,
            ):
                request["module"] = _CHECK if sent is None else _COMPILE
                writer.write(json.dumps(request).encode() + b"\n")
                child = int(await reader.readline())
                with contextlib.nullcontext() if self._sandbox else _killed_at_the_end(child):
                    said = lines(reader, longest_bytes=_LONGEST_ANSWER_BYTES)
                    async for line in said if sent is None else sent.without(said):
                        output = [*output[1 - _SHOWN_LINES :], line]
        except TimeoutError as error:
            raise BuildError("format", f"the model did not load within {bounds.seconds:g} s") from error
        except (OSError, ValueError) as error:  # it died before or while it spoke
            output.append(repr(error))
        return output

    @asynccontextmanager
    async def _request(
        self, command: list[str], model: Path, warm: WarmProcess, bounds: Bounds
    ) -> AsyncGenerator[dict[str, Any], None]:
        """What a child is told; in the sandbox it sees the model while this lasts."""
        if self._sandbox is None:
            yield {"arguments": [*command, str(model)], "limits": _limits(bounds)}
            return
        async with lend(model, warm.lent) as lent:
            yield {"arguments": [*command, places.MODEL], "limits": _limits(bounds), "lent": lent}

    def _is_running(self, dependencies: Libraries) -> bool:
        warm = self._warm.get(_place(dependencies.site_packages))
        return warm is not None and warm.runs

    @asynccontextmanager
    async def _connected(
        self, dependencies: Libraries
    ) -> AsyncGenerator[tuple[WarmProcess, asyncio.StreamReader, asyncio.StreamWriter], None]:
        """A connection to a new child of the warm process of some libraries."""
        warm = await self._running(dependencies)
        self._in_use[warm] += 1
        try:
            async with warm.connection() as (reader, writer):
                yield warm, reader, writer
        finally:
            self._in_use -= Counter({warm: 1})  # which forgets what is not in use

    async def _running(self, dependencies: Libraries) -> WarmProcess:
        """The warm process of some libraries, started where none is running."""
        key = _place(dependencies.site_packages)
        async with self._starting:
            if not self._is_running(dependencies):
                if killed := self._warm.pop(key, None):
                    killed.close()
                self._end_idle()
                self._warm[key] = await self._start(dependencies)
            self._warm[key] = self._warm.pop(key)
            return self._warm[key]

    def _end_idle(self) -> None:
        """Make room for one more warm process, where there are many; those of removed libraries go anyway."""
        idle = [key for key, warm in self._warm.items() if not self._in_use[warm]]
        idle.sort(key=lambda key: _place(key[0]) == key)
        removed = sum(_place(key[0]) != key for key in idle)
        for key in idle[: max(removed, len(self._warm) - self._most_warm + 1)]:
            self._warm.pop(key).close()

    async def _start(self, dependencies: Libraries) -> WarmProcess:
        def command(home: Path, control: int) -> tuple[list[str], dict[str, str]]:
            place = "sandbox" if self._sandbox else "host"
            libraries = self._libraries(dependencies)
            arguments = [*_SERVER, str(control), place, libraries, *_imported(dependencies)]
            if self._sandbox is None:
                return [str(self._python), *arguments], self._environment(home)
            shown = self._shown(home, dependencies)
            return self._sandbox.command(arguments, shown=shown, environment=_SANDBOX_ENVIRONMENT), {}

        try:
            return await WarmProcess.start(self._directory, command)
        except NotStartedError as error:
            said = " ".join(str(error).splitlines()[-_SHOWN_LINES:])
            raise BuildError("dependencies", f"the libraries cannot be imported: {said}") from error

    def _libraries(self, dependencies: Libraries) -> str:
        if self._sandbox:
            return f"{places.RUNTIME}:{places.DEPENDENCIES}"
        return f"{self._runtime}:{dependencies.site_packages}"

    def _environment(self, home: Path) -> dict[str, str]:
        return _ENVIRONMENT | {"HOME": str(home), "PYTHONPATH": str(self._directory)}

    def _shown(self, home: Path, dependencies: Libraries) -> dict[str, Path]:
        return {
            f"{places.CODE}/so1s_inspection": INSPECTION,
            places.RUNTIME: self._runtime,
            places.DEPENDENCIES: dependencies.site_packages,
            places.LENT: lent_of(home),
            "/etc/passwd": self._directory / "passwd",
        }


def _imported(dependencies: Libraries) -> tuple[str, ...]:
    """What the warm process imports; of packages that a model's author chose, it is nothing."""
    name = dependencies.lock.name
    return ("so1s_runtime.check", *_WARM.get(name, ())) if name in {*get_args(Format), *_WARM} else ()


def _place(site_packages: Path) -> _Place:
    """Libraries that were removed and installed again are others: a sandbox has those that it began with.

    While it has them, no other directory gets the same inode.
    """
    try:
        found = site_packages.stat()
    except FileNotFoundError:
        return site_packages, 0, 0
    return site_packages, found.st_dev, found.st_ino


def _close(warm: dict[_Place, WarmProcess]) -> None:
    for each in warm.values():
        each.close()


@contextlib.contextmanager
def _killed_at_the_end(child: int) -> Generator[None, None, None]:
    """Kill a child and its own children: they may outlive their answer."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)


def _limits(bounds: Bounds) -> dict[str, Any]:
    """As `inspection.server` takes them."""
    said = asdict(bounds)
    return {
        "memory_bytes": said.pop("memory_mib") * _MIB,
        "temporary_bytes": said.pop("temporary_mib") * _MIB,
        **said,
    }


def _size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _answer(output: list[str]) -> Any:
    """What the check found: the last line of its output. A process that died is the model's fault."""
    if not _is_json(output[-1:]):
        raise BuildError("format", f"the model cannot be loaded: {' '.join(map(_cut, output))}")
    found = json.loads(output[-1])
    if isinstance(found, dict) and "error" in found:
        raise BuildError("format", _cut(str(found["error"])))
    return found


def _signature(found: Any) -> Signature:
    try:
        return Signature.model_validate(found)
    except ValidationError as error:
        raise BuildError("format", _cut(f"the model's signature cannot be served: {error}")) from error


def _cut(words: str) -> str:
    """Words of a model, which may have any length, as an event can tell them."""
    return words if len(words) <= _SHOWN_CHARACTERS else f"{words[:_SHOWN_CHARACTERS]}…"


def _is_json(last: list[str]) -> bool:
    try:
        json.loads("".join(last))
    except ValueError:
        return False
    return True
