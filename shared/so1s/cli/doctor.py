"""`so1s doctor`: is the platform there, part by part, and what to do where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.broker.reader import partitions_of
from so1s.broker.topics import wanted
from so1s.cli import api
from so1s.cli.exit_codes import UNREACHABLE
from so1s.cli.terminal import terminal
from so1s.cli.topics import SERVICES
from so1s.errors import So1sError
from so1s.platform import REACH_A_PLATFORM, ClientSettings
from so1s.ways.http import token_info

_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """What was found of one part."""

    part: str
    ok: bool
    found: str
    advice: str = ""


def doctor(context: typer.Context) -> None:
    """Look at each part of the platform. Says what to do where one is not as it should be."""
    settings = ClientSettings.load()
    findings = list(examine(settings))
    terminal(context).show([vars(each) for each in findings], _shown)
    if not all(each.ok for each in findings):
        raise typer.Exit(UNREACHABLE)


def examine(settings: ClientSettings) -> Iterator[Finding]:
    """Look at everything that a command may need."""
    yield _settings(settings)
    if not settings.found:
        return
    if settings.url:
        yield _console(settings)  # all that a token reaches
        return
    yield _kafka(settings)
    for service in SERVICES:
        yield _http(service, getattr(settings, f"{service}_url"), "/readyz")
    yield _http("gateway", settings.gateway, "/", any_status=True, log="envoy")
    yield _artifacts(settings)


def _settings(settings: ClientSettings) -> Finding:
    if settings.found:
        return Finding(
            "platform", ok=True, found=f"account {settings.account or 'not said'}, {settings.domain}"
        )
    found, advice = "none is known here", REACH_A_PLATFORM
    return Finding("platform", ok=False, found=found, advice=advice)


def _console(settings: ClientSettings) -> Finding:
    try:
        info = token_info(settings)
    except So1sError as error:
        found, _, advice = str(error).partition("; ")
        return Finding("console", ok=False, found=found, advice=advice)
    about = f"account {info.account}, {', '.join(info.scopes)}, until {info.expires_at}"
    return Finding("console", ok=True, found=f"{settings.url}: {about}")


def _kafka(settings: ClientSettings) -> Finding:
    topics = {topic.name for topic in wanted(SERVICES)}
    try:
        partitions = asyncio.run(_within(partitions_of(settings, topics)))
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
        advice = "`make up` starts it; elsewhere, SO1S_KAFKA… say its brokers and credentials"
        return Finding(
            "kafka", ok=False, found=f"{settings.kafka}: {error or type(error).__name__}", advice=advice
        )
    missing = len(topics - {each.topic for each in partitions})
    if missing:
        return Finding("kafka", ok=False, found=f"{missing} topics are missing", advice="so1s topics apply")
    return Finding("kafka", ok=True, found=f"{settings.kafka}, {len(topics)} topics")


async def _within(work: Any) -> Any:
    async with asyncio.timeout(_SECONDS):
        return await work


def _http(
    part: str, url: str | None, path: str, *, any_status: bool = False, log: str | None = None
) -> Finding:
    if not url:
        return Finding(part, ok=False, found="no URL", advice=f"set SO1S_{part.upper()}_URL")
    try:
        with api.client(url, _SECONDS) as http:
            answer = http.get(path)
    except httpx.TransportError as error:
        advice = f"`make up` starts it; its log is .so1s/logs/{log or part}.log"
        return Finding(part, ok=False, found=f"{url}: {error}", advice=advice)
    if answer.is_success or any_status:
        return Finding(part, ok=True, found=url)
    return Finding(part, ok=False, found=f"{url}: {answer.text.strip()}", advice="wait, or read its log")


def _artifacts(settings: ClientSettings) -> Finding:
    base = settings.artifacts
    if not base:
        return Finding(
            "artifacts",
            ok=False,
            found="nowhere to upload to",
            advice="set SO1S_ARTIFACTS=s3://BUCKET/PREFIX/",
        )
    if base.startswith("file://") and not Path(unquote(urlsplit(base).path)).is_dir():
        return Finding("artifacts", ok=False, found=f"{base} does not exist", advice="run `make up` again")
    return Finding("artifacts", ok=True, found=base)


def _shown(findings: list[dict[str, Any]]) -> RenderableType:
    return Group(*map(_line, findings))


def _line(finding: dict[str, Any]) -> Text:
    mark = ("✓ ", "green") if finding["ok"] else ("✗ ", "red")
    advice = f"   → {finding['advice']}" if finding["advice"] else ""
    return Text.assemble(mark, (f"{finding['part']:<10}", "bold"), finding["found"], (advice, "cyan"))
