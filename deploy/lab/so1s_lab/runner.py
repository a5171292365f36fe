"""A run of the lab: parts are started in groups, and stopped in the opposite order."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from so1s.blocking import LoopThread
from so1s_lab.once import locked
from so1s_lab.part import Part
from so1s_local.output import Logs
from so1s_local.process import Output, Process, end_leftovers
from so1s_local.supervisor import Lock, PlatformRunsError

_READY_SECONDS = 60.0
_LINES_SHOWN = 15


class PartNotReadyError(Exception):
    """A part did not become ready in time; the message ends with what it printed last."""


@dataclass(frozen=True)
class Started:
    """A part that runs."""

    part: Part
    seconds: float
    """From its start until it was ready; what was built or downloaded for it is not counted."""


class Runner:
    """Runs parts for code without an event loop; a context manager.

    A run is a directory, locked as long as its runner lives; runs beside it whose runner died are removed
    together with the processes that they left behind.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        output: Output | None = None,
        progress: Callable[[Started], None] = lambda _: None,
    ) -> None:
        """Describe a run.

        Args:
            run_dir: the run's own directory, beside those of other runs.
            output: takes what the parts print; by default it is kept in `logs`.
            progress: takes each part once it is ready.
        """
        self.run_dir = run_dir.resolve()
        self._progress = progress
        self.started: list[Started] = []
        self._output: Output = output or Logs(self.run_dir / "logs").write
        self._lock = Lock(self.run_dir / "lock")
        self._loop = LoopThread()
        self._groups: list[list[Process]] = []

    def __enter__(self) -> Self:
        """Take the directory, which is empty then."""
        with self._starting():
            for path in self.run_dir.parent.glob("*/lock"):
                _remove_if_dead(path.parent)
            self._lock.acquire()
        for directory in (self._records, self.run_dir / "logs"):
            directory.mkdir()
        self._loop.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop everything."""
        try:
            self.stop()
        finally:
            self._loop.__exit__()
            self._lock.release()

    def remove(self) -> None:
        """Remove the directory of a run that has ended; another run that began since may have done so."""
        with self._starting(), suppress(FileNotFoundError):
            shutil.rmtree(self.run_dir)

    def directory(self, name: str) -> Path:
        """A part's own directory in this run."""
        path = self.run_dir / name
        path.mkdir(exist_ok=True)
        return path

    def start(self, *parts: Part) -> None:
        """Start parts together, and return when all are ready.

        Raises:
            MissingPartError: a part cannot run on this machine; none of them was started.
            PartNotReadyError: a part did not become ready.
        """
        for part in parts:
            part.prepare()
        processes = [Process(part.unit(), self._records, self._output) for part in parts]
        self._groups.append(processes)
        self._loop.run(self._start_together(parts, processes))

    def stop(self) -> None:
        """Stop all parts; those that were started together stop together, the last group first."""
        while self._groups:
            self._loop.run(_stop_together(self._groups.pop()))
        self.started.clear()

    def _starting(self) -> AbstractContextManager[None]:
        """One run at a time removes others, and begins: else one removes what another has just made."""
        return locked(self.run_dir.parent / "starting")

    @property
    def _records(self) -> Path:
        return self.run_dir / "processes"

    async def _start_together(self, parts: tuple[Part, ...], processes: list[Process]) -> None:
        async def start(part: Part, process: Process) -> None:
            began = time.monotonic()
            try:
                await process.start(_READY_SECONDS)
            except TimeoutError:
                raise PartNotReadyError(self._complaint(process.unit.name)) from None
            self.started.append(Started(part, time.monotonic() - began))
            self._progress(self.started[-1])

        await asyncio.gather(*map(start, parts, processes))

    def _complaint(self, name: str) -> str:
        log = self.run_dir / "logs" / f"{name}.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return "\n".join([f"{name} is not ready after {_READY_SECONDS:.0f} s:", *lines[-_LINES_SHOWN:]])


async def _stop_together(processes: list[Process]) -> None:
    await asyncio.gather(*(process.stop() for process in processes))


def _remove_if_dead(run_dir: Path) -> None:
    lock = Lock(run_dir / "lock")
    try:
        lock.acquire()
    except PlatformRunsError:
        return
    end_leftovers(run_dir / "processes")
    shutil.rmtree(run_dir)
    lock.release()
