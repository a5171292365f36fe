"""What the router's neighbours say to it, and what people read of it."""

import httpx
from starlette.applications import Starlette

from services.router import api
from so1s.events import (
    CheckFinished,
    DeploymentRetiring,
    EndpointRemovalRequested,
    WeightsChanged,
)
from so1s.events.codec import unwrap
from tests.router.driver import URLS, ready

HOST = "fraud--risk.so1s.localhost"


def weights(fraud: int = 0, **fields) -> WeightsChanged:
    given = fields.pop("weights", {"fraud": fraud})
    return WeightsChanged(account="risk", endpoint="fraud", weights=given, changed_by="user:jiho", **fields)


def checked(deployment: str, *, passed: bool, revision: int = 1) -> CheckFinished:
    news = ready(deployment, revision)
    return CheckFinished.of(news, check="quality", passed=passed, reason="accuracy 0.710, needs 0.900")


def retiring(deployment: str, revision: int = 1) -> DeploymentRetiring:
    return DeploymentRetiring(account="risk", deployment=deployment, revision=revision, endpoint="fraud")


def causes(router, count: int) -> list[tuple[str, str]]:
    """What the last events that were said answer: the event's id and its chain's."""
    said = [unwrap(record.headers, record.value) for record in router.said.records[-count:]]
    assert len({each.id for each in said}) == count
    return [(each.cause_id, each.correlation_id) for each in said]


def removal(**fields) -> EndpointRemovalRequested:
    return EndpointRemovalRequested(
        **{"account": "risk", "endpoint": "fraud", "requested_by": "jiho"} | fields
    )


async def seen(store) -> list[dict]:
    """The endpoints of `risk`, as people read them."""
    app = Starlette(routes=api.routes(store, URLS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router") as http:
        return (await http.get("/v1/endpoints?account=risk")).json()["endpoints"]
