"""Tokens as they are kept: made, found, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.console import audit
from services.console.domain.scopes import Scope
from services.console.domain.token import ID_BYTES, SECRET_BYTES, Credential, Token
from services.console.tables import tokens
from so1s.store import Transaction

_DAY_SECONDS = 86_400
_USE_SECONDS = 60
"""How exactly the last use is known: a write a minute, not one a request."""


async def create(
    tx: Transaction, account: str, scopes: frozenset[Scope], *, days: int, name: str, actor: str
) -> Credential:
    """Make a token; what is answered is known to nobody else and cannot be had again."""
    credential = Credential(secrets.token_hex(ID_BYTES), secrets.token_hex(SECRET_BYTES))
    now = tx.now.timestamp()
    token = Token(
        id=credential.id,
        digest=credential.digest,
        account=account,
        scopes=scopes,
        name=name,
        created_at=now,
        created_by=actor,
        expires_at=now + days * _DAY_SECONDS,
    )
    said = sorted(scopes)
    await tx.execute(insert(tokens), asdict(token) | {"scopes": said})
    detail = {"scopes": said, "days": days, "name": name}
    await audit.note(tx, actor, "token.created", account=account, subject=token.id, **detail)
    return credential


async def revoke(tx: Transaction, token_id: str, *, actor: str) -> bool:
    """End a token at once; False where there is none of that id, or it was revoked before."""
    statement = update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    statement = statement.values(revoked_at=tx.now.timestamp()).returning(tokens.c.account)
    account = (await tx.execute(statement)).scalar_one_or_none()
    if account is None:
        return False
    await audit.note(tx, actor, "token.revoked", account=account, subject=token_id)
    return True


async def find(connection: AsyncConnection, token_id: str) -> Token | None:
    """The token of an id."""
    row = (await connection.execute(select(tokens).where(tokens.c.id == token_id))).one_or_none()
    return _token(row) if row else None


async def all_of(connection: AsyncConnection, account: str | None) -> Sequence[Token]:
    """Every token, of one account or of all, the oldest first."""
    statement = select(tokens).order_by(tokens.c.created_at, tokens.c.id)
    if account:
        statement = statement.where(tokens.c.account == account)
    return [_token(row) for row in await connection.execute(statement)]


def is_use_known(token: Token, now: float) -> bool:
    """Whether the last use that is kept is recent enough."""
    return token.last_used_at is not None and token.last_used_at > now - _USE_SECONDS


async def used(tx: Transaction, token_id: str) -> None:
    """Keep that a token was used just now."""
    now = tx.now.timestamp()
    stale = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < now)
    await tx.execute(update(tokens).where(tokens.c.id == token_id, stale).values(last_used_at=now))


def _token(row: Row) -> Token:
    values: dict[str, Any] = row._asdict()
    values["scopes"] = frozenset(Scope(each) for each in values["scopes"])
    return Token(**values)
