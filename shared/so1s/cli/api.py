"""The services' read APIs; that of the builder by the console, too, for the account of a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx

from so1s.cli.reach import NotWithToken
from so1s.errors import InvalidInput, Problem, So1sError, Unreachable
from so1s.platform import ClientSettings
from so1s.ways import http as console

Service = Literal["builder", "deployer", "router", "collector", "billing", "alerter"]

_SECONDS = 10.0
SOON_SECONDS = 2.0
"""For what is not worth a wait."""
_NOT_ALLOWED = {400, 404}


@dataclass(frozen=True)
class _Refusal(Problem):
    """What the services do not take, in their own words, which are its `value`."""

    def __str__(self) -> str:
        return self.value


def get(settings: ClientSettings, service: Service, *path: str, **parameters: object) -> Any:
    """Read JSON.

    Args:
        settings: of the platform.
        service: whose API it is.
        path: its parts, such as `v1`, `deployments`.
        parameters: of the query; those that are None are left out.

    Raises:
        InvalidInput: nothing says where the service is, or it does not take what is asked or has none.
        NotWithToken: the settings name a console alone.
        So1sError: the service fails.
        Unreachable: the service does not answer.
    """
    return _ask(settings, service, path, parameters).json()


def get_soon(settings: ClientSettings, service: Service, *path: str, **parameters: object) -> Any:
    """Read JSON that is not worth a wait: a service that is silent for 2 s is not reachable; see `get`."""
    return _ask(settings, service, path, parameters, SOON_SECONDS).json()


def text(settings: ClientSettings, service: Service, *path: str, **parameters: object) -> str:
    """Read text; see `get`."""
    return _ask(settings, service, path, parameters).text


def client(url: str, seconds: float = _SECONDS) -> httpx.Client:
    """An HTTP client; a proxy of the environment is not asked for this machine."""
    return httpx.Client(base_url=url, timeout=seconds, trust_env=not is_here(url))


def is_here(url: str) -> bool:
    """Whether it is this machine's."""
    return (urlsplit(url).hostname or "") in {"127.0.0.1", "localhost", "::1"}


def _ask(
    settings: ClientSettings,
    service: Service,
    path: tuple[str, ...],
    parameters: dict[str, object],
    seconds: float = _SECONDS,
) -> httpx.Response:
    url = getattr(settings, f"{service}_url")
    said = {name: str(value) for name, value in parameters.items() if value is not None}
    where = "/" + "/".join(quote(part, safe="") for part in path)
    if not url and settings.url and service == "builder":
        return _told(settings, where, said)
    if not url and settings.url:
        raise NotWithToken(settings, f"the {service}", f"SO1S_{service.upper()}_URL")
    if not url:
        allowed = f"allowed: the {service}'s URL; below the directory of `make up` it is known"
        raise InvalidInput.missing(f"SO1S_{service.upper()}_URL", allowed)
    try:
        with client(url, seconds) as http:
            answer = http.get(where, params=said)
    except httpx.TransportError as error:
        start = "`make up` starts a platform here; " if is_here(url) else ""
        raise Unreachable(
            f"the {service} does not answer at {url} ({error}); {start}so1s doctor looks closer"
        ) from error
    if answer.status_code in _NOT_ALLOWED:
        raise _refused(f"{service}: {_error(answer)}")
    if answer.is_error:
        raise So1sError(f"{service}: {_error(answer)}")
    return answer


def _told(settings: ClientSettings, where: str, said: dict[str, str]) -> httpx.Response:
    try:
        return console.read(settings, where, said)
    except console.NotFound as error:
        raise _refused(str(error)) from error


def _refused(words: str) -> InvalidInput:
    return InvalidInput([_Refusal("request", words, "")])


def _error(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
