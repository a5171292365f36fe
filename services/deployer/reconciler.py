"""Recorded state → cluster, again and again; what the cluster shows → events."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import NamedTuple

import structlog

from services.deployer import chains
from services.deployer import store as deployments
from services.deployer.alarm import Alarm
from services.deployer.domain import rollout
from services.deployer.domain.announcement import announce, figures
from services.deployer.domain.observation import Observation
from services.deployer.domain.progress import Deadlines, Failed, Transition, transitions
from services.deployer.domain.recorded import Recorded, Revision
from services.deployer.domain.restart import Backoff
from services.deployer.metrics import DRIFT, FAILED, ROLLOUT_SECONDS, STRANGERS
from services.deployer.ports import Cluster, Deployment
from so1s.errors import TemporaryError
from so1s.events import DeploymentFailed, DeploymentReady, Event
from so1s.store import Store

log = structlog.get_logger()

_TAIL_LINES = 20
_LINE_CHARACTERS = 500
_RETRY_SECONDS = 2.0
_AT_ONCE = 16
"""Deployments that are brought at the same time: a cluster answers each call in some 10 ms."""
_RESYNC_SECONDS = 30.0
"""Everything is applied again after this, whatever was seen: for changes that nothing shows."""
_PATIENCE = Backoff(first_seconds=1.0, most_seconds=300.0, stable_seconds=600.0)
"""With another hand that changes a deployment again and again: each flip of its template begins a rollout."""

Key = tuple[str, str]
"""Account and name."""


class _PutBack(NamedTuple):
    """How often another hand's changes were undone in a row, and when the last time, in monotonic seconds."""

    times: int
    at: float


_NEVER = _PutBack(0, -math.inf)


class Reconciler:
    """Brings the cluster to what is recorded, and tells what becomes of it."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        alarm: Alarm,
        *,
        deadlines: Deadlines,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the parts.

        Args:
            store: of the deployments.
            cluster: to bring to them.
            alarm: rings at each change that this process records.
            deadlines: until a revision counts as failed.
            poll_seconds: how soon a change is seen that another replica recorded.
            clock: monotonic seconds.
        """
        self._store = store
        self._cluster = cluster
        self._alarm = alarm
        self._deadlines = deadlines
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._applied: dict[Key, Deployment] = {}
        self._resync_at = 0.0
        self._put_back: dict[Key, _PutBack] = {}
        self._began = time.time()
        self._keeps_strangers: bool | None = None
        self._strangers: AbstractSet[Key] = set()
        """What runs and nobody recorded, where it is kept."""
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def lead(self) -> None:
        """Reconcile until cancelled; only one replica of this service may, since it owns the cluster."""
        self._applied = {}
        async with self._cluster:
            self._cluster.watch(self._alarm.ring)
            while True:
                self._alarm.hush()
                if await self._succeeds(self.reconcile(), "the deployments"):
                    await self._alarm.wait(self._poll_seconds)
                else:  # such as a database that is away; replicas are looked after meanwhile
                    await asyncio.sleep(_RETRY_SECONDS)

    async def reconcile(self) -> None:
        """One round over all deployments.

        Raises:
            TemporaryError: some could not be reconciled; the others were all the same.
        """
        if self._clock() >= self._resync_at:
            self._resync_at = self._clock() + _RESYNC_SECONDS
            self._applied = {key: each for key, each in self._applied.items() if self._is_patient(key)}
        async with self._store.snapshot() as connection:
            recorded = await deployments.present(connection)
        seen = {(each.account, each.deployment): each for each in await self._cluster.observe()}
        names = [(each.account, each.name) for each in recorded]
        brought = await asyncio.gather(
            *(self._bring_in_turn(each, seen.get(key)) for key, each in zip(names, recorded, strict=True))
        )
        await self._settle_strangers(seen.keys() - set(names))
        if not all(brought):
            raise TemporaryError(f"{brought.count(False)} deployments could not be reconciled")

    async def _succeeds(self, work: Awaitable[None], what: str) -> bool:
        try:
            await work
        except TemporaryError as error:
            log.warning("tried again soon", what=what, reason=str(error))
        except Exception:
            log.exception("cannot be reconciled; it is tried again", what=what)
        else:
            return True
        return False

    async def _bring_in_turn(self, recorded: Recorded, seen: Observation | None) -> bool:
        async with self._turns:
            return await self._succeeds(self._bring(recorded, seen), recorded.key)

    async def _bring(self, recorded: Recorded, seen: Observation | None) -> None:
        if recorded.state == "released":
            await self._remove(recorded, seen)
            return
        key = (recorded.account, recorded.name)
        wanted = _deployment(recorded)
        is_news = seen is None or self._applied.get(key) != wanted or _may_shrink(wanted, seen)
        drifted = seen is not None and bool(seen.drift) and not self._is_patient(key)
        if drifted or is_news:
            await self._cluster.apply(wanted)
            self._applied[key] = wanted
        if seen and drifted:
            self._count(key)
            _tell_drift(seen)
        if seen:
            await self._tell(recorded, seen)

    def _is_patient(self, key: Key) -> bool:
        """Whether a deployment is left for now as another hand made it, which changes it again and again."""
        before = self._put_back.get(key, _NEVER)
        ago = self._clock() - before.at
        return ago < _PATIENCE.delay_seconds(_PATIENCE.failures(before.times, ago))

    def _count(self, key: Key) -> None:
        """A deployment was put back."""
        before, now = self._put_back.get(key, _NEVER), self._clock()
        self._put_back[key] = _PutBack(_PATIENCE.failures(before.times, now - before.at), now)

    async def _remove(self, recorded: Recorded, seen: Observation | None) -> None:
        if seen:
            await self._cluster.remove(recorded.account, recorded.name)
            return
        async with self._store.transaction() as tx:
            present = await deployments.find(tx, recorded.account, recorded.name)
            if present is None or (present.state, present.revision) != ("released", recorded.revision):
                return  # it was wanted anew in the meantime
            await deployments.enter(tx, present, "removed")
            await chains.say_removed(tx, present)
        for remembered in (self._applied, self._put_back):
            remembered.pop((recorded.account, recorded.name), None)

    async def _settle_strangers(self, keys: AbstractSet[Key]) -> None:
        """Remove what nobody recorded, unless this process began on a database that may be the wrong one."""
        if self._keeps_strangers is None:
            self._keeps_strangers = not await self._any_requested_before()
        kept = keys if self._keeps_strangers else set()
        STRANGERS.set(len(kept))
        if kept - self._strangers:
            log.error(
                "the database had no deployment when this deployer began: what runs is kept",
                deployments=len(kept),
                such_as="/".join(min(kept)),
                check="database_url and database_schema name the database of those who made them; a deployer"
                " that begins with a deployment there removes what it does not know",
            )
        self._strangers = kept
        for account, name in keys - kept:
            log.info("a deployment that nobody recorded is removed", account=account, deployment=name)
            await self._cluster.remove(account, name)

    async def _any_requested_before(self) -> bool:
        async with self._store.read() as connection:
            return await deployments.any_requested(connection, self._began)

    async def _tell(self, recorded: Recorded, seen: Observation) -> None:
        told = transitions(recorded.status, seen, time.time(), self._deadlines)
        if not told and not _differs(recorded, seen):
            return
        log_tail = await self._log_tail(recorded, told)
        async with self._store.transaction(recorded.cause) as tx:
            present = await deployments.find(tx, recorded.account, recorded.name)
            if present is None or present.status != recorded.status:
                return  # a later revision or a verdict came in between: it is looked at anew
            values = figures(seen)
            for transition in told:
                said = announce(present, seen, transition, tx.now, log_tail)
                await chains.say(tx, present, said)
                values |= said.figures
                _measure(said.event)
            await deployments.tell(tx, present, values)

    async def _log_tail(self, recorded: Recorded, told: list[Transition]) -> list[str]:
        if not any(isinstance(each, Failed) for each in told):
            return []
        lines = await self._cluster.logs(recorded.account, recorded.name, _TAIL_LINES)
        return [line[:_LINE_CHARACTERS] for line in lines]


