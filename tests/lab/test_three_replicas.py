"""Every service three times at once, as an operator runs them: they share their work, and any may die."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar

import pytest
from sqlalchemy import func, select

import so1s
from services.billing.domain.windows import window_key
from services.billing.store import entries, postings
from services.builder.store import builds
from services.console.tables import chain_events
from so1s.events import (
    BuildFailed,
    DeploymentReady,
    DeploymentRequested,
    Event,
    ImageBuilt,
    ModelUploaded,
    RoutesApplied,
    UsageCorrected,
    UsageSampled,
    WeightsChanged,
)
from so1s.events.envelope import Received
from so1s_lab.installation import Installation, Parts
from tests.lab.cluster import InCluster, running
from tests.lab.replicated import Replicas, Replicated
from tests.scenarios.running import until
from tests.scenarios.test_chain import (
    test_a_version_that_is_published_again_is_answered_again,
    test_changed_weights_split_the_traffic,
    test_every_window_is_charged_once_and_the_chain_is_explained,
)

# ruff: noqa: F401 - what is imported are fixtures, and the scenarios that a laptop's platform passes too

E = TypeVar("E", bound=Event)
Metered = tuple[str, str]
"""A window, by the ledger's name of it, and a meter."""

ACCOUNT = "threefold"
MODEL, BROKEN = "replicated", "unbuildable"
PAUSE_SECONDS = 0.05
"""Between two requests: there is always one soon, and the cores are free for what is tested."""
SECONDS = 90
"""A lease ends 10 s after its holder's death, and so does a consumer's place in its group."""

TOLD_ONCE: dict[type[Event], Callable[[Received[Any]], Hashable]] = {
    ImageBuilt: lambda told: (told.event.model, told.event.version),
    BuildFailed: lambda told: (told.event.model, told.event.version),
    DeploymentRequested: lambda told: (told.event.deployment, told.event.workload.version),
    DeploymentReady: lambda told: (told.event.deployment, told.event.revision),
    # One revision may be the answer to two who asked.
    RoutesApplied: lambda told: (told.event.endpoint, told.event.revision, told.correlation_id),
    UsageSampled: lambda told: (told.event.deployment, told.event.replica, told.event.window_start),
}
"""What no two events tell."""


@pytest.fixture(scope="module")
def installation(parts: Parts) -> Installation:
    return Installation(f"r{uuid.uuid4().hex[:6]}", parts)


@pytest.fixture(scope="module")
def platform(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InCluster]:
    yield from running(installation, tmp_path_factory.mktemp("replicated"), Replicated)


@pytest.fixture(scope="module")
def replicas(platform: InCluster, installation: Installation) -> Replicas:
    return Replicas(platform, installation)


def test_the_leader_of_each_service_dies_at_its_work_and_nothing_is_lost_or_doubled(
    platform: InCluster, replicas: Replicas, tmp_path
):
    before = platform.serve(MODEL, account=ACCOUNT)
    letters = platform.letters()
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")

    async def roll() -> tuple[so1s.PublishedModel, list[Any]]:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(_ask(platform, before.url, ended := asyncio.Event()))
            failing = await asyncio.to_thread(platform.publish, BROKEN, account=ACCOUNT, path=broken)
            later = await asyncio.to_thread(platform.publish, MODEL, 2, ACCOUNT)
            await asyncio.gather(
                asyncio.to_thread(_kill_on_the_way, platform, replicas, later),
                asyncio.to_thread(_kill_who_tells, platform, replicas, failing),
            )
            await asyncio.to_thread(until, replicas.have_successors, SECONDS)
            ended.set()
        return later, asking.result()

    later, answers = platform.run(roll())
    assert replicas.bereaved == set(platform.services())
    platform.at = platform.at.model_copy(update={"services": replicas.living()})
    assert answers[-1] == platform.wanted(MODEL, 2)
    _assert_runs(platform)
    _assert_charged(platform, replicas, len(answers))
    _assert_told_once(platform, replicas, later)
    assert platform.letters() == letters


async def _ask(platform: InCluster, url: str, ended: asyncio.Event) -> list[Any]:
    """Ask again and again, and a last time after the end; none of it may fail."""
    answers = []
    while True:
        is_last = ended.is_set()
        answers.append(await asyncio.to_thread(platform.predict, url))
        if is_last:
            return answers
        await asyncio.sleep(PAUSE_SECONDS)


