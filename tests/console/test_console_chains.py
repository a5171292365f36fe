"""What became of what was said."""

import asyncio
import json
import time
from contextlib import aclosing
from datetime import timedelta

import pytest
from pydantic import SecretStr

from services.console import chains
from services.console.handlers import consumer
from so1s import testing
from so1s.events import RoutesApplied
from so1s.events.codec import unwrap
from so1s.events.envelope import Received
from so1s.events.event import event_class
from so1s.platform import ClientSettings
from so1s.ways.http import HttpWay
from tests import played_events as played
from tests.console.conftest import bearer, uploaded

NOTHING = {"known": 0, "events": []}
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


@pytest.fixture
def fill(console):
    async def remember(*numbers, ago_seconds=0):
        """Keep events whose ids are numbers, as a replica does that began so long ago."""
        async with console.service.store.transaction() as tx:
            tx.now -= timedelta(seconds=ago_seconds)
            await chains.remember(tx, [applied(number) for number in numbers])

    return remember


def applied(number):
    event = played.applied("fraud", number)
    return Received(
        event, f"{number:04}", "so1s/router", None, cause_id="", correlation_id="run-7", traceparent=""
    )


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
    assert (await get(stranger)).json() == (await get(stranger, "nothing")).json() == NOTHING


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
    assert time.monotonic() - began < 20  # it did not wait to the end


async def test_a_client_that_waits_in_vain_is_answered_with_what_there_is(console, get):
    token = await console.token()
    began = time.monotonic()
    assert said(await get(token, wait_seconds=1)) == []
    assert time.monotonic() - began >= 1


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


@both
async def test_a_long_chain_is_read_to_its_end_a_page_at_a_time(console, get, fill):
    await fill(*range(1, 1101))
    token, known, read = await console.token(), 0, set()
    while known < 1100:
        answer = (await get(token, known=known)).json()
        assert len(answer["events"]) <= 500
        assert answer["known"] > known
        known = answer["known"]
        read |= {int(each["id"]) for each in answer["events"]}
    assert (known, read) == (1100, set(range(1, 1101)))


async def test_who_knows_a_long_chain_waits_for_its_next_event(console, get, fill):
    await fill(*range(1, 601))
    token = await console.token()
    waiting = asyncio.create_task(get(token, known=600, wait_seconds=20))
    assert not (await asyncio.wait([waiting], timeout=0.5))[0]
    await fill(601)
    answer = (await waiting).json()
    assert (answer["known"], answer["events"][-1]["id"]) == (601, "0601")


async def test_an_event_that_another_replica_recorded_late_is_read_all_the_same(console, get, fill):
    await fill(*range(1, 600))
    await fill(601, ago_seconds=-5)
    await fill(600)
    answer = (await get(await console.token(), known=600)).json()
    assert [each["id"] for each in answer["events"][-2:]] == ["0600", "0601"]


async def test_who_knows_more_than_is_kept_is_told_what_there_is(console, get, fill):
    await fill(1)
    answer = (await get(await console.token(), known=700)).json()
    assert (answer["known"], len(answer["events"])) == (1, 1)


async def test_a_client_follows_a_long_chain_to_its_end(console, serve, fill):
    await fill(*range(1, 601))
    seen = set()
    async with serve(console.service) as served:
        settings = ClientSettings(url=str(served.http.base_url), token=SecretStr(await console.token()))
        way = HttpWay(settings)
        assert len(await way.past("run-7", [RoutesApplied])) == 600
        async with asyncio.timeout(15), aclosing(way.chain("run-7", [RoutesApplied])) as told:
            while len(seen) < 600:
                seen |= {each.id for each in await anext(told)}
            await fill(601)
            while "0601" not in seen:
                seen |= {each.id for each in await anext(told)}
