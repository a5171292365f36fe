"""How a client proves itself to a registry, as the registry asks: by password, or by a token that expires.

The challenges are those of RFC 7235 and of https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from so1s.errors import TemporaryError

_SHORTEST_SECONDS = 60
"""How long a token is valid that does not say it."""
_USED_SHARE = 0.8
"""Of a token's life, so that it does not expire on its way."""
_READS = {"GET", "HEAD"}


class TokenServerAway(TemporaryError):
    """Who gives tokens does not answer now."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry asks for."""

    scheme: str
    """Lower case."""
    parameters: dict[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Read `WWW-Authenticate: SCHEME name="value",…`."""
        scheme, _, rest = header.strip().partition(" ")
        return cls(scheme.lower(), dict(re.findall(r'(\w+)="([^"]*)"', rest)))


@dataclass(frozen=True, slots=True)
class _Pass:
    challenge: Challenge
    authorization: str
    valid_until: float = float("inf")


class RegistryAuth(httpx.Auth):
    """Answers challenges, and remembers the answers for as long as they are good.

    What is asked for once for a repository is not asked for again: a token is good for all requests of its
    kind, which are those that read or those that write, and those that mount from another repository.
    """

    def __init__(self, host: str, user: str | None, password: SecretStr | None) -> None:
        self._host = host
        self._user = user
        self._password = password
        self._passes: dict[tuple[str, str, bool], _Pass] = {}

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """See `httpx.Auth`."""
        if request.url.netloc.decode() != self._host:  # where a registry lets bytes go: it needs no password
            yield request
            return
        purpose = _purpose(request)
        known = self._passes.get(purpose)
        if known and time.monotonic() > known.valid_until:
            known = self._passes[purpose] = await _token(
                known.challenge, (yield self._token_request(known.challenge))
            )
        if known:
            request.headers["Authorization"] = known.authorization
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
        if challenge.scheme == "basic" and (basic := self._basic):
            granted = _Pass(challenge, basic)
        elif challenge.scheme == "bearer" and _is_safe(request.url, challenge):
            granted = await _token(challenge, (yield self._token_request(challenge)))
        else:
            return
        self._passes[purpose] = granted
        request.headers["Authorization"] = granted.authorization
        yield request

    @property
    def _basic(self) -> str | None:
        if self._user is None or self._password is None:
            return None
        pair = f"{self._user}:{self._password.get_secret_value()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _token_request(self, challenge: Challenge) -> httpx.Request:
        asked = challenge.parameters
        # A challenge names several scopes with spaces between them; the token server wants one a parameter.
        scopes = [("scope", scope) for scope in asked.get("scope", "").split()]
        service = [("service", asked["service"])] if "service" in asked else []
        headers = {"Authorization": self._basic} if self._basic else {}
        return httpx.Request("GET", asked["realm"], params=[*service, *scopes], headers=headers)


def _purpose(request: httpx.Request) -> tuple[str, str, bool]:
    """What a request must be allowed: its repository, the one that it mounts from, whether it only reads."""
    found = re.match(r"/v2/(.+)/(?:blobs|manifests)/", request.url.path)
    repository = found[1] if found else ""
    return repository, request.url.params.get("from", ""), request.method in _READS


def _is_safe(registry: httpx.URL, challenge: Challenge) -> bool:
    """Whether a password may be sent there: not in the clear where the registry itself is encrypted."""
    realm = httpx.URL(challenge.parameters.get("realm", ""))
    return realm.scheme == "https" or (realm.scheme == "http" and registry.scheme == "http")


async def _token(challenge: Challenge, answer: httpx.Response) -> _Pass:
    realm = challenge.parameters["realm"]
    if answer.is_server_error:
        raise TokenServerAway(f"{realm} gives no token now: status {answer.status_code}")
    if not answer.is_success:
        raise TemporaryError(f"{realm} refuses the credentials: status {answer.status_code}")
    body = json.loads(await answer.aread())
    seconds = body.get("expires_in") or _SHORTEST_SECONDS
    token = body.get("token") or body["access_token"]
    return _Pass(challenge, f"Bearer {token}", time.monotonic() + seconds * _USED_SHARE)
