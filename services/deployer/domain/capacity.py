"""Whether replicas fit into what is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from so1s.events.workload import Resources


@dataclass(frozen=True, slots=True)
class Capacity:
    """An amount of each resource; below zero where more is reserved than there is."""

    cpu_millicores: int
    memory_mib: int
    gpus: int

    def less(self, reserved: Iterable[Resources]) -> Capacity:
        """What is left of this once the replicas have what they reserve."""
        taken = list(reserved)
        return Capacity(
            self.cpu_millicores - sum(one.cpu_millicores for one in taken),
            self.memory_mib - sum(one.memory_mib for one in taken),
            self.gpus - sum(one.gpus for one in taken),
        )

    def plus(self, released: Iterable[Resources]) -> Capacity:
        """What there would be of this once the replicas have given back what they reserve."""
        given = list(released)
        return Capacity(
            self.cpu_millicores + sum(one.cpu_millicores for one in given),
            self.memory_mib + sum(one.memory_mib for one in given),
            self.gpus + sum(one.gpus for one in given),
        )


_UNITS = {"cpu_millicores": "millicores", "memory_mib": "MiB", "gpus": "GPUs"}


def fitting(one: Resources, free: Capacity) -> int:
    """How many replicas of the size of `one` fit into what is free."""
    counts = [_free(free, name) // asked for name, asked in _asked(one).items()]
    return min(counts)


def refusal(one: Resources, count: int, free: Capacity) -> str | None:
    """Why `count` replicas do not fit: what is missing and what would fit; None where they fit."""
    fits = fitting(one, free)
    if fits >= count:
        return None
    short = ", ".join(
        f"{asked * count - _free(free, name)} {_UNITS[name]} of {_free(free, name)} free"
        for name, asked in _asked(one).items()
        if asked * count > _free(free, name)
    )
    what = f"{_replicas(count)} of {_size(one)} cannot start"
    return f"{what}: short by {short}; {_advice(one, count, fits, free)}"


def refusal_on_nodes(one: Resources, waiting: int, free: Mapping[str, Capacity]) -> str:
    """How many of the replicas that wait would fit; where none, what is missing where it is nearest to that.

    Args:
        one: what a replica reserves.
        waiting: how many replicas find no node.
        free: what is free, by the name of a node.
    """
    if not free:
        return "there is no node that takes replicas"
    if fits := sum(fitting(one, each) for each in free.values()):
        return f"by what is free, {min(fits, waiting)} of the {_replicas(waiting)} that wait would fit"
    nearest = min(free, key=lambda node: _shortfall(one, free[node]))
    where = f"on the nearest of {len(free)} nodes, {nearest}: {refusal(one, 1, free[nearest])}"
    return where if waiting == 1 else f"none of the {waiting} replicas that wait would fit; {where}"


def _shortfall(one: Resources, free: Capacity) -> float:
    """The shares of what is asked that are missing, together."""
    return sum(max(0.0, 1 - _free(free, name) / asked) for name, asked in _asked(one).items())


def _advice(one: Resources, count: int, fits: int, free: Capacity) -> str:
    smaller = {name: _free(free, name) // count for name in _asked(one)}
    hints = [f"{_replicas(fits)} would fit"] if fits else []
    if all(smaller.values()):
        size = ", ".join(
            f"{min(amount, _asked(one)[name])} {_UNITS[name]}" for name, amount in smaller.items()
        )
        hints.append(f"{_replicas(count)} of {size} would fit")
    return ", or ".join(hints) or "nothing of the kind would fit"


def _asked(one: Resources) -> dict[str, int]:
    return {name: amount for name in _UNITS if (amount := getattr(one, name))}


def _free(free: Capacity, name: str) -> int:
    return max(0, getattr(free, name))


def _size(one: Resources) -> str:
    return ", ".join(f"{amount} {_UNITS[name]}" for name, amount in _asked(one).items())


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
