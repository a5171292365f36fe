"""Loops run again and again; those of a leader on one replica only."""

import asyncio
import gc
import warnings
from contextlib import asynccontextmanager

import pytest
import structlog

from so1s import loop as loops
from so1s.loop import Leadership, Loop


@pytest.fixture(autouse=True)
def hurry(monkeypatch, logged):
    """Seconds become hundredths."""
    for name, seconds in {"_LEASE_SECONDS": 0.5, "_RENEW_SECONDS": 0.1, "_ANSWER_SECONDS": 0.1}.items():
        monkeypatch.setattr(loops, name, seconds)
    monkeypatch.setattr(loops, "backoff_seconds", lambda _failures: 0.01)


@asynccontextmanager
async def running(*coroutines):
    tasks = [asyncio.create_task(each) for each in coroutines]
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def logged():
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def collected():
    """A replica that is cancelled amid a statement leaves its connection to the collector, which warns."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


class Rounds:
    """Counts its rounds; the first may fail in a way of its own."""

    def __init__(self, *failures):
        self.count = 0
        self._failures = list(failures)

    async def __call__(self):
        self.count += 1
        if self._failures:
            raise self._failures.pop(0)

    def loop(self, every_seconds=0.01):
        return Loop("rounds", self, every_seconds=every_seconds)


class Leases:
    """The leases of a store, which this replica cannot always reach."""

    def __init__(self, store):
        self._leases = store.leases
        self.problem = None

    async def hold(self, *lease):
        if isinstance(self.problem, BaseException):
            raise self.problem
        if self.problem == "hangs":
            await asyncio.Event().wait()
        return await self._leases.hold(*lease)

    async def release(self, *lease):
        if self.problem is None:
            await self._leases.release(*lease)


@pytest.mark.parametrize("failure", [RuntimeError("once"), asyncio.CancelledError()])
async def test_a_loop_goes_on_after_an_error_and_after_a_cancellation_that_leaked(failure, eventually):
    rounds = Rounds(failure)
    async with running(rounds.loop().run()):
        await eventually(lambda: rounds.count >= 3)


async def test_a_loop_that_is_woken_begins_at_once(eventually):
    rounds = Rounds()
    loop = rounds.loop(every_seconds=3600)
    async with running(loop.run()):
        await eventually(lambda: rounds.count == 1)
        loop.wake()
        await eventually(lambda: rounds.count == 2)


async def test_a_wake_during_a_round_is_not_lost(eventually):
    rounds = []

    async def step():
        rounds.append(True)
        if len(rounds) == 1:
            loop.wake()

    loop = Loop("rounds", step, every_seconds=3600)
    async with running(loop.run()):
        await eventually(lambda: len(rounds) == 2)


async def test_loops_of_a_leader_run_on_one_replica_and_move_when_it_stops(store, eventually, monkeypatch):
    monkeypatch.setattr(loops, "_LEASE_SECONDS", 3600)  # it is given back, not waited for
    first, second = Rounds(), Rounds()
    leading = Leadership(store.leases, "a", [first.loop()])
    waiting = Leadership(store.leases, "b", [second.loop()])
    async with running(leading.run()) as (task,):
        await eventually(lambda: first.count > 0)
        async with running(waiting.run()):
            before = first.count
            await eventually(lambda: first.count > before + 20)
            assert second.count == 0
            task.cancel()
            await eventually(lambda: second.count > 0)


async def test_another_replica_takes_over_from_one_that_died(store, eventually):
    rounds = Rounds()
    await store.leases.hold("leader", "dead", 0.5)
    async with running(Leadership(store.leases, "b", [rounds.loop()]).run()):
        await eventually(lambda: rounds.count > 0)


@pytest.mark.parametrize("problem", [ConnectionError("database away"), asyncio.CancelledError(), "hangs"])
async def test_who_cannot_renew_stops_leading_before_another_may_begin(problem, store, eventually):
    leases, first, second = Leases(store), Rounds(), Rounds()
    leading = Leadership(leases, "a", [first.loop()])
    waiting = Leadership(store.leases, "b", [second.loop()])
    async with running(leading.run()):
        await eventually(lambda: first.count > 0)
        async with running(waiting.run()):
            leases.problem = problem
            await eventually(lambda: second.count > 0)
            after = first.count
            await eventually(lambda: second.count > 10)
            assert first.count == after
    leases.problem = None
