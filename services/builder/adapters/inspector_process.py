"""Models are tried by the runtime's own check, in a process with its own libraries and limits.

What the check accepts is what a replica accepts. The process is a child of a warm one, `inspection_server`:
to import scikit-learn takes longer than all the rest of a build.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.builder.adapters import inspection_server
from services.builder.adapters.command import lines, run
from services.builder.domain.failure import BuildError
from services.builder.ports import Dependencies
from so1s.events import Signature
from so1s.events.model import Format

_WARM: dict[str, tuple[str, ...]] = {
    "onnx": (),  # onnxruntime starts a thread as it is imported, which a child would not have
    "skops": ("skops.io",),
    "pickle": ("sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
}
"""The modules that take long to import, by the name of a lock."""
_SHOWN_LINES = 5


class ProcessInspector:
    """Tries models in processes of their own."""

    def __init__(
        self, *, directory: Path, python: Path, runtime: Path, seconds: float, memory_mib: int
    ) -> None:
        """Make an inspector.

        Args:
            directory: of its own, where its processes write; what an earlier one left there is removed.
            python: the interpreter that the image will run on.
            runtime: a directory that holds the package `so1s_runtime` and nothing else.
            seconds: for one model.
            memory_mib: address space for one model.
        """
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._directory = directory
        self._python = python
        self._runtime = runtime
        self._seconds = seconds
        self._memory_bytes = memory_mib * 2**20
        self._starting = asyncio.Lock()
        self._servers: dict[Path, socket.socket] = {}
        """By site packages: the warm process ends with its control socket, so with this one at the latest."""
        self.close = weakref.finalize(self, _close, self._servers)
        """Lets the warm processes end, as happens anyway when the inspector is collected."""

    async def signature(self, file: Path, model_format: Format, dependencies: Dependencies) -> Signature:
        """See `ports.Inspector`."""
        found = await self._check(["signature", model_format, str(file)], dependencies)
        try:
            return Signature.model_validate(found)
        except ValidationError as error:
            raise BuildError("format", f"the model's signature cannot be served: {error}") from error

    async def check(self, directory: Path, dependencies: Dependencies) -> None:
        """See `ports.Inspector`."""
        await self._check(["model", str(directory)], dependencies)

    async def warm(self, dependencies: Dependencies) -> None:
        """See `ports.Inspector`."""
        async with self._connected(dependencies):
            pass

    async def _check(self, arguments: list[str], dependencies: Dependencies) -> Any:
        output = await self._run(arguments, dependencies)
        if not _is_json(output[-1:]) and not self._is_running(dependencies):
            output = await self._run(arguments, dependencies)  # its warm process was killed, maybe by another
        return _answer(output)

    async def _run(self, arguments: list[str], dependencies: Dependencies) -> list[str]:
        """The last lines that a check wrote, in a child of the warm process."""
        request = {"memory_bytes": self._memory_bytes, "arguments": arguments}
        output: list[str] = []
        try:
            async with asyncio.timeout(self._seconds), self._connected(dependencies) as (reader, writer):
                writer.write(json.dumps(request).encode() + b"\n")
                child = int(await reader.readline())
                with _killed_at_the_end(child):
                    async for line in lines(reader):
                        output = [*output[1 - _SHOWN_LINES :], line]
        except TimeoutError as error:
            raise BuildError("format", f"the model did not load within {self._seconds:g} s") from error
        except (OSError, ValueError) as error:  # it died before or while it spoke
            output.append(repr(error))
        return output

    def _is_running(self, dependencies: Dependencies) -> bool:
        """Whether the warm process of some libraries lives: it never says anything until it ends."""
        control = self._servers.get(dependencies.site_packages)
        try:
            return control is not None and control.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    @asynccontextmanager
    async def _connected(
        self, dependencies: Dependencies
    ) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
        """A connection to the warm process of some libraries."""
        reader, writer = await self._connect(dependencies)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connect(self, dependencies: Dependencies) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the warm process, and start it where none is running."""
        key = dependencies.site_packages
        async with self._starting:
            if not self._is_running(dependencies):
                if killed := self._servers.pop(key, None):
                    killed.close()
                self._servers[key] = await self._start(dependencies)
            ours, theirs = socket.socketpair()
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            with theirs:
                socket.send_fds(self._servers[key], [b"\n"], [theirs.fileno()])
        return reader, writer

    async def _start(self, dependencies: Dependencies) -> socket.socket:
        """Start a warm process; answers the socket that brings it connections."""
        home = Path(tempfile.mkdtemp(dir=self._directory))
        command = [str(self._python), "-S", "-s", "-P", inspection_server.__file__]
        output: list[str] = []
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, home, ignore_errors=True)
            undo.callback(ours.close)
            with theirs:
                code = await run(
                    [*command, str(theirs.fileno()), *_WARM.get(dependencies.lock.name, ())],
                    environment=self._environment(home, dependencies),
                    directory=home,
                    on_line=output.append,
                    pass_descriptor=theirs.fileno(),
                )
            if code != 0:
                said = " ".join(output[-_SHOWN_LINES:])
                raise BuildError("dependencies", f"the libraries cannot be imported: {said}")
            undo.pop_all()
        return ours

    def _environment(self, home: Path, dependencies: Dependencies) -> dict[str, str]:
        return {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "PATH": os.defpath,
            "PYTHONPATH": f"{self._runtime}:{dependencies.site_packages}",
        }


def _close(servers: dict[Path, socket.socket]) -> None:
    for control in servers.values():
        control.close()


@contextlib.contextmanager
def _killed_at_the_end(child: int) -> Generator[None, None, None]:
    """Kill a child and its own children: they may outlive their answer."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)


def _answer(output: list[str]) -> Any:
    """What the check found: the last line of its output. A process that died is the model's fault."""
    if not _is_json(output[-1:]):
        raise BuildError("format", f"the model cannot be loaded: {' '.join(output)}")
    found = json.loads(output[-1])
    if isinstance(found, dict) and "error" in found:
        raise BuildError("format", str(found["error"]))
    return found


def _is_json(last: list[str]) -> bool:
    try:
        json.loads("".join(last))
    except ValueError:
        return False
    return True
