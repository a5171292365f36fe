"""The inbox knows what was handled, what was buried, and how often the rest was tried."""

from datetime import timedelta

import pytest

from so1s.store import inbox

EVENT = ("pipeline", "1")


async def settle(store, mark, source="pipeline", event_id="1"):
    async with store.engine.begin() as connection:
        return await mark(connection, source, event_id, store._clock())


async def mark_new(store, *ids):
    async with store.engine.begin() as connection:
        new = await inbox.mark_new(connection, [("pipeline", each) for each in ids], store._clock())
    return sorted(each for _, each in new)


async def test_attempts_are_counted_over_restarts(store, open_store):
    await store.attempt(*EVENT)
    await store.attempt(*EVENT)
    restarted = open_store()
    assert await restarted.attempt(*EVENT) == inbox.Attempt(3, settled=False)


async def test_the_same_id_of_another_source_is_another_event(store):
    await store.attempt(*EVENT)
    assert (await store.attempt("cli", "1")).number == 1


async def test_a_forgiven_attempt_does_not_count(store):
    await store.attempt(*EVENT)
    await store.forgive(*EVENT)
    assert (await store.attempt(*EVENT)).number == 1


@pytest.mark.parametrize("mark", [inbox.mark_handled, inbox.mark_buried])
async def test_an_event_is_settled_once(store, mark):
    await store.attempt(*EVENT)
    assert await settle(store, mark)
    assert not await settle(store, inbox.mark_handled)
    assert not await settle(store, inbox.mark_buried)
    assert (await store.attempt(*EVENT)).settled


async def test_a_buried_event_that_is_revived_begins_again(store):
    await store.attempt(*EVENT)
    await settle(store, inbox.mark_buried)
    await store.revive(*EVENT)
    assert await store.attempt(*EVENT) == inbox.Attempt(1, settled=False)


async def test_a_handled_event_cannot_be_revived(store):
    await store.attempt(*EVENT)
    await settle(store, inbox.mark_handled)
    await store.revive(*EVENT)
    assert (await store.attempt(*EVENT)).settled


async def test_reviving_what_is_being_tried_keeps_its_attempts(store):
    await store.attempt(*EVENT)
    await store.revive(*EVENT)
    assert (await store.attempt(*EVENT)).number == 2


async def test_a_batch_is_new_but_for_what_was_settled_before(store):
    await store.attempt("pipeline", "tried")
    for event_id, mark in [("handled", inbox.mark_handled), ("buried", inbox.mark_buried)]:
        await store.attempt("pipeline", event_id)
        await settle(store, mark, event_id=event_id)
    assert await mark_new(store, "fresh", "tried", "handled", "buried", "fresh") == ["fresh", "tried"]
    assert await mark_new(store, "fresh", "tried", "handled", "buried") == []


async def test_a_batch_may_be_large(store):
    ids = [str(number) for number in range(2000)]
    assert len(await mark_new(store, *ids)) == 2000
    assert await mark_new(store, *ids, "one more") == ["one more"]


async def test_an_empty_batch_has_nothing_new(store):
    assert await mark_new(store) == []


async def test_what_no_topic_can_bring_back_is_forgotten(store, clock):
    await store.attempt("pipeline", "old")
    clock.now += timedelta(days=46)
    await store.attempt("pipeline", "young")
    await store.prune(older_than_days=45)
    assert (await store.attempt("pipeline", "old")).number == 1
    assert (await store.attempt("pipeline", "young")).number == 2
