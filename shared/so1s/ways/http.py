"""The way of those who have a token: over HTTP to a platform's console."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict

from so1s.errors import InvalidInput, Problem, So1sError, Unreachable
from so1s.events.codec import unwrap
from so1s.events.envelope import Cause, Received
from so1s.events.event import Event
from so1s.events.structured import written
from so1s.platform import ClientSettings

_SECONDS = 15.0
_WAIT_SECONDS = 10
"""How long the console keeps a question for news open; one that stops waits for it."""
_PAUSE_SECONDS = 0.5
"""Before the next question where the console did not wait."""
_SECONDS_SAID = re.compile(r"[0-9]{1,6}")
_STRUCTURED = "application/cloudevents+json"
_RETRY_SECONDS = 2.0
"""Where a console that takes no request says not when it will."""
_UNAUTHORIZED, _NOT_FOUND, _TOO_OFTEN, _SERVER_ERROR = 401, 404, 429, 500


class Unauthorized(So1sError):
    """The console does not take the token."""


class NotFound(So1sError):
    """The console has not what was asked for."""


class TooOften(Unreachable):
    """The console takes no request of this client for some seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(f"{message}; it may be asked again in {seconds:g} s")
        self._until = time.monotonic() + seconds

    @property
    def holds(self) -> bool:
        """Whether that time is not over yet."""
        return time.monotonic() < self._until


class TokenInfo(BaseModel):
    """What a console says of a token."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account: str
    scopes: list[str]
    expires_at: str


class HttpWay:
    """See `Way`."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._options = client_options(settings)
        self._http: httpx.AsyncClient | None = None
        self._too_often: TooOften | None = None

    async def open(self) -> None:
        """See `Way`."""
        self._http = self._http or httpx.AsyncClient(**self._options)
        await self._ask(self._http, "GET", "/v1/token")

    async def close(self) -> None:
        """See `Way`."""
        if self._http:
            await self._http.aclose()

    async def say(self, event: Event, *, id: str, source: str, cause: Cause | None) -> None:  # noqa: A002 - CloudEvents' word
        """See `Way`; InvalidInput where the console does not allow a field."""
        assert self._http, "not open"
        body = written(_received(event, id, source, cause)).encode()
        headers = {"content-type": _STRUCTURED}
        await self._ask(self._http, "POST", "/v1/events", content=body, headers=headers)

    async def chain(
        self, correlation_id: str, kinds: Sequence[type[Event]], *, begins: bool = False
    ) -> AsyncGenerator[list[Received[Any]], None]:
        """See `Way`."""
        if begins:
            yield []
        known, before = 0, 0
        async with httpx.AsyncClient(**self._options) as http:
            while True:
                events, known = await self._page(http, correlation_id, known, wait_seconds=_WAIT_SECONDS)
                yield _of(kinds, events)
                if known == before:
                    await asyncio.sleep(_PAUSE_SECONDS)
                before = known

    async def past(self, correlation_id: str, kinds: Sequence[type[Event]]) -> list[Received[Any]]:
        """See `Way`."""
        found: dict[tuple[str, str], Received[Any]] = {}
        known, before = 0, -1
        async with httpx.AsyncClient(**self._options) as http:
            while known > before:
                before = known
                events, known = await self._page(http, correlation_id, known)
                found |= {(each.source, each.id): each for each in _of(kinds, events)}
        return list(found.values())

    def away(self, error: BaseException) -> Unreachable:
        """See `Way`."""
        return _away(self._settings, str(error) or type(error).__name__)

    async def _page(
        self, http: httpx.AsyncClient, correlation_id: str, known: int, *, wait_seconds: int = 0
    ) -> tuple[list[Any], int]:
        """The next events of a chain after those known, some of these again, and how many are known then."""
        path = f"/v1/chains/{quote(correlation_id, safe='')}"
        asked = {"known": known, "wait_seconds": wait_seconds}
        answer = await self._ask(http, "GET", path, params=asked, timeout=_SECONDS + wait_seconds)
        said = answer.json()
        return said["events"], said["known"]

    async def _ask(self, http: httpx.AsyncClient, method: str, path: str, **said: Any) -> httpx.Response:
        if self._too_often and self._too_often.holds:
            raise self._too_often.with_traceback(None)
        try:
            answer = await http.request(method, path, **said)
        except httpx.TransportError as error:
            raise self.away(error) from error
        try:
            check(self._settings, answer)
        except TooOften as error:
            self._too_often = error
            raise
        return answer


