"""Whose build is next, with several workers at once: limits of accounts and priorities within them."""

import asyncio
from collections import Counter

import pytest

from services.builder.domain.build import Build
from so1s.events import ImageBuilt
from so1s.store import Store
from tests.builder.working import both_databases


async def claims(shop, *names: str, limit: int) -> list[Build]:
    """What that many workers get that look for work at the same time."""
    workers = [shop.worker(name, builds_per_account=limit, lease_seconds=600) for name in names]
    return [each for each in await asyncio.gather(*(worker._claim() for worker in workers)) if each]


async def queue(shop, data: bytes, *versions: str, account: str = "risk", **said) -> None:
    for version in versions:
        await shop.say(shop.uploaded(version=version, account=account, data=data, **said))


@both_databases
async def test_workers_that_claim_at_once_never_exceed_an_accounts_limit_nor_leave_room_unused(
    shop, skops_model
):
    await queue(shop, skops_model, *"12345678")
    await queue(shop, skops_model, *"123", account="ads")

    claimed = await claims(shop, *"abcdefghij", limit=3)

    assert Counter(build.uploaded.account for build in claimed) == {"risk": 3, "ads": 3}
    assert len({build.name for build in claimed}) == 6
    assert await claims(shop, *"klm", limit=3) == []
    assert len(await claims(shop, *"klm", limit=4)) == 1


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_replicas_with_connections_of_their_own_never_exceed_an_accounts_limit(
    shop, skops_model, request
):
    url, schema = request.getfixturevalue("postgres"), shop.store._schema
    replicas = [Store(url, producer="builder", schema=schema) for _ in range(3)]
    try:
        for round_ in range(5):
            account = f"team-{round_}"
            await queue(shop, skops_model, *"123456", account=account)
            workers = [
                shop.worker(f"{round_}/{n}", builds_per_account=2, lease_seconds=600) for n in range(9)
            ]
            for n, worker in enumerate(workers):
                worker._store = replicas[n % 3]
            claimed = await asyncio.gather(*(worker._claim() for worker in workers))
            assert [build.uploaded.account for build in claimed if build] == [account, account]
    finally:
        await asyncio.gather(*(each.close() for each in replicas))


@both_databases
async def test_what_a_dead_worker_held_is_not_counted_and_may_be_taken_over(shop, skops_model):
    await queue(shop, skops_model, "1", "2")
    assert await shop.worker("dead", lease_seconds=-1, builds_per_account=1)._claim()

    assert [build.name for build in await claims(shop, "b", limit=1)] == ["risk/fraud@1"]
    assert await claims(shop, "c", limit=1) == []


@both_databases
async def test_a_worker_that_was_started_again_goes_on_at_its_accounts_limit(shop, skops_model):
    await queue(shop, skops_model, "1", "2")
    (before,) = await claims(shop, "a", limit=1)
    (after,) = await claims(shop, "a", limit=1)
    assert (before.name, after.tries) == (after.name, 2)


@both_databases
async def test_within_an_account_the_urgent_is_built_first_and_the_rest_in_its_order(shop, skops_model):
    await queue(shop, skops_model, "1", priority="low")
    await queue(shop, skops_model, "2", "3")
    await queue(shop, skops_model, "4", priority="high")
    await queue(shop, skops_model, "1", account="ads")
    await shop.worker().work()

    built = [each for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    assert [each.version for each in built if each.account == "risk"] == ["4", "2", "3", "1"]
    assert (
        built.index(next(each for each in built if each.account == "ads")) <= 1
    )  # accounts still take turns


@both_databases
async def test_a_build_that_waits_is_hurried_by_an_upload_that_is_urgent_and_held_up_by_none(
    shop, skops_model
):
    await queue(shop, skops_model, "1", "2", "3")
    await queue(shop, skops_model, "2", priority="high")
    await queue(shop, skops_model, "1", priority="low")
    await shop.worker().work()

    order = [each.version for each in await shop.emitted() if isinstance(each, ImageBuilt)]
    assert list(dict.fromkeys(order)) == ["2", "1", "3"]
