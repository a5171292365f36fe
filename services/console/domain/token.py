"""Tokens: `so1s_ID_SECRET`, a credential of one account with scopes and an end."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.console.domain.scopes import Scope

ID_BYTES = 6
SECRET_BYTES = 32
"""256 random bits cannot be guessed, so a fast hash protects them; docs/decisions says more."""

_TOKEN = re.compile(rf"so1s_([0-9a-f]{{{2 * ID_BYTES}}})_([0-9a-f]{{{2 * SECRET_BYTES}}})")


@dataclass(frozen=True)
class Credential:
    """A token as its holder says it."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Credential | None:
        """Read a token; None where it is none."""
        match = _TOKEN.fullmatch(text)
        return cls(*match.groups()) if match else None

    @property
    def text(self) -> str:
        """The token: shown once, kept nowhere."""
        return f"so1s_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        """What is kept of it; the id in it ties the digest to its row."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Token:
    """A token as it is kept. Times are seconds since the epoch."""

    id: str
    digest: str = field(repr=False)
    account: str
    scopes: frozenset[Scope]
    name: str
    """For people, such as `airflow`."""
    created_at: float
    created_by: str
    expires_at: float
    revoked_at: float | None = None
    last_used_at: float | None = None

    @property
    def actor(self) -> str:
        """Who acts with it, as the audit says it."""
        return f"token:{self.id}"

    def is_of(self, said: Credential) -> bool:
        """Whether the secret is this token's; takes the same time whatever is wrong with it."""
        return hmac.compare_digest(self.digest, said.digest)

    def ended(self, now: float) -> str:
        """Why it is not valid any more; empty where it is."""
        if self.revoked_at is not None:
            return f"it was revoked at {moment(self.revoked_at)}"
        return f"it expired at {moment(self.expires_at)}" if self.expires_at <= now else ""


def moment(seconds: float) -> str:
    """A time as it is shown: RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
