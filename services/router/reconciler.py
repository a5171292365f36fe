"""Recorded routes → gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from services.router import metrics, progress, retirements
from services.router.domain.endpoint import Endpoint
from services.router.domain.route import PublicUrls, route_of
from services.router.ports import Mesh
from services.router.progress import Course, Member
from services.router.watchers import Waits
from so1s.events import EndpointRemoved, Event, RoutesApplied, RoutesDegraded, VariantReleased
from so1s.events.ids import transition_id
from so1s.store import Store, answers
from so1s.store.answers import Answer

log = structlog.get_logger()

_PROBE_SECONDS = 0.01
_PROBES = 10
"""A gateway takes a route within milliseconds as a rule: worth a moment's wait before the next round."""
_AT_ONCE = 16
"""Hosts that are asked at the same time."""
_NAMED = 10
"""Objects that a line of the log names."""


@dataclass
class Reconciler:
    """Drives the mesh to the recorded routes, and tells when it is there."""

    store: Store
    mesh: Mesh
    waits: Waits
    urls: PublicUrls
    drift_seconds: float
    """How often the mesh is compared with the routes where nothing is pending."""
    compared_at: float = float("-inf")

    def __post_init__(self) -> None:
        """Few enough at once for the pools of connections."""
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._began = datetime.now(UTC).timestamp()
        self._keeps_strangers: bool | None = None
        self._strangers: list[str] = []

    async def step(self) -> None:
        """One round: cheap unless a route is pending, or the mesh is due to be compared."""
        await self.waits.settle()
        await self._release()  # what no gateway's route named even before it was to go
        now = asyncio.get_running_loop().time()
        if now - self.compared_at < self.drift_seconds and not await self._any_pending():
            return
        self.compared_at = now
        try:
            await self._drive()
            await self._release()
        finally:  # behind what somebody waits for, and whether the mesh answers or not
            await self.waits.fail_unjudged()

    async def _any_pending(self) -> bool:
        async with self.store.read() as connection:
            return await progress.any_in_time(connection)

    async def _drive(self) -> None:
        """Tell the mesh all routes, and see which revisions it answers with."""
        # A revision of one moment with the weights of another would be told, and answered as that revision.
        async with self.store.snapshot() as connection:
            courses = await progress.courses(connection)
            if self._keeps_strangers is None:
                self._keeps_strangers = not await progress.any_decided(connection, self._began)
        pending = [course for course in courses if course.pending]
        metrics.PENDING.set(len(pending))
        await self._apply(courses)
        for _ in range(_PROBES):
            pending = await self._not_arrived(pending)
            if all(course.late for course in pending):
                return
            await asyncio.sleep(_PROBE_SECONDS)
            await self._apply(courses)

    async def _apply(self, courses: Sequence[Course]) -> None:
        endpoints = [course.endpoint for course in courses if not course.endpoint.removed]
        told = [route_of(each, self.urls.host(each)) for each in endpoints]
        changed = await self.mesh.apply(told, keep_strangers=bool(self._keeps_strangers))
        self._tell_strangers(self.mesh.strangers())
        settled = {self.urls.host(course.endpoint) for course in courses if not course.pending}
        if drifted := settled.intersection(changed) - self.mesh.failures().keys():
            metrics.DRIFT.inc(len(drifted))
            log.warning("another hand changed the mesh; it is restored", hosts=sorted(drifted))

    def _tell_strangers(self, strangers: Sequence[str]) -> None:
        """Say what is kept, since it may be the routes of a store that was not found."""
        metrics.STRANGERS.set(len(strangers))
        if strangers and list(strangers) != self._strangers:
            log.error(
                "the store had no endpoint when this router began: what it finds in the mesh is kept",
                number=len(strangers),
                objects=strangers[:_NAMED],
                check="SO1S_DATABASE_URL and SO1S_DATABASE_SCHEMA; a router that begins with an endpoint"
                " there removes what it does not know",
            )
        self._strangers = list(strangers)

    async def _not_arrived(self, pending: Sequence[Course]) -> list[Course]:
        """Those that are worth another look in this round."""
        settled = await asyncio.gather(*map(self._in_turn, pending))
        return [course for course, is_settled in zip(pending, settled, strict=True) if not is_settled]

    async def _in_turn(self, course: Course) -> bool:
        """Whether a course is done with for this round: it arrived, or nothing could be learnt of it."""
        async with self._turns:
            try:
                return await self._arrived(course)
            except Exception:
                log.exception("a route could not be followed", endpoint=course.endpoint.key)
                return True  # the others go on; the next round asks again

    async def _arrived(self, course: Course) -> bool:
        """Whether every gateway answers with a route's revision; tells it, or that it is late."""
        endpoint = course.endpoint
        served = await self.mesh.served(self.urls.host(endpoint))
        expected = None if endpoint.removed else endpoint.revision
        serving = sum(revision == expected for revision in served)
        if served and serving == len(served):
            await self._tell_arrival(course)
            return True
        await self._tell_delay(course, serving, max(1, len(served)))
        return False

    async def _tell_arrival(self, course: Course) -> None:
        """Answer every chain that waits for the route, in its own name."""
        endpoint = course.endpoint
        async with self.store.transaction() as tx:
            taken = await answers.take(tx, endpoint.key, endpoint.revision)
            if taken and await progress.acknowledge(tx, endpoint):
                metrics.APPLIED_SECONDS.observe(max(0.0, tx.now.timestamp() - course.decided_at))
            for answer in taken:
                tx.emit(self._arrival(course, answer, tx.now), cause=answer.cause)

    def _arrival(self, course: Course, answer: Answer, now: datetime) -> Event:
        endpoint = course.endpoint
        if endpoint.removed:
            return EndpointRemoved(account=endpoint.account, endpoint=endpoint.name, removed_at=now)
        return RoutesApplied(
            account=endpoint.account,
            endpoint=endpoint.name,
            revision=endpoint.revision,
            host=self.urls.host(endpoint),
            url=self.urls.url(endpoint),
            weights=endpoint.weights,
            changed_by=course.changed_by,
            seconds=max(0.0, now.timestamp() - answer.since),
        )

    async def _tell_delay(self, course: Course, serving: int, gateways: int) -> None:
        now = datetime.now(UTC).timestamp()
        endpoint = course.endpoint
        failure = self.mesh.failures().get(self.urls.host(endpoint))
        refused = failure is not None and failure.refused
        in_time = now - course.since < self.waits.deadlines.apply and not refused
        if course.late or in_time:
            return
        degraded = RoutesDegraded(
            account=endpoint.account,
            endpoint=endpoint.name,
            revision=endpoint.revision,
            gateways_serving=serving,
            gateways=gateways,
            reason=failure.reason if failure else "",
        )
        async with self.store.transaction(course.cause) as tx:
            if await progress.degrade(tx, endpoint):
                tx.emit(degraded, id=_id(endpoint, "degraded"))

    async def _release(self) -> None:
        """Give retiring variants back whose traffic has ended."""
        async with self.store.read() as connection:
            drained = await retirements.drained(connection)
        for member in drained:
            async with self.store.transaction(member.cause) as tx:
                if await retirements.end(tx, member):
                    tx.emit(_released(member))


def _released(member: Member) -> VariantReleased:
    return VariantReleased(account=member.account, deployment=member.deployment, revision=member.revision)


def _id(endpoint: Endpoint, transition: str) -> str:
    return transition_id("router", endpoint.key, endpoint.revision, transition)
