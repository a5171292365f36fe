"""The clock and Kafka in: forgotten incidents closed, dead letters told of."""

from __future__ import annotations

from services.alerter import lifecycle, store
from services.alerter.domain.incident import duration
from services.alerter.domain.readings import read_letters
from services.alerter.domain.rules import DeadLettersKept, Rulebook
from services.alerter.domain.subject import Subject
from services.alerter.domain.watch import Span
from services.alerter.ports import DeadLetters
from services.alerter.store import incidents
from so1s.store import Store


async def forget_silent(state: Store, rulebook: Rulebook) -> None:
    """Close incidents that nothing speaks of any more: a variant without traffic, or without a route.

    They are closed, not well: the message says so.
    """
    async with state.transaction() as tx:
        silent = await store.silent_watches(tx, before=tx.now - rulebook.silence)
        if silent:
            resolution = f"nothing was heard of it for {duration(rulebook.forget_after_seconds)}"
            await lifecycle.withdraw(tx, resolution, incidents.c.open_key.in_(silent))


async def count_dead_letters(state: Store, rulebook: Rulebook, letters: DeadLetters, account: str) -> None:
    """Hold the dead letters of each service against the rules on them.

    Args:
        state: the alerter's store.
        rulebook: the rules.
        letters: to count.
        account: the operator's own, since services belong to no tenant.
    """
    if not (rules := rulebook.on(DeadLettersKept)):
        return
    kept = await letters.kept()
    async with state.transaction() as tx:
        span = Span(tx.now, tx.now)
        for rule, condition in rules:
            for service, count in kept.items():
                subject, reading = Subject.of(account, service=service), read_letters(condition, count)
                await lifecycle.hold(tx, rulebook, rule, subject, span=span, reading=reading)
