"""`so1s status`: what serves, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import MISSING, dataclass, fields
from operator import itemgetter
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import api, deployments, letters, times
from so1s.cli.ask import run
from so1s.cli.options import Account, account_of
from so1s.cli.reach import NotWithToken
from so1s.cli.terminal import table, terminal
from so1s.cli.weights import shares
from so1s.errors import InvalidInput, Unreachable
from so1s.platform import ClientSettings
from so1s.ways import http

_LETTERS_SECONDS = 3.0
_BUILDS = {
    "version": "build",
    "state": "state",
    "reason": "reason",
    "message": "message",
    "queued_at": "since",
}
_WARNINGS = {"version": "warning of", "warning": "what"}
_INCIDENTS = {"severity": "severity", "subject": "subject", "summary": "what", "opened_at": "since"}


@dataclass(frozen=True)
class Status:
    """An account's builds that did not end well or at all, deployments, endpoints and open incidents."""

    account: str
    builds: list[dict[str, Any]]
    """Newer than the last image of their model."""
    deployments: list[dict[str, Any]]
    endpoints: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    warnings: list[dict[str, str]]
    """What whoever runs a version should know, of those that have a deployment: for as long as they have."""
    dead_letters: dict[str, int] | None = None
    """The account's events that services could not handle: how many, by service. None where Kafka did not
    tell."""
    unowned_dead_letters: dict[str, int] | None = None
    """As many that do not say whose they are: they may be this account's."""


def status(context: typer.Context, *, account: Account = None) -> None:
    """Show an account's deployments, endpoints, open incidents, and builds that go on or failed."""
    settings, screen = ClientSettings.load(), terminal(context)
    screen.show(fetch(settings, account_of(settings, account), screen.note), _shown)


def fetch(settings: ClientSettings, account: str, hear: Callable[[str], None]) -> Status:
    """Ask the owners; or the console, which knows what events tell, where settings name that alone.

    `hear` is told what there was no time for.
    """
    if settings.url and not settings.deployer_url:
        return _as_told(settings, account)
    builds = api.get(settings, "builder", "v1", "builds", account=account)["builds"]
    endpoints = api.get(settings, "router", "v1", "endpoints", account=account)["endpoints"]
    incidents = api.get(settings, "alerter", "v1", "incidents", account=account)["incidents"]
    deployed = deployments.fetch(settings, account)
    dead = _dead_letters(settings, account, hear)
    return Status(
        account=account,
        builds=unfinished(builds),
        deployments=deployed,
        endpoints=[each for each in endpoints if not each["removed"]],
        incidents=[each for each in incidents if each["state"] == "open"],
        warnings=_warnings(builds, deployed),
        dead_letters=dead.mine if dead else None,
        unowned_dead_letters=dead.unowned if dead else None,
    )


def _dead_letters(
    settings: ClientSettings, account: str, hear: Callable[[str], None]
) -> letters.Count | None:
    try:
        return run(settings, _soon(letters.of_account(settings, account)))
    except TimeoutError:
        hear(f"dead letters: not counted in {_LETTERS_SECONDS:g} s")
    except (Unreachable, NotWithToken):
        pass
    return None


async def _soon(counting: Coroutine[Any, Any, letters.Count]) -> letters.Count:
    """Counted in a moment, or not at all: the rest of a status waits for it."""
    async with asyncio.timeout(_LETTERS_SECONDS):
        return await counting


def _warnings(builds: list[dict[str, Any]], deployed: list[dict[str, Any]]) -> list[dict[str, str]]:
    serve = {(each["model"], each["version"]) for each in deployed}
    return [
        {"version": f"{each['model']}@{each['version']}", "warning": warning}
        for each in builds
        if (each["model"], each["version"]) in serve
        for warning in each.get("warnings") or []
    ]


def _as_told(settings: ClientSettings, account: str) -> Status:
    said = http.status(settings)
    if said["account"] != account:
        allowed = f"allowed: {said['account']}, the account of the token"
        raise InvalidInput.of("account", account, allowed)
    told = {each.name: said.get(each.name, []) for each in fields(Status) if each.default is MISSING}
    return Status(**told)


def unfinished(builds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each model, what was queued or refused since its last image, unless it was cancelled."""
    images = [each for each in builds if each["state"] == "built"]
    last = {each["model"]: each["queued_at"] for each in sorted(images, key=itemgetter("queued_at"))}
    return [
        each
        for each in builds
        if each["state"] not in {"built", "cancelled"} and each["queued_at"] > last.get(each["model"], "")
    ]


def _shown(status: Status) -> RenderableType:
    parts: list[RenderableType] = [deployments.shown(status.deployments)]
    for endpoint in status.endpoints:
        parts += [Text(), shares(endpoint)]
    if status.warnings:
        parts += [Text(), table(status.warnings, _WARNINGS, empty="")]
    if status.builds:
        parts += [Text(), table(map(_build, status.builds), _BUILDS, empty="")]
    incidents = [
        each | {"opened_at": times.shown(each["opened_at"])}
        for each in status.incidents
        if not _told(each, status)
    ]
    if incidents or not status.incidents:
        parts += [Text(), table(incidents, _INCIDENTS, empty="no open incident")]
    if status.dead_letters or status.unowned_dead_letters:
        parts += [Text(), _letters(status.dead_letters or {}, status.unowned_dead_letters or {})]
    return Group(*parts)


def _letters(mine: dict[str, int], unowned: dict[str, int]) -> Text:
    services = mine.keys() | unowned.keys()
    hint = f"so1s dlq list {next(iter(services)) if len(services) == 1 else 'SERVICE'}"
    counts = [f"{service} {count}" for service, count in mine.items()]
    counts += [f"{service} {count} (not said whose)" for service, count in unowned.items()]
    return Text.assemble(("dead letters", "bold"), f"  {', '.join(counts)}   ", (f"→ {hint}", "dim"))


def _told(incident: dict[str, Any], status: Status) -> bool:
    """Whether an incident is that of a build which is shown anyway, with more about it."""
    failed = {f"model {each['model']}" for each in status.builds if each["state"] in {"failed", "refused"}}
    return incident["subject"] in failed


def _build(build: dict[str, Any]) -> dict[str, Any]:
    name = f"{build['model']}@{build['version']}"
    return build | {"version": name, "queued_at": times.shown(build["queued_at"])}
