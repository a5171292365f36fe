"""What time brings: variants that weights or retirements wait for, and checks that gave no verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from services.router import changes, progress, retirements, store
from services.router.changes import Change
from services.router.domain.change import Waiting, decide
from services.router.domain.deadlines import Deadlines
from services.router.domain.endpoint import Endpoint, Verdict
from services.router.domain.variants import judge
from services.router.progress import Member
from services.router.retirements import Retirement
from services.router.store import Why
from so1s.events import RoutesRejected, VariantInUse
from so1s.events.ids import transition_id
from so1s.store import Store


@dataclass(frozen=True)
class Waits:
    """Ends the waits of endpoints and variants."""

    store: Store
    deadlines: Deadlines

    async def settle(self) -> None:
        """Take or refuse the weights that waited, and release the deployments that no traffic needs now."""
        async with self.store.read() as connection:
            waiting = await changes.waiting(connection)
            free = await retirements.free(connection)
        for change in waiting:
            await self._settle(change)
        for wish in free:
            await self._release(wish)

    async def fail_unjudged(self) -> None:
        """Let checks fail that gave no verdict in time; a verdict that comes later still counts."""
        async with self.store.snapshot() as connection:
            before = datetime.now(UTC).timestamp() - self.deadlines.checks
            late = await progress.unjudged(connection, before)
        for member in late:
            await self._fail(member)

    async def _settle(self, change: Change) -> None:
        async with self.store.transaction(change.cause) as tx:
            endpoint = await store.load(tx, change.account, change.endpoint)
            settled = _settled(endpoint, change, tx.now.timestamp())
            if settled is None or not await changes.take(tx, change):
                return
            if isinstance(settled, RoutesRejected):
                tx.emit(settled)
            else:
                await store.save(tx, endpoint, settled, Why(change.reason, change.changed_by))

    async def _release(self, wish: Retirement) -> None:
        these = (wish.account, wish.deployment, wish.revision)
        async with self.store.transaction(wish.cause) as tx:
            answer = await retirements.release(tx, *these)
            if isinstance(answer, VariantInUse):
                return  # it took weight in between
            if await retirements.forget(tx, *these) and answer:
                tx.emit(answer)

    async def _fail(self, member: Member) -> None:
        async with self.store.transaction(member.cause) as tx:
            endpoint = await store.load(tx, member.account, member.endpoint)
            variant = endpoint.variants[member.deployment]
            if variant.revision != member.revision:
                return  # the next one came in between, and has its own time
            verdict = Verdict(passed=False, reason=f"no verdict within {self.deadlines.checks:g} s")
            found = dict.fromkeys(variant.unjudged, verdict)
            await store.record_verdicts(tx, member.account, member.deployment, variant.revision, found)
            for check in found:
                decision = judge(endpoint, member.deployment, check, verdict)
                endpoint = decision.endpoint
            if found and decision.rejected:
                tx.emit(decision.rejected, id=_unjudged_id(member))


def _settled(endpoint: Endpoint, change: Change, now: float) -> Endpoint | RoutesRejected | None:
    if change.superseded:
        return endpoint.reject("weights", json.dumps(change.weights), "the change that superseded it")
    decided = decide(endpoint, change.weights)
    if not isinstance(decided, Waiting):
        return decided
    if now < change.deadline:
        return None
    return endpoint.reject(
        "weights", json.dumps(change.weights), f"variants that are ready in time; {decided}"
    )


def _unjudged_id(member: Member) -> str:
    uid = f"{member.account}/{member.endpoint}/{member.deployment}"
    return transition_id("router", uid, member.revision, "unjudged")
