"""Processes of this machine, known by pid and start, since pids are used again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_CLOCK_TOLERANCE_SECONDS = 2.0
"""psutil derives a process's start from the boot time, which moves when the clock is set."""
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Process:
    """A session leader that this or an earlier deployer started."""

    pid: int
    started_at: float
    """Seconds since the epoch, as psutil tells it."""

    def is_running(self) -> bool:
        """Whether it is still there; reaps it where it has ended as a child of ours."""
        with contextlib.suppress(ChildProcessError):  # adopted: its parent is init
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return False
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started_at) < _CLOCK_TOLERANCE_SECONDS
            return same and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    async def ended_within(self, seconds: float) -> bool:
        """Wait for its end, for so long at most; answers whether it has ended."""
        deadline = time.monotonic() + seconds
        while self.is_running():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    def terminate(self) -> None:
        """Ask it to end."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it, and whatever it started, at once."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def cpu_seconds(self) -> float | None:
        """The processor time that it has used; None where it is gone."""
        if not self.is_running():
            return None
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return None
        return times.user + times.system


def spawn(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
    """Start a process in a session of its own, so that it outlives us and no Ctrl-C reaches it.

    Raises:
        OSError: the program cannot be started.
    """
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND  # appending, so that the log can be cut short
    pid = os.posix_spawn(
        arguments[0],
        list(arguments),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), output, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Process(pid, psutil.Process(pid).create_time())


def sessions_with(name: str, value: str) -> list[Process]:
    """The session leaders whose environment has that entry."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(name) == value and os.getsid(process.pid) == process.pid:
                found.append(Process(process.pid, process.create_time()))
    return found
