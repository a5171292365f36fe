"""The clock in, forgotten incidents resolved."""

from __future__ import annotations

from datetime import timedelta

from services.alerter import lifecycle, store
from services.alerter.domain.incident import span
from services.alerter.domain.rules import Rulebook
from services.alerter.store import incidents
from so1s.store import Store


async def forget_silent(state: Store, rulebook: Rulebook) -> None:
    """Close incidents that no window speaks of any more: a variant without traffic, or without a route.

    They are closed, not well: the message says so.
    """
    silence = timedelta(seconds=rulebook.forget_after_seconds)
    async with state.transaction() as tx:
        silent = await store.silent_watches(tx, before=tx.now - silence)
        if silent:
            resolution = f"closed: nothing was heard of it for {span(rulebook.forget_after_seconds)}"
            await lifecycle.withdraw(tx, resolution, incidents.c.open_key.in_(silent))
