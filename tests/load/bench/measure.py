"""How figures are measured."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from statistics import median, quantiles
from typing import TypeVar

T = TypeVar("T")


async def interleaved(*runs: Callable[[], Awaitable[T]], rounds: int) -> list[list[T]]:
    """Take turns, A B A B; answers the results of each run."""
    results: list[list[T]] = [[] for _ in runs]
    for _ in range(rounds):
        for result, run in zip(results, runs, strict=True):
            result.append(await run())
    return results


async def medians(*runs: Callable[[], Awaitable[float]], rounds: int) -> list[float]:
    """The median of each run's results."""
    return [median(result) for result in await interleaved(*runs, rounds=rounds)]


def per_second(work: Callable[[], object], times: int) -> Callable[[], Awaitable[float]]:
    """A run of plain Python that is repeated; answers how often it can be done in a second."""

    async def run() -> float:
        started = time.perf_counter()
        for _ in range(times):
            work()
        return times / (time.perf_counter() - started)

    return run


def spread(values: Iterable[float]) -> dict[str, float]:
    """The middle, the 95th percentile and the worst of some values."""
    values = list(values)
    return {"p50": median(values), "p95": quantiles(values, n=20, method="inclusive")[-1], "max": max(values)}


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """The middle, the 90th and the 99th percentile of many values."""
    cuts = quantiles(values, n=100, method="inclusive")
    return {f"p{each}": cuts[each - 1] for each in (50, 90, 99)}


class Pace:
    """How fast records are taken: told when each batch begins, it leaves out the start and the last batch."""

    def __init__(self, wanted: int) -> None:
        self.finished = asyncio.Event()
        self.is_done = False
        self._wanted = wanted
        self._batches: list[tuple[float, int]] = []

    def begin(self, records: int) -> None:
        self._batches.append((time.perf_counter(), records))
        self._wanted -= records
        if self._wanted <= 0:
            self.is_done = True
            self.finished.set()

    @property
    def per_second(self) -> float:
        (first, _), *_, (last, _) = self._batches
        return sum(records for _, records in self._batches[:-1]) / (last - first)
