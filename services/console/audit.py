"""The audit: who did what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.console.tables import audit
from so1s.store import Transaction


async def note(
    tx: Transaction, actor: str, action: str, *, account: str, subject: str, **detail: Any
) -> None:
    """Enter something that was done.

    Args:
        tx: in which it is done.
        actor: `operator:NAME` or `token:ID`.
        action: such as `token.created`.
        account: whom it concerns.
        subject: what it was done to.
        detail: whatever else tells of it; no secret.
    """
    row = {"at": tx.now.timestamp(), "actor": actor, "action": action}
    await tx.execute(insert(audit), row | {"account": account, "subject": subject, "detail": detail})


async def entries(connection: AsyncConnection, account: str | None, most: int) -> Sequence[Row]:
    """The newest entries, of one account or of all, the newest first."""
    statement = select(audit).order_by(audit.c.sequence.desc()).limit(most)
    if account:
        statement = statement.where(audit.c.account == account)
    return (await connection.execute(statement)).all()


async def prune(tx: Transaction, days: int) -> None:
    """Forget what is older."""
    await tx.execute(delete(audit).where(audit.c.at < tx.now.timestamp() - days * 86_400))
