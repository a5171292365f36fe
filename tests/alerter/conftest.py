import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from services.alerter.adapters.messenger_slack import SlackMessenger
from services.alerter.domain.rules import Rulebook
from services.alerter.handlers import consumer
from services.alerter.reconciler import Teller
from so1s.events import GatewaySampled, HealthSampled
from so1s.events.envelope import Received
from so1s.store import Store
from so1s_local.slack import LocalSlack
from so1s_local.slack_channel import CHANNEL_ID, CHANNEL_NAME, Channel
from tests.tables import make_tables

TOKEN = "xoxb-test"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def sample():
    """Makes the n-th window of 5 s after noon; a healthy one where nothing else is said."""

    def make(window: int = 0, **fields):
        defaults = {
            "account": "risk",
            "endpoint": "fraud",
            "variant": "fraud-next",
            "model": "fraud",
            "version": "2",
            "window_start": NOON + timedelta(seconds=5 * window),
            "window_seconds": 5,
            "requests": 100,
            "errors": 0,
            "latency_p50_ms": 2.0,
            "latency_p90_ms": 4.0,
            "latency_p99_ms": 8.0,
            "replicas_ready": 1,
            "replicas_desired": 1,
            "restarts": 0,
        }
        return HealthSampled(**defaults | fields)

    return make


@pytest.fixture
def gateway():
    """Makes the gateway's n-th window of 5 s after noon, in which it answered so many of 5 scrapes."""

    def make(window, answered):
        start = NOON + timedelta(seconds=5 * window)
        asked = {"account": "so1s", "gateway": "envoy", "window_start": start, "window_seconds": 5}
        return GatewaySampled(**asked, scrapes=5, answered=answered)

    return make


@pytest.fixture
def rulebook():
    return Rulebook.from_yaml("""
        rules:
          - {name: availability, severity: critical, when: {availability_below: 0.95, for_seconds: 10}}
          - {name: latency, when: {latency_p99_above_ms: 500, for_seconds: 0}}
          - {name: restart-loop, severity: critical, when: {restarts_at_least: 3, within_seconds: 60}}
          - {name: build-failed, when: {event: BuildFailed, except_reasons: [cancelled]}}
          - {name: deployment-failed, severity: critical, when: {event: DeploymentFailed}}
          - {name: routes-degraded, severity: critical, when: {event: RoutesDegraded}}
          - {name: gateway, severity: critical, when: {gateway_answers_below: 0.5, for_seconds: 10}}
          - {name: routes-rejected, when: {event: RoutesRejected}}
    """)


@pytest.fixture
async def state(request, tmp_path):
    """The alerter's migrated store: in SQLite, or in the database that a test names by its parameter."""
    url, schema = f"sqlite+aiosqlite:///{tmp_path}/alerter.db", None
    if getattr(request, "param", "sqlite") == "postgres":
        url, schema = request.getfixturevalue("postgres"), f"alerter_{uuid.uuid4().hex}"
    store = Store(url, producer="alerter", schema=schema)
    await make_tables(store, "services.alerter.migrations")
    yield store
    await store.close()


@pytest.fixture
def hear(state, rulebook):
    """Gives events to the handlers, as the broker would; answers the events that they emit."""
    consumer.provide(rulebook)
    by_class = {subscription.event_class: subscription for subscription in consumer.subscriptions}

    async def hear(*events, time=NOON):
        emitted = []
        for event in events:
            subscription = by_class[type(event)]
            received = Received(event, "id", "test", time, "", "id", "")
            async with state.transaction(None if subscription.batch else received.cause) as tx:
                if subscription.batch:
                    await subscription.call_batch([received], tx)
                else:
                    await subscription.call(received, tx)
                emitted += [record.topic for record in tx.records]
        return emitted

    return hear


class RunningSlack:
    """A local Slack on a port of its own."""

    def __init__(self, path):
        self.path = path
        self.url = ""

    async def start(self):
        channel = Channel(CHANNEL_ID, CHANNEL_NAME, self.path)
        config = uvicorn.Config(LocalSlack(channel, TOKEN).app, port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(60):
            while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def stop(self):
        self._server.should_exit = True
        await self._task

    async def messages(self):
        async with httpx.AsyncClient(base_url=self.url) as http:
            return (await http.get("/messages.json")).json()["messages"]

    async def faults(self, **faults):
        async with httpx.AsyncClient(base_url=self.url) as http:
            (await http.post("/faults", json=faults)).raise_for_status()


@pytest.fixture
async def slack(tmp_path):
    running = RunningSlack(tmp_path / "slack.json")
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def messenger(slack):
    return SlackMessenger(f"{slack.url}/api/", SecretStr(TOKEN), CHANNEL_ID, {}, timeout_seconds=5)


@pytest.fixture
def teller(state, messenger):
    return Teller(state, messenger)


@pytest.fixture
def kafka(own_kafka):
    return own_kafka
