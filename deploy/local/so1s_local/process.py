"""One supervised process: started, waited for, restarted when it dies, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

Output = Callable[[str, str], None]
"""Takes a process's name and one line of what it printed."""

_STOP_SECONDS = 20.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_YOUNG_SECONDS = 5.0
"""What cannot run dies sooner; one that lived longer was killed by somebody, who waits for it."""
LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Unit:
    """What to run, and how to know that it is ready."""

    name: str
    command: list[str]
    ready: Callable[[], Awaitable[bool]]
    environment: dict[str, str] = field(default_factory=dict)
    requires: Path | None = None
    """A file that must be there before the process can start."""
    forked: bool = False
    """Whether its command, `python(…)`, is started as a fork of what has imported the most of it."""


class Child(Protocol):
    """A process that was started, as asyncio's are."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def returncode(self) -> int | None:
        """How it ended, once it has."""
        ...

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it prints."""
        ...

    def send_signal(self, number: int, /) -> None:
        """Send a signal."""

    def kill(self) -> None:
        """End it at once."""

    async def wait(self) -> int:
        """Wait for its end; answers how it ended."""
        ...


Launch = Callable[[Unit], Awaitable[Child]]


class Process:
    """A unit while it is supervised."""

    def __init__(self, unit: Unit, run_dir: Path, output: Output, launch: Launch | None = None) -> None:
        self.unit = unit
        self.restarts = 0
        self._output = output
        self._record = run_dir / f"{unit.name}.json"
        self._launch = launch or execute
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self, ready_within_seconds: float) -> None:
        """Start, and return when it is ready.

        Raises:
            TimeoutError: it is not ready in time.
        """
        self._task = asyncio.create_task(self._supervise())
        async with asyncio.timeout(ready_within_seconds):
            while not await self.is_ready():  # noqa: ASYNC110 - it is asked, it does not tell
                await asyncio.sleep(0.02)

    async def is_ready(self) -> bool:
        """Whether it runs and answers."""
        return self.pid is not None and await self.unit.ready()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL where that takes over 20 s."""
        self._stopping = True
        if self._child and self._child.returncode is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._child.wait()
            except TimeoutError:
                self._child.kill()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._record.unlink(missing_ok=True)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.0
        while not self._stopping:
            began = loop.time()
            code = await self._run_once()
            if self._stopping:
                return
            pause = pause_seconds(loop.time() - began, pause)
            self._output(self.unit.name, f"ended with {code}; again in {pause:.1f} s")
            self.restarts += 1
            await asyncio.sleep(pause)

    async def _run_once(self) -> int:
        while self.unit.requires and not self.unit.requires.exists():  # noqa: ASYNC110 - a file does not tell
            await asyncio.sleep(0.02)
        try:
            child = await self._launch(self.unit)
        except OSError as error:
            self._output(self.unit.name, f"cannot be started: {error}")
            return 1
        self._child = child
        record(self._record, child.pid)
        assert child.stdout
        async for line in _lines(child.stdout):
            self._output(self.unit.name, line)
        return await child.wait()


async def execute(unit: Unit) -> Child:
    """Start a unit's command.

    Raises:
        OSError: it cannot be started.
    """
    return await asyncio.create_subprocess_exec(
        *unit.command,
        env=os.environ | unit.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LONGEST_LINE,
        # Ctrl-C goes to the supervisor alone, which stops its processes in their order.
        start_new_session=True,
    )


def pause_seconds(lived_seconds: float, last_pause_seconds: float) -> float:
    """How long to wait before the next start: longer each time for what dies young again and again."""
    if lived_seconds > _YOUNG_SECONDS:
        return _FIRST_PAUSE_SECONDS
    return min(_LONGEST_PAUSE_SECONDS, max(_FIRST_PAUSE_SECONDS, 2 * last_pause_seconds))


async def _lines(stream: asyncio.StreamReader) -> AsyncGenerator[str, None]:
    """What a process prints; a line that is longer than the limit is left out, as far as it is."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line.decode(errors="replace").rstrip()


def record(path: Path, pid: int) -> None:
    """Write down a process so that it is found again after the supervisor's own death."""
    with contextlib.suppress(psutil.NoSuchProcess):
        started_at = psutil.Process(pid).create_time()
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps({"pid": pid, "started_at": started_at}))
        beside.replace(path)  # a supervisor that dies here leaves all of it or none


def end_leftovers(run_dir: Path) -> list[str]:
    """End the processes that an earlier supervisor left behind; answers their names."""
    ended = []
    for path in sorted(run_dir.glob("*.json")):
        noted = json.loads(path.read_text())
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(noted["pid"])
            if abs(process.create_time() - noted["started_at"]) < 1:  # the pid is not somebody else's by now
                process.terminate()
                _wait_or_kill(process)
                ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended


def _wait_or_kill(process: psutil.Process) -> None:
    try:
        process.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()


def python(*arguments: str) -> list[str]:
    """The command of a Python module in this environment."""
    return [sys.executable, "-m", *arguments]
