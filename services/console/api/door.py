"""The door: who asks, and what their token lets them do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from starlette.requests import Request

from services.console import tokens
from services.console.domain.attempts import Attempts
from services.console.domain.refusal import Refusal, forbidden
from services.console.domain.scopes import Scope
from services.console.domain.token import Credential, Token
from services.console.metrics import REFUSED
from so1s.store import Store

_HOW = "allowed: the header `Authorization: Bearer so1s_…` with a token of this platform"


@dataclass(frozen=True)
class Door:
    """Lets those in who have a valid token."""

    store: Store
    attempts: Attempts
    clock: Callable[[], float]
    """Seconds since the epoch."""

    async def admit(self, request: Request, scope: Scope | None = None) -> Token:
        """The token of a request.

        Args:
            request: whose header has it; a token in a URL is not looked for, since logs keep URLs.
            scope: what the token must have; None where any token will do.

        Raises:
            Refusal: there is none, it is not valid (429 where it was so too often), or it lacks the scope.
        """
        said = _credential(request)
        who = (request.client.host if request.client else "", said.id if said else "")
        now = self.clock()
        try:
            token = await self._identify(said, now)
        except Refusal:
            self._count(who, now)
            raise
        if scope and scope not in token.scopes:
            raise forbidden("scope", ", ".join(sorted(token.scopes)), f"allowed: a token of scope {scope}")
        return token

    def _count(self, who: tuple[str, str], now: float) -> None:
        """Count a failure. A valid token never comes here, or whoever knows its id could lock it out."""
        if wait := self.attempts.wait_seconds(who, now):
            REFUSED.labels("too_often").inc()
            detail = "too many requests with tokens that are not valid"
            raise Refusal(429, "Too often", detail, headers={"retry-after": str(ceil(wait))})
        REFUSED.labels("not_valid").inc()
        self.attempts.failed(who, now)

    async def _identify(self, said: Credential | None, now: float) -> Token:
        if said is None:
            raise _unknown()
        async with self.store.read() as connection:
            token = await tokens.find(connection, said.id)
        if token is None or not token.is_of(said):
            raise _unknown()
        if ended := token.ended(now):
            raise _unauthorized(f"the token is not valid: {ended}")
        if not tokens.is_use_known(token, now):
            async with self.store.transaction() as tx:
                await tokens.used(tx, token.id)
        return token


def _credential(request: Request) -> Credential | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return Credential.parse(text.strip()) if scheme.lower() == "bearer" else None


def _unknown() -> Refusal:
    return _unauthorized(f"the token is missing or not known; {_HOW}")


def _unauthorized(detail: str) -> Refusal:
    return Refusal(401, "Not authorized", detail, headers={"www-authenticate": 'Bearer realm="so1s"'})
