"""Workers: each claims a build, takes its steps, and records how it ended.

A worker says every second that it lives, and learns so whether its build was cancelled or superseded. One
that is silent for `lease_seconds` is taken to be dead, and its build is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import structlog

from services.builder import logs, metrics, turns, wishes
from services.builder import store as builds
from services.builder.build_log import BuildLog
from services.builder.domain.build import Build, Wish, failure
from services.builder.domain.failure import BuildError
from services.builder.domain.hints import hint
from services.builder.domain.options import merge
from services.builder.domain.queue import choose
from services.builder.steps import Built, Steps, World
from services.builder.stop import ended
from so1s.broker.failures import backoff_seconds
from so1s.events import BuildStepFinished, ImageBuilt, ModelUploaded
from so1s.events.build import Step
from so1s.events.event import Event
from so1s.events.ids import transition_id
from so1s.loop import Loop
from so1s.store import Store, Transaction

log = structlog.get_logger()

_BEATS = 10
"""Heartbeats in a lease: a slow database may miss most of them."""


class Lost(Exception):
    """The build is another worker's, or was superseded: nothing may be said of it any more."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a worker works."""

    directory: Path
    """Of work in progress."""
    lease_seconds: float
    deadline_seconds: float
    builds_per_account: int
    """At once, over all workers."""


class Worker:
    """Builds one version after the other."""

    def __init__(self, name: str, store: Store, world: World, terms: Terms) -> None:
        """Make a worker.

        Args:
            name: of this worker alone, and the same after its process was started again.
            store: of the builds.
            world: what its builds work with.
            terms: how it works.
        """
        self._name = name
        self._store = store
        self._world = world
        self._terms = terms

    async def work(self) -> None:
        """Build until nothing waits."""
        while build := await self._claim():
            told = {"account": build.uploaded.account, "correlation_id": build.cause.correlation_id}
            with structlog.contextvars.bound_contextvars(**told), metrics.RUNNING.track_inprogress():
                await self._run(build)

    async def _claim(self) -> Build | None:
        """The next build, now this worker's own; None where none may start."""
        while account := await self._next_account():
            async with self._store.transaction() as tx:
                build = await turns.take(
                    tx,
                    account,
                    self._name,
                    limit=self._terms.builds_per_account,
                    lease_seconds=self._terms.lease_seconds,
                )
            if build:
                return build
        return None

    async def _next_account(self) -> str | None:
        async with self._store.read() as connection:
            waiting = await turns.waiting(connection, self._name, time.time())
        return choose(waiting, self._terms.builds_per_account)

    async def _run(self, build: Build) -> None:
        build_log = BuildLog(build.number, build.tries)
        build_log.write(f"build {build.number} of {build.name}, try {build.tries}")
        await self._attempt(build, Steps(self._world, build, self._directory, build_log.write), build_log)

    @property
    def _directory(self) -> Path:
        return self._terms.directory / "work" / self._name.replace("/", "_")

    @contextlib.asynccontextmanager
    async def _emptied(self) -> AsyncGenerator[None, None]:
        """Its directory is there, free of what a former life of this worker left."""
        own = self._directory
        await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
        own.mkdir(parents=True)
        try:
            yield
        finally:
            await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)

    async def _attempt(self, build: Build, steps: Steps, build_log: BuildLog) -> None:
        """Build; whatever happens, the build is not left running when it returns."""
        try:
            async with self._emptied():
                await self._succeed(build, await self._guarded(build, steps, build_log), build_log)
        except Lost:
            log.info("given up: the build was started anew elsewhere", build=build.name)
        except BuildError as error:
            build_log.write(f"failed: {error}")
            if advice := hint([str(error), *build_log.tail]):
                build_log.write(f"hint: {advice}")
            await self._fail(build, error, steps.step, build_log)
        except asyncio.CancelledError:
            build_log.write("interrupted: the builder stops; another one goes on")
            await self._give_back(build, build_log)
            raise
        except Exception as accident:  # noqa: BLE001 - the machine's fault: it is tried until the deadline
            error = await self._world.disk.explained(accident, steps.step)
            build_log.write(f"put off: {error!r}")
            await self._postpone(build, error, build_log)

    async def _guarded(self, build: Build, steps: Steps, build_log: BuildLog) -> Built:
        """Take the steps while the build is this worker's, wanted and in time."""
        guard = asyncio.create_task(self._guard(build, build_log))
        work = asyncio.create_task(steps.run(lambda *step: self._report(build, build_log, *step)))
        try:
            await asyncio.wait((work, guard), return_when=asyncio.FIRST_COMPLETED)
            return await (work if work.done() else guard)
        finally:
            for task in (work, guard):
                task.cancel()
                await ended(task)

    async def _guard(self, build: Build, build_log: BuildLog) -> NoReturn:
        """Keep the build, until there is a reason not to; raises it."""
        assert build.started_at is not None
        deadline = build.started_at + self._terms.deadline_seconds
        held_until = time.monotonic() + self._terms.lease_seconds
        while time.time() < deadline:
            try:
                await self._beat(build, build_log)
                held_until = time.monotonic() + self._terms.lease_seconds
            except (BuildError, Lost):
                raise
            except Exception as error:
                log.warning("the build's lease cannot be renewed", build=build.name, error=repr(error))
                if time.monotonic() > held_until:
                    raise Lost from error
            await asyncio.sleep(self._terms.lease_seconds / _BEATS)
        problem = f"; the last try: {build.problem}" if build.problem else ""
        raise BuildError("deadline_exceeded", f"not built within {self._terms.deadline_seconds:g} s{problem}")

    async def _beat(self, build: Build, build_log: BuildLog) -> None:
        async with self._store.transaction() as tx:
            held = await builds.hold(tx, build, self._name, self._terms.lease_seconds)
            if held:
                await logs.append(tx, build, build_log)
        if held is None:
            raise Lost
        if held.cancelled_by:
            raise BuildError("cancelled", f"cancelled by {held.cancelled_by}")

    async def _report(
        self, build: Build, build_log: BuildLog, step: Step, detail: str, seconds: float
    ) -> None:
        metrics.STEP_SECONDS.labels(step).observe(seconds)
        log.info("step finished", build=build.name, step=step, detail=detail, seconds=round(seconds, 3))
        event = BuildStepFinished(**_subject(build.uploaded), step=step, detail=detail, seconds=seconds)
        async with self._store.transaction(build.cause) as tx:
            if await builds.hold(tx, build, self._name, self._terms.lease_seconds):
                # Alike for each try of a build, so that what one try said is not said again by the next.
                tx.emit(event, id=transition_id("builder", build.name, build.number, step))
                await logs.append(tx, build, build_log)

    async def _succeed(self, build: Build, built: Built, build_log: BuildLog) -> None:
        async with self._store.transaction() as tx:
            changes = {
                "state": "built",
                "sha256": built.sha256,
                "image": built.image.model_dump_json(),
                "warnings": json.dumps(built.warnings),
            }
            seconds = _since_start(build, tx.now.timestamp())
            await self._end(
                tx, build, build_log, lambda wish: _image_built(wish, built, seconds=seconds), changes
            )
        metrics.BUILDS.labels("built").inc()
        log.info("image built", build=build.name, digest=built.image.digest)

    async def _fail(self, build: Build, error: BuildError, step: Step | None, build_log: BuildLog) -> None:
        event = failure(build.uploaded, error, step=step, log_tail=list(build_log.tail))
        async with self._store.transaction() as tx:
            state = "cancelled" if error.reason == "cancelled" else "failed"
            changes = {"state": state, "reason": error.reason, "message": str(error)}
            await self._end(tx, build, build_log, lambda _wish: event, changes)
        metrics.BUILDS.labels(error.reason).inc()
        log.warning("build failed", build=build.name, reason=error.reason, message=str(error))

    async def _end(
        self,
        tx: Transaction,
        build: Build,
        build_log: BuildLog,
        say: Callable[[Wish], Event],
        changes: dict[str, Any],
    ) -> None:
        """Record how a build ended, and say it to all who wait, if it is still this worker's to end."""
        ended = {
            "finished_at": tx.now.timestamp(),
            "ending": say(build.wish.of_image_alone).model_dump_json(),
        }
        if await self._release(tx, build, build_log, **ended, **changes):
            await wishes.answer(tx, build, say)

    async def _postpone(self, build: Build, error: Exception, build_log: BuildLog) -> None:
        metrics.POSTPONED.inc()
        log.warning("build put off", build=build.name, tries=build.tries, error=repr(error))
        async with self._store.transaction() as tx:
            not_before = tx.now.timestamp() + backoff_seconds(build.tries)
            changes = {"state": "queued", "not_before": not_before, "message": str(error)}
            await self._release(tx, build, build_log, **changes)

    async def _give_back(self, build: Build, build_log: BuildLog) -> None:
        async with self._store.transaction() as tx:
            await self._release(tx, build, build_log, state="queued", started_at=None)

    async def _release(self, tx: Transaction, build: Build, build_log: BuildLog, **changes: Any) -> bool:
        """Let the build go with the last lines of its log, if it is still this worker's."""
        build_log.end()
        is_released = await builds.release(tx, build, self._name, **changes)
        if is_released:
            await logs.append(tx, build, build_log)
        return is_released


