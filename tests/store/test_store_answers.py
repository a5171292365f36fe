"""Whoever asked is owed an answer, once."""

import asyncio

from so1s.events.envelope import Cause
from so1s.store import answers
from so1s.store.answers import Answer


def cause(number):
    return Cause(
        f"upload-{number}", f"chain-{number}", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )


async def promise(store, number, subject="risk/fraud", revision=1, **about):
    async with store.transaction(cause(number)) as tx:
        await answers.promise(tx, subject, revision, **about)


async def take(store, subject="risk/fraud", revision=1):
    async with store.transaction() as tx:
        return await answers.take(tx, subject, revision)


async def test_everyone_who_asked_is_owed_an_answer_in_the_order_of_asking(store, clock):
    for number in (2, 1, 3):
        await promise(store, number, request=f"wish {number}")
    now = clock().timestamp()
    assert await take(store) == [
        Answer("risk/fraud", 1, now, cause(number), f"wish {number}") for number in (2, 1, 3)
    ]
    assert await take(store) == []


async def test_what_is_owed_for_a_later_revision_or_something_else_stays(store):
    await promise(store, 1)
    await promise(store, 2, revision=2)
    await promise(store, 3, subject="risk/other")
    assert [each.cause for each in await take(store)] == [cause(1)]
    async with store.read() as connection:
        owed = await answers.due(connection)
    assert {subject: [each.cause for each in found] for subject, found in owed.items()} == {
        "risk/fraud": [cause(2)],
        "risk/other": [cause(3)],
    }


async def test_who_asks_for_more_waits_for_the_later_revision(store):
    await promise(store, 1)
    await promise(store, 1, revision=2)
    assert await take(store) == []
    assert [each.revision for each in await take(store, revision=2)] == [2]


async def test_two_replicas_never_give_the_same_answer(store, open_store):
    for number in range(5):
        await promise(store, number)
    taken = await asyncio.gather(*(take(replica) for replica in (store, open_store())))
    assert sorted(each.cause.event_id for found in taken for each in found) == [
        f"upload-{number}" for number in range(5)
    ]
