"""A console over HTTP, on a real store."""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import select

from services.console import tokens
from services.console.app import build
from services.console.domain.scopes import Scope
from services.console.settings import Settings
from so1s.service import Service
from so1s.store.tables import outbox
from tests.console.building import Served, builder_of_two_accounts
from tests.tables import make_tables

MIGRATIONS = "services.console.migrations"


@dataclass
class Asked:
    """A console and a client of it."""

    service: Service
    http: httpx.AsyncClient

    async def token(self, *scopes: str, account: str = "risk", days: int = 1) -> str:
        async with self.service.store.transaction() as tx:
            said = frozenset(map(Scope, scopes or Scope))
            made = await tokens.create(tx, account, said, days=days, name="test", actor="operator:me")
        return made.text

    async def post(self, token: str, event: dict | list | bytes, **headers: str) -> httpx.Response:
        """Say one structured event, or a batch."""
        batch = "-batch" if isinstance(event, list) else ""
        said = {"content-type": f"application/cloudevents{batch}+json", **bearer(token), **headers}
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return await self.http.post("/v1/events", content=body, headers=said)

    async def waiting(self) -> list:
        """What is recorded for Kafka."""
        async with self.service.store.read() as connection:
            return list(await connection.execute(select(outbox).order_by(outbox.c.position)))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def uploaded(event_id: str = "run-7", **changes) -> dict:
    """A structured ModelUploaded."""
    data = {
        "account": "risk",
        "model": "fraud",
        "version": "3",
        "artifact": {"uri": "file:///artifacts/risk/fraud/3/x/model.onnx"},
    }
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "airflow/risk_daily",
        "type": "so1s.ModelUploaded.v1",
        "data": data | changes,
    }


def weights(event_id: str = "w-1", **attributes) -> dict:
    data = {"account": "risk", "endpoint": "fraud", "weights": {"fraud": 1}}
    event = {"specversion": "1.0", "id": event_id, "source": "release", "type": "so1s.WeightsChanged.v1"}
    return event | attributes | {"data": data}


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
async def builder(tmp_path) -> AsyncIterator[str]:
    """The URL of a builder, which the console of the same test is told of."""
    async with builder_of_two_accounts(tmp_path) as url:
        yield url


@pytest.fixture
def settings(tmp_path, request: pytest.FixtureRequest) -> Settings:
    """A laptop's; on PostgreSQL where a test is parametrized with it."""
    url, schema = f"sqlite+aiosqlite:///{tmp_path}/console.db", None
    if getattr(request, "param", "sqlite") == "postgresql":
        url, schema = request.getfixturevalue("postgres"), f"console_{uuid.uuid4().hex}"
    return Settings(
        kafka="127.0.0.1:1",
        database_url=url,
        database_schema=schema,
        artifacts=f"file://{tmp_path}/artifacts/",
        builder_url=request.getfixturevalue("builder") if "builder" in request.fixturenames else None,
        instance="console-0",
        http_port=0,
    )


@pytest.fixture
async def console(settings) -> AsyncIterator[Asked]:
    """A console whose Kafka is away: what it accepts stays in its outbox."""
    service = build(settings)
    await make_tables(service.store, MIGRATIONS)
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as http:
        yield Asked(service, http)
    await service.store.close()


@pytest.fixture
def serve():
    """Runs a console's HTTP side on a real server."""
    return Serving


class Serving:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._served = Served(service.app)

    async def __aenter__(self) -> Asked:
        url = await self._served.__aenter__()
        self._http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)
        return Asked(self._service, self._http)

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()
        await self._served.__aexit__(*error)
