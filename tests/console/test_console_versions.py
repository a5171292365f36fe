"""Which versions a model has, for who wants the next number."""

import pytest

from services.console.handlers import consumer
from so1s import testing
from so1s.events import ModelUploaded
from tests.console.conftest import bearer, uploaded

both = pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)


async def listed(console, token, model="fraud"):
    answer = await console.http.get(f"/v1/models/{model}/versions", headers=bearer(token))
    return [(each["version"], each["sha256"]) for each in answer.json()["versions"]]


def version(number, sha256=None, account="risk"):
    artifact = {"uri": "s3://models/risk/fraud/3.skops", "sha256": sha256}
    return {"account": account, "model": "fraud", "version": number, "artifact": artifact}


@both
async def test_a_version_that_was_said_here_is_known_at_once_with_its_first_bytes(console):
    token = await console.token("publish")
    for event_id, sha256 in (("one", "a" * 64), ("two", "b" * 64)):
        assert (await console.post(token, uploaded(event_id, **version("3", sha256)))).status_code == 202
    assert await listed(console, token) == [("3", "a" * 64)]
    assert await listed(console, token, "other") == []


@both
async def test_a_version_that_was_said_over_kafka_is_known_too_to_its_account_alone(console):
    for account in ("risk", "shop"):
        said = ModelUploaded(**version("7", account=account))
        await testing.run(consumer, said, store=console.service.store)
    assert await listed(console, await console.token("read")) == [("7", None)]


async def test_a_stranger_is_told_nothing(console):
    assert (await console.http.get("/v1/models/fraud/versions")).status_code == 401
