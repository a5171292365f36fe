"""A command that is run to its end, or killed with all its children when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

_LONGEST_LINE_BYTES = 4000


async def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    on_output: Callable[[str], None],
    on_error: Callable[[str], None],
) -> int:
    """Run a command and return its exit code, negative for a signal.

    Args:
        command: program and arguments.
        environment: all of it; nothing is inherited.
        directory: where it runs.
        on_output: takes each line of its standard output.
        on_error: takes each line of its standard error.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environment),
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        await asyncio.gather(_pass_on(process.stdout, on_output), _pass_on(process.stderr, on_error))
        return await process.wait()
    finally:
        # The group outlives its leader where a child was left behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _pass_on(stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
    async for line in _lines(stream):
        take(line.decode(errors="replace").rstrip())


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream; a longer one than `_LONGEST_LINE_BYTES` comes in pieces."""
    rest = b""
    while chunk := await stream.read(_LONGEST_LINE_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > _LONGEST_LINE_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest
