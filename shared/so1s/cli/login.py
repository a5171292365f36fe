"""`so1s login` and `so1s logout`: which console a person works with, and their token."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr

from so1s.cli.terminal import Terminal, terminal
from so1s.errors import InvalidInput
from so1s.login import Login
from so1s.platform import ClientSettings
from so1s.ways.http import TokenInfo, token_info

_LOCAL = {"127.0.0.1", "localhost", "::1"}


def login(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="The console's, such as https://so1s.example.org.")],
) -> None:
    """Keep a token for this user: publish and wait over HTTP, without Kafka.

    The token is asked for without echo, or read from standard input; an operator makes it.
    """
    url = url.rstrip("/")
    token = SecretStr(_token())
    info = token_info(ClientSettings.load(url=url, token=token))
    path = Login(url=url, token=token, account=info.account).keep()
    screen = terminal(context)
    said = {"url": url, "account": info.account, "scopes": info.scopes, "expires_at": info.expires_at}
    screen.show(said | {"kept_in": path}, lambda _: _welcome(url, info))
    _warn(screen, url)


def logout(context: typer.Context) -> None:
    """Forget the token; the operator can revoke it as well."""
    forgotten = Login.forget()
    terminal(context).show(
        {"forgotten": forgotten}, lambda _: "the token is forgotten" if forgotten else "no token was kept"
    )


def _token() -> str:
    said = getpass.getpass("token: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not said.strip():
        raise InvalidInput.missing("token", "allowed: so1s_…, as the operator was shown it")
    return said.strip()


def _welcome(url: str, info: TokenInfo) -> str:
    scopes = ", ".join(info.scopes)
    return f"logged in at {url} as account {info.account}; scopes: {scopes}; until {info.expires_at}"


def _warn(screen: Terminal, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        screen.note("the token travels unencrypted: https is safer")
    if ClientSettings.load().url != url:
        screen.note("something else is nearer here: SO1S_KAFKA, SO1S_URL, or the platform of this directory")