def _subject(uploaded: ModelUploaded) -> dict[str, str]:
    return {"account": uploaded.account, "model": uploaded.model, "version": uploaded.version}


def _since_start(build: Build, now: float) -> float:
    return max(0.0, now - (build.started_at or now))


def _image_built(wish: Wish, built: Built, *, seconds: float) -> ImageBuilt:
    options = merge(wish.uploaded, built.described)
    return ImageBuilt(
        **_subject(wish.uploaded),
        image=built.image,
        format=built.format,
        compiled_from=built.compiled_from,
        signature=built.signature,
        user=wish.uploaded.uploaded_by,
        labels=wish.uploaded.labels,
        deploy=options.deploy,
        sources=options.sources,
        alerts=options.alerts,
        warnings=built.warnings,
        uploaded_at=wish.uploaded_at,
        seconds=seconds,
    )


class Workers:
    """The workers of one process."""

    def __init__(self, workers: list[Worker], *, poll_seconds: float) -> None:
        """Give each worker a loop that looks for a build every `poll_seconds`."""
        self.loops = [
            Loop(f"worker-{number}", worker.work, every_seconds=poll_seconds, leader=False)
            for number, worker in enumerate(workers)
        ]

    def wake(self) -> None:
        """Let idle workers look for a build now."""
        for loop in self.loops:
            loop.wake()
