"""What became of what was said."""

import asyncio
import json
import time

import pytest

from services.console import chains
from services.console.handlers import consumer
from so1s import testing
from so1s.events.codec import unwrap
from so1s.events.event import event_class
from tests import played_events as played
from tests.console.conftest import bearer, uploaded

both = pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def get(console):
    async def read(token, chain="run-7", **params):
        return await console.http.get(f"/v1/chains/{chain}", params=params, headers=bearer(token))

    return read


@pytest.fixture
def tell(console):
    async def deliver(event, chain="run-7"):
        await testing.run(consumer, event, event_id=chain, store=console.service.store)

    return deliver


def said(answer):
    envelopes = [unwrap((), json.dumps(each).encode()) for each in answer.json()["events"]]
    return [each.open(event_class(each.type)).event for each in envelopes]


@both
async def test_what_was_said_is_in_its_chain_at_once(console, get):
    token = await console.token("publish")
    await console.post(token, uploaded())
    (event,) = said(await get(token))
    assert event.model == "fraud"


@both
async def test_what_the_services_answer_follows(console, get, tell):
    token = await console.token()
    await console.post(token, uploaded())
    for _ in range(2):  # delivery is at least once
        await tell(played.build_failed("fraud"))
    assert said(await get(token))[1:] == [played.build_failed("fraud")]


async def test_a_chain_of_another_account_is_as_unknown_as_none(console, get, tell):
    await tell(played.build_failed("fraud"))
    stranger = await console.token(account="shop")
    assert (await get(stranger)).json() == (await get(stranger, "nothing")).json() == {"events": []}


async def test_an_id_may_hold_slashes(console, get, tell):
    await tell(played.build_failed("fraud"), "manual/2026-01-01T00:00:00+00:00")
    assert len(said(await get(await console.token(), "manual/2026-01-01T00%3A00%3A00%2B00%3A00"))) == 1


async def test_a_client_that_waits_is_answered_by_the_next_event(console, get, tell):
    token = await console.token()
    await console.post(token, uploaded())
    waiting = asyncio.create_task(get(token, known=1, wait_seconds=20))
    began = time.monotonic()
    await asyncio.sleep(0)
    await tell(played.build_failed("fraud"))
    assert len(said(await waiting)) == 2
    assert time.monotonic() - began < 5


async def test_a_client_that_waits_in_vain_is_answered_with_what_there_is(console, get):
    token = await console.token()
    began = time.monotonic()
    assert said(await get(token, wait_seconds=1)) == []
    assert 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize(
    "params", [{"wait_seconds": 31}, {"wait_seconds": "x"}, {"known": "-1"}, {"known": "9" * 5000}]
)
async def test_a_wrong_question_names_the_field(console, get, params):
    answer = await get(await console.token(), **params)
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["field"] == next(iter(params))


async def test_a_full_chain_takes_no_more_of_a_tenant(console):
    token = await console.token()
    await console.post(token, uploaded())

    def weights(number):
        data = {"account": "risk", "endpoint": "fraud", "weights": {"fraud": 1}}
        attributes = {"id": f"w-{number}", "type": "so1s.WeightsChanged.v1", "correlationid": "run-7"}
        return uploaded() | attributes | {"data": data}

    assert (await console.post(token, [weights(number) for number in range(99)])).status_code == 202
    answer = await console.post(token, weights(99))
    assert answer.status_code == 400
    assert "fewer than 100 events" in answer.json()["detail"]


@both
async def test_old_chains_are_forgotten(console, get, tell):
    await tell(played.build_failed("fraud"))
    async with console.service.store.transaction() as tx:
        await chains.prune(tx, 1)
        assert await chains.size(tx.connection, "risk", "run-7") == 1
        await chains.prune(tx, 0)
        assert await chains.size(tx.connection, "risk", "run-7") == 0
