"""The archive: accepted events as CloudEvents JSON, and the bill that follows from them alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.billing.domain.ledger import Entry, entry
from services.billing.domain.prices import PriceBook
from services.billing.domain.windows import Figures, figures, joined, window_key
from services.billing.store import archived_page
from so1s.events import UsageCorrected, UsageSampled
from so1s.events.envelope import Received

_CLASSES: dict[str, type[UsageSampled]] = {each.type: each for each in (UsageSampled, UsageCorrected)}


def read(text: str) -> Received[UsageSampled]:
    """An archived event."""
    said = json.loads(text)
    return Received(
        event=_CLASSES[said["type"]].from_json(json.dumps(said["data"]).encode()),
        id=said["id"],
        source=said["source"],
        time=datetime.fromisoformat(said["time"]) if "time" in said else None,
        cause_id=said.get("causationid", ""),
        correlation_id=said.get("correlationid", said["id"]),
        traceparent=said.get("traceparent", ""),
    )


async def recomputed(
    connection: AsyncConnection, prices: PriceBook, account: str | None = None
) -> AsyncIterator[Entry]:
    """Every entry that the archived events make, of one account or of all: the ledger's rows are not read."""
    known: dict[str, Figures] = {}
    sequence = 0
    while page := await archived_page(connection, account, sequence):
        for _, text in page:
            received = read(text)
            window = window_key(received.event)
            before = known.get(window, {})
            known[window] = joined(before, figures(received))
            if made := entry(received, before, known[window], prices):
                yield made
        sequence = page[-1][0]