def client_options(settings: ClientSettings) -> dict[str, Any]:
    """How an httpx client reaches the console of settings: with their token, which follows no redirect.

    Raises:
        InvalidInput: a setting is missing or wrong.
    """
    url = settings.url or ""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        allowed = "allowed: the console's URL, such as https://so1s.example.org, without a user or a query"
        raise InvalidInput.of("SO1S_URL", parts.hostname or url, allowed)
    if settings.token is None:
        allowed = f"allowed: a token of {url}; `so1s login {url}` keeps one"
        raise InvalidInput.missing("SO1S_TOKEN", allowed)
    return {
        "base_url": url,
        "headers": {"authorization": f"Bearer {settings.token.get_secret_value()}"},
        "timeout": _SECONDS,
        # A proxy of the environment is not asked for this machine.
        "trust_env": parts.hostname not in {"127.0.0.1", "localhost", "::1"},
    }


def token_info(settings: ClientSettings) -> TokenInfo:
    """What the token of settings may do, as its console says.

    Raises:
        Unauthorized: it is not valid.
        Unreachable: the console does not answer.
        InvalidInput: a setting is missing or wrong.
    """
    with httpx.Client(**client_options(settings)) as http:
        return TokenInfo.model_validate_json(ask(settings, http, "GET", "/v1/token").content)


def versions(settings: ClientSettings, model: str) -> list[dict[str, Any]]:
    """The versions of a model of the token's account, each with its `version` and its `sha256` or None.

    Raises:
        So1sError: see `check`.
    """
    with httpx.Client(**client_options(settings)) as http:
        path = f"/v1/models/{quote(model, safe='')}/versions"
        return ask(settings, http, "GET", path).json()["versions"]


def status(settings: ClientSettings, *, seconds: float = _SECONDS) -> dict[str, Any]:
    """How the token's account stands: its `builds`, `deployments`, `endpoints` and `incidents`.

    Args:
        settings: of the console.
        seconds: that it may be silent for.

    Raises:
        So1sError: see `check`.
    """
    with httpx.Client(**client_options(settings)) as http:
        return ask(settings, http, "GET", "/v1/status", timeout=seconds).json()


def read(settings: ClientSettings, path: str, parameters: Mapping[str, str]) -> httpx.Response:
    """What the console answers to a question of its own API.

    Raises:
        So1sError: see `check`.
    """
    with httpx.Client(**client_options(settings)) as http:
        return ask(settings, http, "GET", path, params=parameters)


def ask(settings: ClientSettings, http: httpx.Client, method: str, path: str, **said: Any) -> httpx.Response:
    """Ask the console, from code without an event loop.

    Raises:
        So1sError: see `check`.
    """
    try:
        answer = http.request(method, path, **said)
    except httpx.TransportError as error:
        raise _away(settings, str(error) or type(error).__name__) from error
    check(settings, answer)
    return answer


def check(settings: ClientSettings, answer: httpx.Response) -> None:
    """Let nothing but a success pass.

    Raises:
        InvalidInput: with the fields that the console does not allow.
        Unauthorized: the token is not valid.
        NotFound: there is no such thing.
        TooOften: it may be asked again later.
        Unreachable: a part behind the console is away.
        So1sError: it refuses for another reason, or is no console.
    """
    if answer.is_success:
        return
    detail, problems = _problems(answer)
    if answer.status_code == _TOO_OFTEN:
        raise TooOften(f"{settings.url}: {detail}", _retry_seconds(answer))
    if answer.status_code == _UNAUTHORIZED:
        hint = f"`so1s login {settings.url}` keeps another one; SO1S_TOKEN wins over it"
        raise Unauthorized(f"{settings.url}: {detail}; {hint}")
    if answer.status_code >= _SERVER_ERROR:
        raise _away(settings, detail)
    if problems:
        raise InvalidInput(problems)
    if answer.status_code == _NOT_FOUND:
        raise NotFound(f"{settings.url}: {detail}")
    raise So1sError(f"{settings.url}: {detail}")


def _problems(answer: httpx.Response) -> tuple[str, list[Problem]]:
    try:
        said = answer.json()
        return str(said["detail"]), [Problem(**each) for each in said["problems"]]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}, which is no answer of a console", []


def _retry_seconds(answer: httpx.Response) -> float:
    said = answer.headers.get("retry-after", "")
    return float(said) if _SECONDS_SAID.fullmatch(said) else _RETRY_SECONDS


def _away(settings: ClientSettings, why: str) -> Unreachable:
    return Unreachable(
        f"the console does not answer at {settings.url} ({why}); set SO1S_URL, or `so1s login URL`"
    )


def _received(event: Event, event_id: str, source: str, cause: Cause | None) -> Received:
    return Received(
        event=event,
        id=event_id,
        source=source,
        time=datetime.now(UTC),
        cause_id=cause.event_id if cause else "",
        correlation_id=cause.correlation_id if cause else event_id,
        traceparent=cause.traceparent if cause else "",
    )


def _of(kinds: Sequence[type[Event]], events: list[Any]) -> list[Received[Any]]:
    classes = {each.type: each for each in kinds}
    found = []
    for each in events:
        envelope = unwrap((), json.dumps(each).encode())
        with suppress(KeyError, InvalidInput):  # a newer platform may say it in another way
            found.append(envelope.open(classes[envelope.type]))
    return found
