"""The operator's commands: `python -m services.console token create|list|revoke`, and `audit`.

They work on the database itself, so that whoever can reach that may hand out tokens, and nobody else.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.table import Table

from services.console import audit, drops, tokens
from services.console.domain.scopes import Scope
from services.console.domain.token import Token, moment
from so1s.errors import InvalidInput
from so1s.events.event import Value
from so1s.events.names import Account
from so1s.settings import ServiceSettings
from so1s.store import Store
from so1s.validation import checked

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The console.",
)
token_app = typer.Typer(no_args_is_help=True, help="Tokens of pipelines.")
app.add_typer(token_app, name="token")

T = TypeVar("T")

screen = Console(highlight=False, soft_wrap=True)
if not screen.is_terminal:
    screen.width = 200  # a program reads it, or a file keeps it
beside = Console(stderr=True, highlight=False, soft_wrap=True)

OfAccount = Annotated[str | None, typer.Option("--account", help="Of one account alone.")]


class CommandSettings(ServiceSettings):
    """What the commands are told."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - the tokens are in it
    """The console's."""


@token_app.command()
def create(
    account: Annotated[str, typer.Option(help="Whose events it may say.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is for; may be given several times.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is valid.")] = 90,
    name: Annotated[str, typer.Option(help="For people, such as `airflow`.")] = "",
) -> None:
    """Make a token, and print it once; it is kept nowhere."""
    owner = _account(account)

    async def work(store: Store) -> str:
        async with store.transaction() as tx:
            made = await tokens.create(tx, owner, frozenset(scope), days=days, name=name, actor=_me())
        return made.text

    print(asyncio.run(_with_store(work)))  # noqa: T201 - alone on standard output, for a secret store to read
    beside.print(f"→ for {account}, {', '.join(scope)}, {days} days; it is not shown again", style="cyan")


@token_app.command("list")
def list_tokens(account: OfAccount = None) -> None:
    """Show which tokens there are."""

    async def work(store: Store) -> list[Token]:
        async with store.read() as connection:
            return list(await tokens.all_of(connection, account))

    table = _table("id", "account", "scopes", "name", "created", "by", "expires", "last used", "revoked")
    for each in asyncio.run(_with_store(work)):
        times = (each.expires_at, each.last_used_at, each.revoked_at)
        about = (each.id, each.account, ", ".join(sorted(each.scopes)), each.name)
        table.add_row(*about, moment(each.created_at), each.created_by, *map(_moment, times))
    screen.print(table)


@token_app.command()
def revoke(token_id: Annotated[str, typer.Argument(help="The token's id, the part after `so1s_`.")]) -> None:
    """End a token at once."""

    async def work(store: Store) -> bool:
        async with store.transaction() as tx:
            return await tokens.revoke(tx, token_id, actor=_me())

    if not asyncio.run(_with_store(work)):
        beside.print(f"✗ no valid token has the id {token_id}", style="red")
        sys.exit(1)
    screen.print(f"revoked {token_id}")


@app.command("audit")
def show_audit(
    account: OfAccount = None, most: Annotated[int, typer.Option(min=1, help="How many entries.")] = 100
) -> None:
    """Show who did what, the newest first."""

    async def work(store: Store) -> list:
        async with store.read() as connection:
            return list(await audit.entries(connection, account, most))

    table = _table("at", "actor", "action", "account", "subject", "detail")
    for each in asyncio.run(_with_store(work)):
        detail = " ".join(f"{key}={value}" for key, value in each.detail.items())
        table.add_row(moment(each.at), each.actor, each.action, each.account, each.subject, detail)
    screen.print(table)


@app.command("drops")
def show_drops(
    account: OfAccount = None, most: Annotated[int, typer.Option(min=1, help="How many.")] = 100
) -> None:
    """Show what was found in the watched bucket, and why it was refused; the newest first."""

    async def work(store: Store) -> list:
        async with store.read() as connection:
            return list(await drops.entries(connection, account, most))

    table = _table("at", "account", "uri", "told by", "of", "refused because")
    for each in asyncio.run(_with_store(work)):
        told = (each.event or "listing", each.principal)
        table.add_row(moment(each.seen_at), each.account, each.uri, *told, each.problem)
    screen.print(table)


def main() -> None:
    """Run a command; what is wrong with it is one line, and the exit code 2."""
    try:
        app()
    except InvalidInput as error:
        for problem in error.problems:
            beside.print(f"✗ {problem}", style="red", markup=False)
        sys.exit(2)


async def _with_store(work: Callable[[Store], Awaitable[T]]) -> T:
    settings = _settings()
    url = settings.database_url.get_secret_value()
    store = Store(url, producer="console", schema=settings.database_schema)
    try:
        await store.migrate("services.console.migrations")  # the first token may come before the first start
        return await work(store)
    finally:
        await store.close()


def _settings() -> CommandSettings:
    try:
        return CommandSettings()
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error) from error


def _account(said: str) -> str:
    class _Said(Value):
        account: Account

    return checked(_Said, account=said).account


def _me() -> str:
    return f"operator:{getpass.getuser()}"


def _moment(seconds: float | None) -> str:
    return moment(seconds) if seconds else ""


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
