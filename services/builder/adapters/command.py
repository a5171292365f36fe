"""A command that is run to its end, or killed with all its children when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

_LONGEST_LINE_BYTES = 4000
_CHUNK_BYTES = 64 * 1024


async def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    on_line: Callable[[str], None],
    pass_descriptor: int | None = None,
) -> int:
    """Run a command and return its exit code, negative for a signal.

    Args:
        command: program and arguments.
        environment: all of it; nothing is inherited.
        directory: where it runs.
        on_line: takes each line of its output and of its errors.
        pass_descriptor: an open file that it has too, under the same number.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environment),
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        pass_fds=() if pass_descriptor is None else (pass_descriptor,),
    )
    assert process.stdout is not None
    try:
        async for line in lines(process.stdout):
            on_line(line)
        return await process.wait()
    finally:
        # The group outlives its leader where a child was left behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        # Else it does not end before Python 3.12.4: what was written and not read keeps its pipe open.
        while await process.stdout.read(_CHUNK_BYTES):
            pass
        await process.wait()


async def lines(
    stream: asyncio.StreamReader, *, longest_bytes: int = _LONGEST_LINE_BYTES
) -> AsyncIterator[str]:
    """The lines of a stream; a line that goes on after `longest_bytes` comes in pieces."""
    line = bytearray()
    while chunk := await stream.read(min(longest_bytes, _CHUNK_BYTES)):
        first, *others = chunk.split(b"\n")
        line += first
        for other in others:
            yield _text(line)
            line = bytearray(other)
        if len(line) > longest_bytes:
            yield _text(line)
            line.clear()
    if line:
        yield _text(line)


def _text(line: bytearray) -> str:
    return line.decode(errors="replace").rstrip()
