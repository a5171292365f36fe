"""The router without a broker: events in, rounds of its loop, events out."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.router.domain.deadlines import Deadlines
from services.router.domain.route import PublicUrls, Route
from services.router.handlers import consumer
from services.router.ports import Failure
from services.router.reconciler import Reconciler
from services.router.watchers import Waits
from so1s.events import DeploymentReady, DeploymentRequested, Event, Workload, event_class
from so1s.events.codec import decode, encode, unwrap
from so1s.events.envelope import Record
from so1s.loop import Loop
from so1s.store import Store

URLS = PublicUrls("http", "so1s.localhost", 8080)


@dataclass
class MemoryMesh:
    """Gateways that keep routes in memory.

    Those in `stuck` take nothing new, and a host in `failing` stays as it is.
    """

    gateways: list[dict[str, Route]] = field(default_factory=lambda: [{}])
    stuck: set[int] = field(default_factory=set)
    failing: dict[str, Failure] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    strange: set[str] = field(default_factory=set)

    async def apply(self, routes: Sequence[Route], *, keep_strangers: bool = False) -> Sequence[str]:
        wanted = {route.host: route for route in routes}
        self.told |= wanted.keys()
        free = [gateway for number, gateway in enumerate(self.gateways) if number not in self.stuck]
        self.strange = set().union(*free) - self.told if keep_strangers else set()
        hosts = set().union(wanted, *free) - self.strange
        changed = {host for host in hosts if any(gateway.get(host) != wanted.get(host) for gateway in free)}
        for gateway in free:
            staying = self.strange | self.failing.keys()
            kept = {host: route for host, route in gateway.items() if host in staying}
            gateway.clear()
            gateway.update({host: route for host, route in wanted.items() if host not in staying} | kept)
        return sorted(changed)

    async def served(self, host: str) -> Sequence[int | None]:
        return [gateway[host].revision if host in gateway else None for gateway in self.gateways]

    def failures(self) -> Mapping[str, Failure]:
        return self.failing

    def strangers(self) -> Sequence[str]:
        return sorted(self.strange)


class Said:
    """What was sent to Kafka, in its order."""

    def __init__(self):
        self.records: list[Record] = []

    async def send(self, records: Sequence[Record]) -> None:
        self.records.extend(records)


class Router:
    """A router whose loop turns when the test says so."""

    def __init__(self, store: Store, mesh: MemoryMesh):
        self.store = store
        self.mesh = mesh
        self.said = Said()
        self.deadlines(Deadlines(weights=600, checks=600, apply=15))

    def deadlines(self, deadlines: Deadlines) -> None:
        waits = Waits(self.store, deadlines)
        self.reconciler = Reconciler(self.store, self.mesh, waits, URLS, drift_seconds=0)
        consumer.provide(deadlines, Loop("reconcile", self.reconciler.step, every_seconds=1))

    async def take(self, *events: Event) -> list[Event]:
        """Handle events, then turn the loop once; answers what was said."""
        await self.handle(*events)
        return await self.turn()

    async def handle(self, *events: Event) -> list[str]:
        """Handle events; answers their ids."""
        ids = [str(uuid.uuid4()) for _ in events]
        for event, event_id in zip(events, ids, strict=True):
            subscription = next(each for each in consumer.subscriptions if each.event_class is type(event))
            given = encode(event, id=event_id, source="test", time=datetime.now(UTC), cause=None)
            received = decode(type(event), given.headers, given.value)
            async with self.store.transaction(received.cause) as tx:
                for produced in await subscription.call(received, tx):
                    tx.emit(produced)
        return ids

    async def turn(self) -> list[Event]:
        await self.reconciler.step()
        before = len(self.said.records)
        await self.store.outbox.flush(self.said)
        return [_event(record) for record in self.said.records[before:]]


def _event(record: Record) -> Event:
    envelope = unwrap(record.headers, record.value)
    return envelope.open(event_class(envelope.type)).event


class Clock:
    """A clock that the test moves on."""

    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def ready(deployment: str = "fraud", revision: int = 1, **fields) -> DeploymentReady:
    """A revision that became ready: version 1 at revision 1."""
    given = {
        "account": "risk",
        "deployment": deployment,
        "revision": revision,
        "model": "fraud",
        "version": str(revision),
        "endpoint": "fraud",
        "initial_percent": 0,
        "requires": [],
        "service": f"file:///world/risk--{deployment}.json",
        "url": "http://127.0.0.1:1",
        "replicas": 1,
        "user": "jiho",
        "seconds": 1.0,
    }
    return DeploymentReady(**given | fields)


def requested(deployment: str, endpoint: str | None = "fraud") -> DeploymentRequested:
    """A request for a deployment."""
    image = {"reference": "oci:/images@sha256:1", "digest": f"sha256:{'0' * 64}", "size_bytes": 1}
    workload = {"model": "fraud", "version": "1", "image": image, "endpoint": endpoint, "user": "jiho"}
    return DeploymentRequested(
        account="risk", deployment=deployment, workload=Workload.model_validate(workload), requested_by="jiho"
    )
