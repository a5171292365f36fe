from datetime import timedelta

import pytest

from services.alerter import store
from services.alerter.domain.rules import Rulebook
from services.alerter.watchers import count_dead_letters, forget_silent
from so1s.store import Store
from tests.tables import make_tables


@pytest.fixture
async def state_at(tmp_path, sample):
    """The alerter's store as it sees itself so many seconds after noon."""
    stores = []

    async def state_at(seconds):
        now = sample(0).window_start + timedelta(seconds=seconds)
        stores.append(
            Store(f"sqlite+aiosqlite:///{tmp_path}/alerter.db", producer="alerter", clock=lambda: now)
        )
        await make_tables(stores[-1], "services.alerter.migrations")
        return stores[-1]

    yield state_at
    for each in stores:
        await each.close()


async def listed(state, account="risk"):
    async with state.read() as connection:
        return [
            (i.finding.observed, i.outcome, i.resolved_at is None)
            for i in await store.listed(connection, account, 9)
        ]


async def test_an_incident_that_no_window_speaks_of_any_more_is_closed(hear, sample, rulebook, state_at):
    await hear(sample(0, errors=100), sample(1, errors=100), sample(2, requests=0))
    await forget_silent(await state_at(900), rulebook)
    assert await listed(await state_at(0)) == [("0 %: 100 of 100 requests failed", "resolved", True)]
    await forget_silent(await state_at(911), rulebook)
    assert await listed(await state_at(0)) == [("0 %: 100 of 100 requests failed", "closed", False)]
    assert await hear(sample(400, errors=100), sample(401, errors=100)) == ["so1s.incident-opened"]


class Letters:
    """Counts what it is told to count."""

    def __init__(self):
        self.counts = {}

    async def kept(self):
        return self.counts


async def test_dead_letters_are_one_incident_of_the_operator_until_none_is_left(state_at):
    rulebook = Rulebook.from_yaml("rules: [{name: dead-letters, when: {dead_letters_above: 0}}]")
    letters = Letters()
    for seconds, count in [(0, 0), (15, 2), (30, 2), (60, 3), (75, 3)]:
        letters.counts = {"builder": count, "router": 0}
        await count_dead_letters(await state_at(seconds), rulebook, letters, "so1s")
    assert await listed(await state_at(90), "so1s") == [("3 dead letters", "resolved", True)]

    letters.counts = {"builder": 0}
    await count_dead_letters(await state_at(90), rulebook, letters, "so1s")
    assert await listed(await state_at(90), "so1s") == [("3 dead letters", "resolved", False)]


async def test_without_a_rule_on_them_dead_letters_are_not_counted(state_at, rulebook):
    await count_dead_letters(await state_at(0), rulebook, None, "so1s")
