"""How a deployment moves from the replicas it has to the replicas it wants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from so1s.events import Scaling, Workload
from so1s.events.workload import Strategy

_SURGE = 0.25
"""Replicas above the desired number during a rolling update: the default of Kubernetes' `maxSurge`."""


@dataclass(frozen=True, slots=True)
class Replica:
    """What a rollout needs to know of a replica."""

    uid: str
    current: bool
    """Made from the desired template, not from an earlier one."""
    ready: bool
    """It answers its probes, and has for so long that the mesh sends it traffic."""
    ending: bool
    """It drains or terminates: it takes no new traffic, yet still holds what it reserves."""
    started_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now; nothing at all means to wait."""

    start: int = 0
    """Replicas of the desired template."""
    stop: tuple[str, ...] = ()
    """Uids of replicas."""


def bounds(scaling: Scaling) -> tuple[int, int]:
    """The least and the most replicas: the same number where no autoscaler decides."""
    return scaling.min_replicas, scaling.min_replicas if scaling.is_fixed else scaling.max_replicas


def size(workload: Workload, now: int, outdated: int) -> int:
    """How many replicas a deployment shall have: more at once, fewer once no earlier version serves.

    A rollout that also makes it smaller does that at its end, so that a version that never gets ready
    takes nothing from the one that serves. `static` ends the old replicas first anyway.

    Args:
        workload: as it shall be.
        now: the number of replicas that it has.
        outdated: ready replicas of an earlier workload.
    """
    least, most = bounds(workload.scaling)
    within = min(max(now, least), most)
    return max(now, within) if outdated and workload.strategy == "rolling" else within


def plan(strategy: Strategy, desired: int, replicas: Sequence[Replica]) -> Plan:
    """The next step towards `desired` ready replicas of the current template, and no others.

    `rolling` never brings the number of ready replicas below `desired` by what it stops, nor the
    number of replicas above `desired` by more than a quarter (at least one). `static` starts no
    replica while one of another template is left.
    """
    if strategy == "static":
        gone = all(replica.current for replica in replicas)
        direct = plan_candidate(desired, replicas)
        return direct if gone else Plan(stop=direct.stop)
    new, old, excess = _sorted_out(desired, replicas)
    room = most_replicas(desired) - len(new) - len(old) if old else desired - len(new)
    start = max(0, min(desired - len(new), room))
    return Plan(start, _uids([*excess, *_replaceable(desired, new, old)]))


def plan_candidate(desired: int, replicas: Sequence[Replica]) -> Plan:
    """The next step of replicas that take no traffic: those of an earlier template are of no use."""
    new, old, excess = _sorted_out(desired, replicas)
    return Plan(max(0, desired - len(new)), _uids([*old, *excess]))


def surge(desired: int) -> int:
    """How many replicas may be there above the desired number; as many a candidate has."""
    return max(1, math.ceil(desired * _SURGE))


def most_replicas(desired: int) -> int:
    """How many replicas a rolling update has at most."""
    return desired + surge(desired) if desired else 0


def _sorted_out(
    desired: int, replicas: Sequence[Replica]
) -> tuple[list[Replica], list[Replica], list[Replica]]:
    """The replicas that stay: new ones, old ones, and which of the new ones are too many."""
    new = [replica for replica in replicas if replica.current and not replica.ending]
    old = [replica for replica in replicas if not replica.current and not replica.ending]
    return new, old, _least_useful(new)[: max(0, len(new) - desired)]


def _replaceable(desired: int, new: Sequence[Replica], old: Sequence[Replica]) -> list[Replica]:
    """The old replicas that can go without loss.

    An old replica that is not ready serves nobody and goes first, as in Kubernetes, but only
    beyond the desired number: it may be about to recover, and the new ones may never be ready.
    """
    spare = len(new) + len(old) - desired - sum(not replica.ready for replica in new)
    unready = [replica for replica in old if not replica.ready][: max(0, spare)]
    ready = [replica for replica in old if replica.ready]
    spare_ready = sum(replica.ready for replica in new) + len(ready) - desired
    return unready + _least_useful(ready)[: max(0, spare_ready)]


def _least_useful(replicas: Sequence[Replica]) -> list[Replica]:
    """Not ready before ready, then the youngest: an old replica is warm and has proved itself."""
    return sorted(replicas, key=lambda replica: (replica.ready, -replica.started_at, replica.uid))


def _uids(replicas: Sequence[Replica]) -> tuple[str, ...]:
    return tuple(replica.uid for replica in replicas)
