"""When replicas began and ended, over all that nobody saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.collector.adapters.kubernetes.pods import UNKNOWN
from services.collector.domain.world import Replica

_TOLD_LATE_MS = 10_000
"""A removal that is told after such a silence may have happened at any time of it."""


def removal(replica: Replica, at_ms: int, watched_until_ms: int, deadline_ms: int | None) -> Replica:
    """A replica that the watch shows to be removed.

    Args:
        replica: as it was then; an end that its pod told stands.
        at_ms: when the watch showed it.
        watched_until_ms: until when it is known to have been there.
        deadline_ms: when its pod would have been killed at the latest.
    """
    if replica.ended_ms is not None:
        return replica
    end_ms = at_ms if deadline_ms is None else min(at_ms, deadline_ms)
    estimated = at_ms - watched_until_ms > _TOLD_LATE_MS
    return _ended(replica, max(end_ms, watched_until_ms), estimated=estimated)


def changes(
    known: Mapping[str, Replica], seen: Mapping[str, Replica], watched_until_ms: int
) -> dict[str, Replica]:
    """What is new of replicas, by uid.

    Whose a replica is, and its labels, is what its Deployment says while it lives; an end stays. Of a replica
    that went while nobody watched, nothing is known but that it was there until the watch broke off.

    Args:
        known: all that are remembered.
        seen: those that are there, and those whose removal was told.
        watched_until_ms: when all of the world was known last.
    """
    began = {uid: replica for uid, replica in seen.items() if uid not in known}
    alive = {uid: replica for uid, replica in known.items() if replica.ended_ms is None}
    went_on = {uid: _now(replica, seen[uid]) for uid, replica in alive.items() if uid in seen}
    told = {uid: replica for uid, replica in went_on.items() if replica != alive[uid]}
    missed = {
        uid: _ended(replica, watched_until_ms, estimated=True)
        for uid, replica in alive.items()
        if uid not in seen
    }
    return began | told | missed


def _now(replica: Replica, seen: Replica) -> Replica:
    """A replica that is known, with what happens to one that lives."""
    now = replace(replica, restarts=max(replica.restarts, seen.restarts))
    if seen.ended_ms is not None:
        return _ended(now, seen.ended_ms, estimated=seen.end_estimated)
    if seen.user == UNKNOWN:
        return now  # its Deployment is gone
    cause = seen.cause if now.user == UNKNOWN else now.cause
    return replace(now, user=seen.user, labels=seen.labels, cause=cause)


def _ended(replica: Replica, end_ms: int, *, estimated: bool) -> Replica:
    """No clock may let it end before it began."""
    return replace(replica, ended_ms=max(end_ms, replica.started_ms), end_estimated=estimated)
