"""Models are tried by `python -m so1s_runtime.check`, in a process with its own libraries and limits."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import deque
from pathlib import Path

from pydantic import ValidationError

from services.builder.adapters.command import run
from services.builder.domain.failure import BuildError
from services.builder.ports import Dependencies
from so1s.events import Signature
from so1s.events.model import Format

# A system without a limit on address space, such as macOS, goes without it.
_LIMITED = 'ulimit -c 0; ulimit -v "$1" 2>/dev/null || true; shift; exec "$@"'
_SHOWN_LINES = 5


class ProcessInspector:
    """Runs the runtime's own check, so that what it accepts is what a replica accepts."""

    def __init__(self, *, python: Path, runtime: Path, seconds: float, memory_mib: int) -> None:
        """Make an inspector.

        Args:
            python: the interpreter that the image will run on.
            runtime: a directory that holds the package `so1s_runtime` and nothing else.
            seconds: for one model.
            memory_mib: address space for one model.
        """
        self._python = python
        self._runtime = runtime
        self._seconds = seconds
        self._memory_kib = memory_mib * 1024

    async def signature(self, model_format: Format, file: Path, dependencies: Dependencies) -> Signature:
        """See `ports.Inspector`."""
        found = await self._check(["signature", model_format, str(file)], dependencies)
        try:
            return Signature.model_validate(found)
        except ValidationError as error:
            raise BuildError("format", f"the model's signature cannot be served: {error}") from error

    async def check(self, directory: Path, dependencies: Dependencies) -> None:
        """See `ports.Inspector`."""
        await self._check(["model", str(directory)], dependencies)

    async def _check(self, arguments: list[str], dependencies: Dependencies) -> object:
        output: deque[str] = deque(maxlen=1)
        errors: deque[str] = deque(maxlen=_SHOWN_LINES)
        python = [str(self._python), "-S", "-s", "-P", "-m", "so1s_runtime.check", *arguments]
        command = ["/bin/sh", "-c", _LIMITED, "sh", str(self._memory_kib), *python]
        with tempfile.TemporaryDirectory(prefix="so1s-inspect-") as home:
            try:
                async with asyncio.timeout(self._seconds):
                    code = await run(
                        command,
                        environment=self._environment(home, dependencies),
                        directory=Path(home),
                        on_output=output.append,
                        on_error=errors.append,
                    )
            except TimeoutError as error:
                raise BuildError("format", f"the model did not load within {self._seconds:g} s") from error
        return _answer(code, "".join(output), list(errors))

    def _environment(self, home: str, dependencies: Dependencies) -> dict[str, str]:
        return {
            "HOME": home,
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "PATH": os.defpath,
            "PYTHONPATH": f"{self._runtime}:{dependencies.site_packages}",
        }


def _answer(code: int, output: str, errors: list[str]) -> object:
    """What the check found; a dead process and a broken answer are the model's fault."""
    try:
        found = json.loads(output)
    except ValueError:
        found = {"error": f"the model cannot be loaded (exit code {code}): {' '.join(errors)}"}
    if code != 0 or "error" in found:
        raise BuildError("format", str(found.get("error", found)))
    return found
