"""The builder's HTTP API."""

import httpx
import pytest
from starlette.applications import Starlette

from services.builder import logs
from services.builder.api import routes
from so1s.events import Artifact, ModelUploaded


@pytest.fixture
async def http(shop):
    app = Starlette(routes=routes(shop.store, builds_per_account=1))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://builder") as client:
        yield client


async def test_builds_of_an_account_are_listed(shop, http, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.say(shop.uploaded(account="ads", data=skops_model))
    await shop.worker().work()

    (build,) = (await http.get("/v1/builds", params={"account": "risk"})).json()["builds"]

    assert (build["model"], build["version"], build["number"], build["state"]) == ("fraud", "3", 1, "built")
    assert build["finished_at"] > build["queued_at"]


async def test_an_account_must_be_said(http):
    assert (await http.get("/v1/builds")).status_code == 400


async def test_the_log_of_a_version_is_its_present_builds(shop, http, skops_model):
    await shop.say(shop.uploaded(data=b"broken"))
    log = "/v1/builds/risk/fraud/3/log"
    assert (await http.get(log)).text == ""

    await shop.worker().work()
    assert "failed: no file is a model" in (await http.get(log)).text

    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    assert "failed" not in (await http.get(log)).text


async def test_the_log_of_an_unknown_version_is_not_found(http):
    assert (await http.get("/v1/builds/risk/fraud/9/log")).status_code == 404


async def test_a_log_that_is_kept_no_more_is_gone(shop, http, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    await logs.prune(shop.store, days=0)
    assert (await http.get("/v1/builds/risk/fraud/3/log")).status_code == 410


async def listed(http) -> list[tuple[str, str, str | None]]:
    found = (await http.get("/v1/builds", params={"account": "risk"})).json()["builds"]
    return [(each["version"], each["state"], each["reason"]) for each in found]


async def test_an_upload_that_was_refused_is_listed_and_says_why(shop, http):
    await shop.say(
        ModelUploaded(account="risk", model="fraud", version="3", artifact=Artifact(uri="file:///etc/passwd"))
    )
    assert await listed(http) == [("3", "refused", "artifact")]
    answer = await http.get("/v1/builds/risk/fraud/3/log")
    assert answer.status_code == 404
    assert "was refused: artifact.uri: 'file:///etc/passwd' is not allowed" in answer.json()["error"]


async def test_a_refused_upload_stands_beside_the_version_that_is_built_until_one_is_taken(
    shop, http, skops_model
):
    built = shop.uploaded(data=skops_model)
    await shop.say(built)
    await shop.worker().work()
    await shop.say(shop.uploaded(data=b"other", name="other", sha256="b" * 64))
    assert await listed(http) == [("3", "refused", "version_conflict"), ("3", "built", None)]

    await shop.say(built)
    await shop.worker().work()
    assert await listed(http) == [("3", "built", None)]


async def test_builds_are_chosen_by_model_and_state(shop, http, skops_model):
    await shop.say(shop.uploaded("1", data=b"broken"))
    await shop.worker().work()
    await shop.say(shop.uploaded("2", data=skops_model))
    unknown = ModelUploaded(
        account="risk", model="churn", version="9", artifact=Artifact(uri="file:///etc/passwd")
    )
    await shop.say(unknown)

    async def versions(**asked) -> list[str]:
        found = (await http.get("/v1/builds", params={"account": "risk", **asked})).json()["builds"]
        return [each["version"] for each in found]

    assert await versions() == ["9", "2", "1"]
    assert await versions(state="failed") == ["1"]
    assert await versions(model="fraud") == ["2", "1"]
    assert await versions(model="fraud", state="refused") == []
    assert await versions(state="refused") == ["9"]


async def test_a_build_that_waits_says_for_what(shop, http, skops_model):
    async def waits_for(version: str) -> str | None:
        asked = await http.get(f"/v1/builds/risk/fraud/{version}/log/lines")
        return asked.json()["build"]["waits_for"]

    await shop.say(shop.uploaded("1", data=skops_model))
    assert await waits_for("1") == "a free worker"
    assert await shop.worker()._claim()
    await shop.say(shop.uploaded("2", data=skops_model, priority="high"))
    assert await waits_for("1") is None
    assert "account's 1 running builds" in await waits_for("2")
