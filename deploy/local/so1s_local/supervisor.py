"""The platform on one machine: started in order, watched, stopped in order."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from so1s_local.forks import Forks
from so1s_local.process import Child, Output, Process, Unit, end_leftovers, execute
from so1s_local.units import Plan

Progress = Callable[[str, float], None]
"""Takes what became ready, and how many seconds that took."""

_READY_SECONDS = 120.0


class PlatformRunsError(Exception):
    """Another supervisor uses the same state."""


class Supervisor:
    """Runs the parts of a plan; an async context manager."""

    def __init__(self, plan: Plan, *, output: Output, progress: Progress) -> None:
        self.plan = plan
        self.processes: dict[str, Process] = {}
        self._output = output
        self._progress = progress
        self._lock = Lock(plan.state_dir / "lock")
        self._forks = Forks(output)

    async def __aenter__(self) -> Self:
        """Start everything; what was started is stopped again where a part fails."""
        self._take_over()
        try:
            await self._start_all()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        await self.stop()

    async def stop(self) -> None:
        """Stop in the opposite order: services, then the servers that they run, then the embedded parts."""
        order = ["envoy", *self.plan.settings.services]
        try:
            await self._stop([name for name in order if name in self.processes])
            await self._end_replicas()
        finally:
            await self._stop(list(self.processes))
            await self._forks.stop()
            self._lock.release()

    async def clear(self) -> None:
        """Remove the state, and end what an earlier supervisor left running on it.

        Raises:
            PlatformRunsError: another supervisor uses the state, or replicas on it cannot be ended.
        """
        if not self.plan.run_dir.exists():
            return
        self._take_over()
        try:
            if await self._end_replicas():
                said = self.plan.log_dir / "deployer.log"
                raise PlatformRunsError(
                    f"what runs on {self.plan.state_dir} cannot be ended: {said} says why"
                )
            shutil.rmtree(self.plan.state_dir)
        finally:
            await self._forks.stop()
            self._lock.release()

    def _take_over(self) -> None:
        self._lock.acquire()
        left = end_leftovers(self.plan.run_dir)
        self.plan.prepare()
        for name in left:
            self._output(name, "ended, as an earlier supervisor left it behind")

    async def restart(self, name: str) -> None:
        """Stop one part and start it again."""
        await self.processes[name].stop()
        await self._start(self.processes[name].unit)

    async def _start_all(self) -> None:
        await self._start_together(self.plan.embedded())
        services = self._start_together(self.plan.services())
        await asyncio.gather(services, self._start_together(self.plan.gateways()))

    async def _start_together(self, units: Sequence[Unit]) -> None:
        await asyncio.gather(*(self._start(unit) for unit in units))

    async def _start(self, unit: Unit) -> None:
        began = time.monotonic()
        process = self.processes[unit.name] = Process(unit, self.plan.run_dir, self._output, self._launch)
        await process.start(_READY_SECONDS)
        self._progress(unit.name, time.monotonic() - began)

    async def _launch(self, unit: Unit) -> Child:
        return await (self._forks.launch(unit) if unit.forked else execute(unit))

    async def _stop(self, names: Sequence[str]) -> None:
        await asyncio.gather(*(self.processes.pop(name).stop() for name in names))

    async def _end_replicas(self) -> int:
        """Replicas outlive the deployer, as pods do, but not this platform; answers 0 where they ended."""
        unit = self.plan.down()
        try:
            child = await self._launch(unit)
        except OSError:
            child = await execute(unit)
        assert child.stdout
        for line in (await child.stdout.read()).decode(errors="replace").splitlines():
            self._output("deployer", line)
        code = await child.wait()
        if code:
            self._output("deployer", f"replicas may run on: what ends them ended with {code}")
        return code


class Lock:
    """A lock file: the kernel releases it with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            PlatformRunsError: another process holds it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise PlatformRunsError(f"So1s runs already on {self._path.parent}; stop it first") from None
        self._file = file

    def release(self) -> None:
        """Give the lock back."""
        if self._file:
            self._file.close()
            self._file = None
