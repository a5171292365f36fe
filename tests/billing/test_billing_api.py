from datetime import timedelta

import httpx
import pytest
from sqlalchemy import insert
from starlette.applications import Starlette

from services.billing import rebuild
from services.billing.api import routes
from services.billing.store import archive, archived_page, bill_lines
from tests.billing.usage import DAY, PRICES, received, sampled

both = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def api(store, deliver):
    """The API of a ledger with one account's replica and gateway on two days, and another account."""
    requests = sampled(replica="gateway", quantities={"requests": 1000}, window_start=DAY + timedelta(days=1))
    await deliver(received(sampled()), received(requests, "e2"), received(sampled(account="shop"), "e3"))
    app = Starlette(routes=routes(store, PRICES))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://billing") as client:
        yield client


@both
async def test_a_bill_is_broken_down_by_model_and_resource(api):
    bill = (await api.get("/v1/bills/risk")).json()
    assert bill["rows"][0] == {
        "model": "fraud",
        "resource": "cpu_reserved",
        "quantity": 2_500_000,
        "usage": "0.000694 vCPU-hour",
        "amount_nano_usd": 27_778,
        "amount_usd": "0.000027778",
    }
    assert bill["total"] == {"amount_nano_usd": 231_250, "amount_usd": "0.000231250"}


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("user", [{"user": "jiho"}]),
        ("day", [{"day": "2026-11-24"}, {"day": "2026-11-25"}]),
        ("version,deployment", [{"version": "3", "deployment": "fraud"}]),
        ("", [{}]),
    ],
)
async def test_a_bill_is_broken_down_by_what_is_asked_for(api, by, groups):
    bill = (await api.get("/v1/bills/risk", params={"by": by})).json()
    shown = [{name: value for name, value in row.items() if "amount" not in name} for row in bill["rows"]]
    assert shown == groups
    assert bill["total"]["amount_nano_usd"] == 231_250


@both
async def test_days_are_included_at_both_ends(api):
    first = (await api.get("/v1/bills/risk?from=2026-11-24&to=2026-11-24")).json()
    second = (await api.get("/v1/bills/risk?from=2026-11-25")).json()
    assert [bill["total"]["amount_nano_usd"] for bill in (first, second)] == [31_250, 200_000]


async def test_all_accounts_are_summed(api):
    bill = (await api.get("/v1/bills")).json()
    assert {row["account"]: row["amount_nano_usd"] for row in bill["rows"]} == {
        "risk": 231_250,
        "shop": 31_250,
    }


async def test_an_account_without_usage_owes_nothing(api):
    bill = (await api.get("/v1/bills/nobody")).json()
    assert (bill["rows"], bill["total"]["amount_usd"]) == ([], "0.000000000")


@both
async def test_the_recomputed_bill_equals_the_ledgers(api):
    bill = (await api.get("/v1/bills/risk")).json()
    again = (await api.get("/v1/bills/risk/recomputed")).json()
    assert (again["equal"], again["differences"]) == (True, [])
    assert (again["rows"], again["total"]) == (bill["rows"], bill["total"])


async def test_a_ledger_that_lacks_an_archived_event_is_found_out(api, store):
    async with store.transaction() as tx:
        ((_, event),) = await archived_page(tx.connection, "shop", 0)
        foreign = event.replace('"account":"shop"', '"account":"risk"').replace('"u1"', '"u9"')
        await tx.execute(insert(archive), {"account": "risk", "event": foreign})
    again = (await api.get("/v1/bills/risk/recomputed?by=")).json()
    assert (again["equal"], again["differences"][0]["amount_nano_usd"]) == (False, -31_250)


@pytest.mark.parametrize("query", ["by=colour", "from=yesterday", "from=2026-11-25&to=2026-11-24"])
async def test_a_wrong_question_is_answered_with_what_is_allowed(api, query):
    answer = await api.get(f"/v1/bills/risk?{query}")
    assert answer.status_code == 400
    assert "allowed" in answer.json()["error"]


@both
async def test_what_is_booked_while_a_bill_is_recomputed_is_no_difference(api, deliver, monkeypatch):
    async def late(*asked):
        await deliver(received(sampled(replica="late"), "late"))
        return await bill_lines(*asked)

    monkeypatch.setattr(rebuild, "bill_lines", late)
    assert (await api.get("/v1/bills/risk/recomputed")).json()["equal"]
