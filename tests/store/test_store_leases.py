"""A lease has one holder at a time."""

import asyncio
import time

import pytest

from so1s.store import Leases


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def leases(store, now):
    return Leases(store._database, clock=lambda: now[0])


async def test_a_lease_has_one_holder(leases):
    assert await leases.hold("build-1", "a", 10)
    assert not await leases.hold("build-1", "b", 10)
    assert await leases.hold("build-2", "b", 10)


async def test_a_holder_prolongs_its_lease(leases, now):
    await leases.hold("build-1", "a", 10)
    now[0] += 9
    assert await leases.hold("build-1", "a", 10)
    now[0] += 9
    assert not await leases.hold("build-1", "b", 10)


async def test_an_expired_lease_is_taken_over_and_its_holder_told(leases, now):
    await leases.hold("build-1", "a", 10)
    now[0] += 10.1
    assert await leases.hold("build-1", "b", 10)
    assert not await leases.hold("build-1", "a", 10)


async def test_a_lease_that_is_given_back_is_free_at_once(leases):
    await leases.hold("build-1", "a", 10)
    await leases.release("build-1", "a")
    assert await leases.hold("build-1", "b", 10)


async def test_only_its_holder_gives_a_lease_back(leases):
    await leases.hold("build-1", "a", 10)
    await leases.release("build-1", "b")
    assert not await leases.hold("build-1", "b", 10)


async def test_of_many_that_want_a_lease_at_once_one_has_it(leases, store, open_store, now):
    other = Leases(open_store()._database, clock=lambda: now[0])
    tried = [each.hold("build-1", f"{each}{number}", 10) for each in (leases, other) for number in range(5)]
    assert sum(await asyncio.gather(*tried)) == 1


async def test_a_replica_whose_clock_is_wrong_takes_no_lease_of_another(store, monkeypatch):
    assert await store.leases.hold("build-1", "a", 60)
    right = time.time
    for wrong in (-3600, 3600):
        monkeypatch.setattr(time, "time", lambda seconds=wrong: right() + seconds)
        assert not await store.leases.hold("build-1", "b", 60)


async def test_a_lease_ends_by_the_clock_of_the_database(store, eventually):
    assert await store.leases.hold("build-1", "a", 0.2)
    await eventually(lambda: store.leases.hold("build-1", "b", 60))
    assert not await store.leases.hold("build-1", "a", 60)
