"""The clock and Kafka in: forgotten incidents closed, dead letters told of."""

from __future__ import annotations

from services.alerter import lifecycle, store
from services.alerter.domain import findings
from services.alerter.domain.incident import incident_key, span
from services.alerter.domain.readings import read_count
from services.alerter.domain.rules import Rule, Rulebook
from services.alerter.domain.subject import Subject
from services.alerter.domain.watch import Span, Watch, judge
from services.alerter.ports import DeadLetters
from services.alerter.store import incidents
from so1s.store import Store, Transaction


async def forget_silent(state: Store, rulebook: Rulebook) -> None:
    """Close incidents that nothing speaks of any more: a variant without traffic, or without a route.

    They are closed, not well: the message says so.
    """
    async with state.transaction() as tx:
        silent = await store.silent_watches(tx, before=tx.now - rulebook.silence)
        if silent:
            resolution = f"nothing was heard of it for {span(rulebook.forget_after_seconds)}"
            await lifecycle.withdraw(tx, resolution, incidents.c.open_key.in_(silent))


async def count_dead_letters(state: Store, rulebook: Rulebook, letters: DeadLetters, account: str) -> None:
    """Hold the dead letters of each service against the rules on them.

    Args:
        state: the alerter's store.
        rulebook: the rules.
        letters: to count.
        account: the operator's own, since services belong to no tenant.
    """
    if not (rules := rulebook.counting()):
        return
    kept = await letters.kept()
    async with state.transaction() as tx:
        for rule in rules:
            for service, count in kept.items():
                await _count(tx, rulebook, rule, Subject.of(account, service=service), count)


async def _count(tx: Transaction, rulebook: Rulebook, rule: Rule, subject: Subject, count: int) -> None:
    key = incident_key(rule.name, subject)
    watch = (await store.load_watches(tx, [key])).get(key, Watch())
    watch, turn = judge(watch, rule, Span(tx.now, tx.now), read_count(rule, count), rulebook.pause)
    await store.save_watches(tx, {key: watch})
    if turn is None:
        return
    if turn.kind == "resolved":
        await lifecycle.resolve(tx, key, turn.at, turn.reading.observed)
    else:
        await lifecycle.report(tx, findings.dead_letters(rule, subject, turn))