def _deployment(recorded: Recorded) -> Deployment:
    """The newest revision, or the one that serves, with the newest as its candidate."""
    newest = _at(recorded, recorded.newest)
    if recorded.serving is None or recorded.serving.number == newest.revision:
        return newest
    serving = _at(recorded, recorded.serving)
    if not recorded.gate.closed:
        return replace(newest, serving=serving)
    return replace(serving, candidate=newest if recorded.status.candidate else None)


def _at(recorded: Recorded, revision: Revision) -> Deployment:
    return Deployment(recorded.account, recorded.name, revision.number, revision.workload, revision.cause)


def _may_shrink(wanted: Deployment, seen: Observation) -> bool:
    """Whether what was too many replicas for the rollout's sake may go now."""
    refused = seen.trouble is not None and seen.trouble.reason in {"refused", "image"}
    if seen.candidate or refused or seen.revision != wanted.revision:
        return False
    return rollout.size(wanted.workload, seen.desired, seen.outdated) < seen.desired


def _tell_drift(seen: Observation) -> None:
    DRIFT.inc()
    for kind, fields in seen.drift.items():
        log.warning(
            "another hand changed a deployment; it was put back",
            account=seen.account,
            deployment=seen.deployment,
            kind=kind,
            fields=list(fields),
        )


def _differs(recorded: Recorded, seen: Observation) -> bool:
    status = recorded.status
    before = (status.seen_revision, status.updated, status.ready, status.desired, status.restarts)
    now = (seen.revision, seen.updated, seen.ready, seen.desired, seen.restarts)
    return (*before, recorded.service, recorded.url) != (*now, seen.service, seen.url)


def _measure(event: Event) -> None:
    match event:
        case DeploymentReady(candidate=False):
            ROLLOUT_SECONDS.observe(event.seconds)
        case DeploymentFailed():
            FAILED.labels(event.reason).inc()
