"""A deployer on a real cluster: from what is recorded to replicas, and back to events."""

from __future__ import annotations

import json

import httpx
from sqlalchemy import select
from starlette.applications import Starlette

from services.deployer import api
from services.deployer.alarm import Alarm
from services.deployer.domain.progress import Deadlines
from services.deployer.handlers import consumer
from services.deployer.reconciler import Reconciler
from so1s.events import (
    CheckFinished,
    DeploymentRequested,
    event_class,
)
from so1s.store.tables import outbox
from so1s.testing import run
from tests.deployer.conftest import until, workload

NAMES = {"account": "risk", "deployment": "fraud"}


class Deployer:
    """A deployer without a broker: its handlers, reconciler and store."""

    def __init__(self, machine, store):
        self.machine = machine
        self.store = store
        self.cluster = machine.cluster()
        self.alarm = Alarm()
        self.reconciler = self.make()

    def make(self, rollout=60.0, checks=60.0, poll_seconds=0.02, **parts):
        deadlines = Deadlines(rollout, checks)
        return Reconciler(
            self.store, self.cluster, self.alarm, deadlines=deadlines, poll_seconds=poll_seconds, **parts
        )

    async def tell(self, event, chain="test"):
        return await run(consumer, event, event_id=chain, store=self.store, provide=[self.alarm])

    async def request(self, version, chain="test", **changes):
        behaviour = changes.pop("behaviour", {})
        wanted = workload(self.machine.image(version, **behaviour), version, **changes)
        await self.tell(DeploymentRequested(**NAMES, workload=wanted, requested_by="jiho"), chain)

    async def answered(self, name):
        """The events of a type, each after the event that it answers."""
        sent = await self.sent(name)
        assert len({headers["ce_id"] for headers, _ in sent}) == len(sent)
        events = [event_class(headers["ce_type"]).from_json(value) for headers, value in sent]
        return [(headers["ce_causationid"], event) for (headers, _), event in zip(sent, events, strict=True)]

    async def check(self, ready, *, passed=True):
        """Give the verdict of `quality` on a revision that is ready."""
        await self.tell(CheckFinished.of(ready, check="quality", passed=passed, reason="accuracy 0.71"))

    async def shown(self):
        """What the API shows."""
        transport = httpx.ASGITransport(Starlette(routes=api.routes(self.store, self.cluster)))
        async with httpx.AsyncClient(transport=transport, base_url="http://deployer") as http:
            listed = (await http.get("/v1/deployments", params={"account": "risk"})).json()
        [deployment] = listed["deployments"]
        return deployment

    async def version_of(self, url):
        async with httpx.AsyncClient(trust_env=False) as http:
            return (await http.get(f"{url}/predict")).json()["version"]

    async def versions(self):
        """Of the replicas that take traffic."""
        return {await self.version_of(url) for url in self.machine.traffic()}

    async def sent(self, name):
        """The events of a type on the wire, in their order."""
        async with self.store.read() as connection:
            rows = (await connection.execute(select(outbox).order_by(outbox.c.position))).all()
        found = [(dict(json.loads(row.headers)), row.value) for row in rows]
        return [each for each in found if each[0]["ce_type"] == f"so1s.{name}.v1"]

    async def said(self, name):
        """The events of a type, in their order."""
        sent = await self.sent(name)
        return [event_class(headers["ce_type"]).from_json(value) for headers, value in sent]

    async def once(self, name, count=1):
        async def enough():
            events = await self.said(name)
            return events if len(events) >= count else None

        return (await until(enough))[count - 1]
