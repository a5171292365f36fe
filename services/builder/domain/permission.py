"""Whose models may run code of their own: nobody's, unless an operator says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from services.builder.domain.failure import BuildError
from so1s.events.model import Format

EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Which accounts an operator trusts with what; `*` stands for all."""

    user_code: Collection[str] = ()
    """Run their own `prepared.py`."""

    def require(self, model_format: Format, account: str) -> None:
        """Refuse a model whose format runs its author's code, where the account may not.

        Raises:
            BuildError: it names the setting that would allow it, and the way to a format of data alone.
        """
        if model_format == "python" and not _names(self.user_code, account):
            raise BuildError(
                "format", _refusal("prepared.py is code", "SO1S_USER_CODE_ACCOUNTS", account, _CODE)
            )


_CODE = "upload the model that it loads, in a format of data alone"


def _names(accounts: Collection[str], account: str) -> bool:
    return EVERYBODY in accounts or account in accounts


def _refusal(what: str, setting: str, account: str, way: str) -> str:
    """Of other accounts nothing is said: who reads it is a tenant."""
    return (
        f"{what}, which runs only where the operator allows it, and the builder's setting {setting} "
        f"does not name the account {account}: ask for it, or {way}"
    )