def _kill_on_the_way(platform: InCluster, replicas: Replicas, later: so1s.PublishedModel) -> None:
    """Kill who leads while a version is built, rolled out and routed, and its requests are charged."""
    builders = until(lambda: _builders(replicas), SECONDS)
    replicas.kill_leader("builder")
    replicas.kill(*filter(None, builders))
    for service in ("collector", "billing", "console"):
        replicas.kill_leader(service)
    _wait_for(platform, DeploymentRequested, later)
    replicas.kill_leader("deployer")
    _wait_for(platform, DeploymentReady, later)
    platform.say(WeightsChanged(account=ACCOUNT, endpoint=MODEL, weights={MODEL: 7}))
    replicas.kill_leader("router")
    later.wait_until_serving(SECONDS)


def _kill_who_tells(platform: InCluster, replicas: Replicas, failing: so1s.PublishedModel) -> None:
    """Kill who leads the alerters when there is something to tell."""
    _wait_for(platform, BuildFailed, failing)
    replicas.kill_leader("alerter")


def _builders(replicas: Replicas) -> list[str | None]:
    """Who builds the later version; None where that is done already."""
    is_later = (builds.c.account == ACCOUNT) & (builds.c.model == MODEL) & (builds.c.version == "2")
    started = select(builds.c.holder).where(is_later, builds.c.state != "queued")
    return [holder for (holder,) in replicas.rows("builder", started)]


def _wait_for(platform: InCluster, kind: type[Event], published: so1s.PublishedModel) -> None:
    """Wait for an event of the chain that was published."""
    chain = published.event_id
    until(lambda: [each for each in platform.events(kind) if each.correlation_id == chain], SECONDS)


def _assert_runs(platform: InCluster) -> None:
    until(lambda: platform.weights(MODEL, ACCOUNT) == {MODEL: 7})
    until(lambda: [each["version"] for each in platform.living(MODEL, ACCOUNT)] == ["2"])
    deployment = platform.deployment(MODEL, ACCOUNT)
    assert (deployment["revision"], deployment["state"]) == (2, "ready")


def _assert_charged(platform: InCluster, replicas: Replicas, requests: int) -> None:
    """Each request is charged once, and each window as it was sampled."""
    until(lambda: _requests(_charged(replicas)) >= requests, SECONDS)
    until(lambda: _sampled(platform).items() <= _charged(replicas).items())
    assert _requests(_charged(replicas)) == requests
    assert platform.get("billing", f"bills/{ACCOUNT}/recomputed")["equal"]


def _requests(quantities: Mapping[Metered, int]) -> int:
    return sum(quantity for (_, meter), quantity in quantities.items() if meter == "requests")


def _charged(replicas: Replicas) -> dict[Metered, int]:
    """What the ledger has in all."""
    of_account = (entries.c.account == ACCOUNT) & postings.c.meter.is_not(None)
    columns = (entries.c.window, postings.c.meter)
    quantities = select(*columns, func.sum(postings.c.quantity)).join(entries).where(of_account)
    rows = replicas.rows("billing", quantities.group_by(*columns))
    return {(window, meter): int(quantity) for window, meter, quantity in rows if quantity}


def _sampled(platform: InCluster) -> dict[Metered, int]:
    """What was said; a correction takes the place of what was said of the window before."""
    told = [each.event for kind in (UsageSampled, UsageCorrected) for each in _told(platform, kind)]
    said = {(window_key(each), meter): number for each in told for meter, number in each.quantities.items()}
    return {metered: quantity for metered, quantity in said.items() if quantity}


def _assert_told_once(platform: InCluster, replicas: Replicas, later: so1s.PublishedModel) -> None:
    for kind, subject in TOLD_ONCE.items():
        subjects = Counter(map(subject, _told(platform, kind)))
        assert subjects, kind
        assert set(subjects.values()) == {1}, (kind, subjects.most_common(3))
    assert len(platform.messages(BROKEN)) == 1
    incidents = platform.get("alerter", f"incidents?account={ACCOUNT}")["incidents"]
    assert len([each for each in incidents if BROKEN in each["subject"]]) == 1
    until(lambda: RoutesApplied.type in _heard(replicas, later))
    counted = Counter(_heard(replicas, later))
    assert [counted[kind.type] for kind in (ModelUploaded, ImageBuilt, DeploymentReady)] == [1, 1, 1]


def _heard(replicas: Replicas, published: so1s.PublishedModel) -> list[str]:
    """The types of the events of a chain that the console knows."""
    of_chain = chain_events.c.correlation_id == published.event_id
    rows = replicas.rows("console", select(chain_events.c.event).where(of_chain))
    return [json.loads(event)["type"] for (event,) in rows]


def _told(platform: InCluster, kind: type[E]) -> list[Received[E]]:
    """The account's events of a type; what has an id that was there before is a repetition."""
    found = {each.id: each for each in platform.events(kind) if each.event.account == ACCOUNT}
    return [*found.values()]
