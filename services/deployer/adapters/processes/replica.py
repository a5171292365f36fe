"""One replica: started, probed, restarted and drained, as a kubelet does with a pod."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import structlog

from services.deployer.adapters.processes import log_files, prober
from services.deployer.adapters.processes.launcher import Launcher
from services.deployer.adapters.processes.layout import ImageProblem
from services.deployer.adapters.processes.options import Options
from services.deployer.adapters.processes.process import Process
from services.deployer.adapters.processes.world import ReplicaRecord, World
from services.deployer.domain.probes import Health

log = structlog.get_logger()

_LOOK_SECONDS = 0.1
"""How often a process is looked at: how late its death is noticed, at most."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What all replicas share."""

    world: World
    launcher: Launcher
    options: Options
    http: httpx.AsyncClient


class Replica:
    """A replica, kept alive until it is told to end."""

    def __init__(self, record: ReplicaRecord, parts: Parts, changed: Callable[[], None]) -> None:
        """Take a new record, or one whose process is running.

        Args:
            record: of the replica.
            parts: shared ones.
            changed: called after each change of the record.
        """
        self.record = record
        self.failures = 0
        """Processes that ended early, in a row."""
        self._health = Health(started=record.ready_at is not None, ready=record.ready_at is not None)
        self._parts = parts
        self._changed = changed
        self._ending = asyncio.Event()
        if record.leaving_at:
            self._ending.set()
        parts.world.write_replica(record)
        self._task = asyncio.create_task(self._supervise())

    def relabel(self, **changes: Any) -> None:
        """Change what the process itself does not bear."""
        if any(getattr(self.record, name) != value for name, value in changes.items()):
            self._update(**changes)

    def leave(self) -> None:
        """Take no new traffic from now on; `end` must follow once the mesh has been told."""
        self._update(leaving_at=_now())

    def end(self) -> None:
        """Drain, then end the process; `record.ended_at` tells when that is done."""
        self._ending.set()

    async def abandon(self) -> None:
        """Look after it no longer; its process lives on."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _supervise(self) -> None:
        while not self.record.ended_at:
            try:
                await self._live()
                await self._finish()
            except Exception:
                log.exception("a replica's supervision failed; it goes on", replica=self.record.uid)
                await asyncio.sleep(1)

    async def _live(self) -> None:
        while not self._ending.is_set():
            process = self.record.process or await self._launch()
            if process:
                await self._attend(process)
            if not self._ending.is_set():
                await self._back_off(process)

    async def _launch(self) -> Process | None:
        record = self.record
        try:
            launched = await self._parts.launcher.launch(record, self._parts.world.log(record.uid))
        except (ImageProblem, OSError) as error:
            log.warning("a replica cannot be started", replica=record.uid, reason=str(error))
            return None
        self._health = Health()
        process = launched.process
        self._update(pid=process.pid, pid_started_at=process.started_at, url=launched.url)
        return process

    async def _attend(self, process: Process) -> None:
        """Probe a process until it has ended, or is to end."""
        rules = self._parts.options.probes
        next_probe = 0.0
        while not self._ending.is_set() and process.is_running():
            now = time.time()
            up_seconds = now - process.started_at
            if now >= next_probe:
                await self._probe()
                next_probe = now + rules.period(self._health, up_seconds)
            if self._health.hopeless(up_seconds, rules):
                log.warning("a replica does not answer and is killed", replica=self.record.uid)
                process.kill()
            await self._pause(min(_LOOK_SECONDS, rules.period(self._health, up_seconds)))

    async def _probe(self) -> None:
        ready, live = await prober.probe(self._parts.http, self.record.url)
        self._health = self._health.after(ready=ready, live=live, rules=self._parts.options.probes)
        if self._health.ready != bool(self.record.ready_at):
            self._update(ready_at=_now() if self._health.ready else None)
        if self._health.started:
            log_files.cut(self._parts.world.log(self.record.uid), self._parts.options.log_most_bytes)

    async def _back_off(self, ended: Process | None) -> None:
        """Wait before the next start."""
        backoff = self._parts.options.backoff
        ran_seconds = time.time() - ended.started_at if ended else 0.0
        self.failures = backoff.failures(self.failures, ran_seconds)
        restarts = self.record.restarts + (ended is not None)
        self._update(pid=None, pid_started_at=None, ready_at=None, restarts=restarts)
        delay_seconds = backoff.delay_seconds(self.failures)
        log.warning("a replica's process ended", replica=self.record.uid, restart_in_seconds=delay_seconds)
        await self._pause(delay_seconds)

    async def _finish(self) -> None:
        process, options = self.record.process, self._parts.options
        if process:
            if self._health.started:  # else nobody ever called it
                left = self.record.leaving_at or _now()
                await process.ended_within(left.timestamp() + options.drain_seconds - time.time())
            process.terminate()
            while not await process.ended_within(options.grace_seconds):
                process.kill()
        self._record(self.record.ended(_now()))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless it is to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    def _update(self, **changes: Any) -> None:
        self._record(self.record.model_copy(update=changes))

    def _record(self, record: ReplicaRecord) -> None:
        self.record = record
        self._parts.world.write_replica(self.record)
        self._changed()


def _now() -> datetime:
    return datetime.now(UTC)
