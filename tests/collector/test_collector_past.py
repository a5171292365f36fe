"""Every request of a cluster is said once, in its window, whatever was away when it was counted."""

import random
from collections import Counter

import pytest

from services.collector.adapters.kubernetes import memory
from services.collector.store import all_cursors
from so1s.events import UsageSampled
from tests.collector.past import DAY_MS, NOON_MS, SCRAPE_MS, SECOND_MS, WINDOW_MS, Cluster, Collector

both = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
HOUR = 60
"""In windows."""


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch):
    """Where Prometheus does not answer it is asked again at once."""

    async def sleep(_):
        pass

    monkeypatch.setattr("services.collector.timeline.asyncio.sleep", sleep)


@pytest.fixture
def requests(said):
    """What was said of deployments' requests: by deployment, by the minute of the window."""

    async def read():
        found = [each.event for each in await said(UsageSampled) if each.event.replica == "gateway"]
        told = Counter((each.deployment, each.window_start) for each in found)
        assert set(told.values()) <= {1}, "a window was said twice"
        by_deployment = {}
        for each in found:
            minute = (each.window_start.timestamp() * 1000 - NOON_MS) / WINDOW_MS
            by_deployment.setdefault(each.deployment, {})[minute] = each.quantities.get("requests")
        return by_deployment

    return read


def at(cluster, minute, second=0):
    """Let it be so late."""
    cluster.now_ms = NOON_MS + minute * WINDOW_MS + second * SECOND_MS


@both
async def test_a_deployment_that_is_removed_before_its_window_settled_is_counted_in_full(
    store, cluster, requests
):
    async with Collector(cluster, store).running() as collector:
        at(cluster, 0, 1)
        cluster.deploy("fraud")
        cluster.answer("fraud", 300)
        at(cluster, 1, 10)
        cluster.answer("fraud", 20)
        at(cluster, 1, 20)
        cluster.remove("fraud")
        for minute in range(1, 5):
            at(cluster, minute, 30)
            await collector.look()
    assert await requests() == {"fraud": {0: 300, 1: 20}}


@pytest.mark.parametrize("restarted", [False, True], ids=["the same", "another one"])
async def test_what_was_removed_while_prometheus_was_away_is_counted_when_it_is_back(
    store, cluster, requests, restarted
):
    first, second = Collector(cluster, store), Collector(cluster, store)
    at(cluster, 0)
    cluster.deploy("fraud")
    async with first.running():
        for minute in range(HOUR):
            cluster.prometheus_answers = minute < 3
            at(cluster, minute, 40)
            if minute < 40:
                cluster.answer("fraud", 50)
            if minute == 40:
                cluster.remove("fraud")
            await first.look()
        cluster.prometheus_answers = True
        if not restarted:
            await first.look()
    if restarted:
        async with second.running():
            await second.look()
    assert await requests() == {"fraud": dict.fromkeys(range(40), 50) | {40: 0}}


async def test_what_was_removed_while_no_collector_ran_is_counted_to_its_end(store, cluster, requests):
    at(cluster, 0)
    cluster.deploy("fraud")
    cluster.answer("fraud", 50)
    async with Collector(cluster, store).running() as collector:
        at(cluster, 2, 30)
        await collector.look()
    for minute in range(3, 30):
        at(cluster, minute, 10)
        cluster.answer("fraud", 10)
    cluster.remove("fraud")
    at(cluster, HOUR)
    async with Collector(cluster, store).running() as collector:
        await collector.look()
    found = (await requests())["fraud"]
    assert sum(filter(None, found.values())) == 50 + 27 * 10
    assert {minute: found[minute] for minute in range(3, 30)} == dict.fromkeys(range(3, 30), 10)


async def test_nothing_is_forgotten_before_it_was_sampled_and_all_of_it_is_afterwards(store, cluster):
    async def left():
        async with store.read() as connection:
            return {*await all_cursors(connection), *await memory.all_replicas(connection)}

    at(cluster, 0)
    cluster.deploy("fraud")
    async with Collector(cluster, store, window_ms=HOUR * WINDOW_MS).running() as collector:
        at(cluster, 2 * HOUR)
        await collector.look()
        cluster.prometheus_answers = False
        cluster.remove("fraud")
        for day in range(1, 4):
            cluster.now_ms = NOON_MS + day * DAY_MS
            await collector.look()
        assert "u1" in await left()
        cluster.prometheus_answers = True
        for hour in range(24 * 3, 24 * 6, 6):
            at(cluster, hour * HOUR, 30)
            await collector.look()
    assert await left() == {"scrapes/istio"}


class MadeUpHour:
    """An hour in which deployments come and go, and collectors and Prometheus are away at times."""

    STEP_MS = 10 * SECOND_MS

    def __init__(self, seed, cluster, store):
        self._random = random.Random(seed)
        self._cluster, self._store = cluster, store
        self._living, self._born = {}, 0
        self.lives = {}

    async def pass_by(self):
        """Prometheus is away from the tenth minute on; afterwards everything is looked at."""
        cluster = self._cluster
        while cluster.now_ms < NOON_MS + HOUR * WINDOW_MS:
            async with Collector(cluster, self._store).running() as collector:
                for _ in range(self._random.randint(30, 120)):
                    await self._step(collector)
            for _ in range(self._random.randint(0, 6)):
                self._go_on()
        cluster.prometheus_answers = True
        at(cluster, HOUR + 10)
        async with Collector(cluster, self._store).running() as collector:
            await collector.look()

    async def _step(self, collector):
        self._go_on()
        if self._cluster.now_ms % WINDOW_MS == 0:
            await collector.look()
        else:
            await collector.world.read()

    def _go_on(self):
        cluster, now_ms = self._cluster, self._cluster.now_ms + self.STEP_MS
        cluster.now_ms = now_ms
        minute = (now_ms - NOON_MS) // WINDOW_MS
        cluster.prometheus_answers = minute < 10
        if minute >= HOUR:
            return
        for name, since_ms in list(self._living.items()):
            cluster.answer(name, self._random.randint(0, 9))
            # A deployment that comes and goes while no collector runs is seen by nobody.
            if now_ms - since_ms > 3 * WINDOW_MS and self._random.random() < 0.02:
                cluster.remove(name)
                self.lives[name].append((self._living.pop(name), now_ms))
        if len(self._living) < 3 and self._random.random() < 0.1:
            self._deploy(now_ms)

    def _deploy(self, now_ms):
        free = sorted(self.lives.keys() - self._living.keys())
        name = self._random.choice([*free, f"fraud-{len(self.lives)}"])
        self._cluster.deploy(name)
        self._living[name] = now_ms
        self.lives.setdefault(name, [])

    def served(self, name):
        """What was scraped of a deployment's requests in each window that has any."""
        counts = Counter()
        for each in self._cluster.answered[f"risk--{name}"]:
            scraped_ms = -(-each // SCRAPE_MS) * SCRAPE_MS
            counts[(scraped_ms - 1 - NOON_MS) // WINDOW_MS] += 1
        return dict(counts)


@pytest.mark.parametrize("seed", range(2))
async def test_an_hour_of_which_a_collector_asks_only_afterwards_is_said_once_and_window_by_window(
    store, cluster, requests, seed
):
    hour = MadeUpHour(seed, cluster, store)
    await hour.pass_by()
    found = await requests()
    served = {name: hour.served(name) for name in hour.lives}
    assert sum(len(lives) for lives in hour.lives.values()) > 5
    counted = {
        name: {minute: requests for minute, requests in windows.items() if requests}
        for name, windows in found.items()
    }
    assert counted == served
