"""Options that commands share, and the pairs that people write as `KEY=VALUE`."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from so1s.errors import InvalidInput
from so1s.pipeline import account_meant
from so1s.platform import REACH_A_PLATFORM, ClientSettings

Account = Annotated[
    str | None,
    typer.Option("--account", help="Whose it is; SO1S_ACCOUNT where it is absent.", show_default=False),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the answer.")]
TimeoutSeconds = Annotated[float, typer.Option("--timeout-seconds", min=0.1, help="How long to wait.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the change.")]


def account_of(settings: ClientSettings, said: str | None) -> str:
    """The account that a command works for.

    Raises:
        InvalidInput: nothing says which.
        Unauthorized: the token is not valid.
    """
    account = said or account_meant(settings)
    if not account:
        require_platform(settings)
        allowed = "allowed: --account NAME, or SO1S_ACCOUNT in the environment"
        raise InvalidInput.missing("account", allowed)
    return account


def require_platform(settings: ClientSettings) -> None:
    """Say first that no platform is known: whatever else is missing, it would have said.

    Raises:
        InvalidInput: nothing says where a platform is.
    """
    if not settings.found:
        raise InvalidInput.fault("platform", "none is known here", REACH_A_PLATFORM)


def me() -> str:
    """Who gives the command, as events say it."""
    return f"user:{getpass.getuser()}"


def pairs(field: str, said: list[str]) -> dict[str, str]:
    """Read `KEY=VALUE` arguments.

    Raises:
        InvalidInput: one has no `=`, or a key comes twice.
    """
    found: dict[str, str] = {}
    for text in said:
        key, equals, value = text.partition("=")
        if not equals or not key or key in found:
            raise InvalidInput.of(field, text, "allowed: KEY=VALUE, each key once")
        found[key] = value
    return found


def numbers(field: str, said: list[str]) -> dict[str, float]:
    """Read `KEY=NUMBER` arguments.

    Raises:
        InvalidInput: one is something else.
    """
    return {key: _number(f"{field}.{key}", value) for key, value in pairs(field, said).items()}


def integers(field: str, said: list[str]) -> dict[str, int]:
    """Read `KEY=INTEGER` arguments.

    Raises:
        InvalidInput: one is something else.
    """
    found = pairs(field, said)
    for key, value in found.items():
        if not value.removeprefix("-").isdecimal():
            raise InvalidInput.of(f"{field}.{key}", value, "allowed: an integer")
    return {key: int(value) for key, value in found.items()}


def _number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput.of(field, text, "allowed: a number") from None
