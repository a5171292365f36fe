"""The recent events of each account's chains, as those who began them may read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.console.domain.refusal import said_before
from services.console.tables import chain_events
from so1s.errors import InvalidInput
from so1s.events.codec import unwrap
from so1s.events.envelope import Envelope, Received
from so1s.events.structured import written
from so1s.store import Transaction, upsert

_MOST_READ = 500
_READ_AGAIN = 400
"""Of the known events, the last ones are in a page as well: another writer's may have come between them."""
_MOST_SAID = 100
"""Events of one chain after which a tenant has to begin another one."""
_KEYS = ["account", "correlation_id", "source", "event_id"]


async def remember(tx: Transaction, batch: Sequence[Received]) -> None:
    """Keep events, each once."""
    rows = [_row(received, tx.now.timestamp()) for received in batch]
    await upsert(tx, chain_events, sorted(rows, key=lambda row: [row[key] for key in _KEYS]), keys=_KEYS)


async def size(connection: AsyncConnection, account: str, correlation_id: str) -> int:
    """How many events of an account's chain are known."""
    statement = select(func.count()).select_from(chain_events).where(_is(account, correlation_id))
    return (await connection.execute(statement)).scalar_one()


async def read(
    connection: AsyncConnection, account: str, correlation_id: str, known: int = 0
) -> tuple[list[str], int]:
    """A page of an account's chain as CloudEvents JSON, in the order in which they came.

    Args:
        connection: to the store.
        account: whose chain it is.
        correlation_id: of the chain.
        known: as many events as a reader knows; the page has the next ones.

    Returns:
        The events, and how many are known with them.
    """
    start = max(min(known, await size(connection, account, correlation_id)) - _READ_AGAIN, 0)
    statement = select(chain_events.c.event).where(_is(account, correlation_id))
    statement = statement.order_by(chain_events.c.received_at, chain_events.c.source, chain_events.c.event_id)
    events = list(await connection.scalars(statement.offset(start).limit(_MOST_READ)))
    return events, start + len(events)


async def check(tx: Transaction, account: str, correlation_id: str) -> None:
    """Let a tenant's event answer a chain only of its own account.

    Raises:
        InvalidInput: the chain is not known there, or is full.
    """
    known = await size(tx.connection, account, correlation_id)
    if not known:
        allowed = "allowed: the event's own id, or that of the first event of a chain of this account"
        raise InvalidInput.of("correlationid", correlation_id, allowed)
    if known >= _MOST_SAID:
        allowed = f"allowed: a chain of fewer than {_MOST_SAID} events"
        raise InvalidInput.of("correlationid", correlation_id, allowed)


async def check_id(tx: Transaction, said: Received) -> None:
    """Let an id be said again only with what it was said with: consumers would take other data for known.

    Raises:
        Refusal: it was said with something else.
    """
    row = _row(said, 0)
    statement = select(chain_events.c.event).where(*(chain_events.c[key] == row[key] for key in _KEYS))
    known = (await tx.execute(statement)).scalar_one_or_none()
    if known and not _is_same(unwrap((), known.encode()), said):
        raise said_before(said.id)


async def prune(tx: Transaction, days: int) -> None:
    """Forget what came longer ago."""
    horizon = tx.now.timestamp() - days * 86_400
    await tx.execute(delete(chain_events).where(chain_events.c.received_at < horizon))


def _is_same(known: Envelope, said: Received) -> bool:
    return known.type == said.event.type and known.open(type(said.event)).event == said.event


def _is(account: str, correlation_id: str) -> ColumnElement[bool]:
    return and_(chain_events.c.account == account, chain_events.c.correlation_id == correlation_id)


def _row(received: Received, now: float) -> dict[str, Any]:
    return {
        "account": received.event.account,
        "correlation_id": received.correlation_id,
        "source": received.source,
        "event_id": received.id,
        "received_at": now,
        "event": written(received),
    }
