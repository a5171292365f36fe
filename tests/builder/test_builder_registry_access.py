"""How the builder proves itself to a registry."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from so1s.errors import TemporaryError
from so1s.registry import Session, digest_of
from so1s.registry import client as client_module
from so1s.registry.auth import RegistryAuth
from tests.builder.fake_registry import DIGEST, URL, away


class Guarded:
    """A registry that wants tokens, and the server that gives them."""

    def __init__(self, realm: str = "https://auth.example/token") -> None:
        self.realm = realm
        self.tokens: list[str] = []
        self.asked: list[httpx.Request] = []
        self.answers: list[httpx.Response] = []
        self.expires_in = 300
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            return self._give(request)
        self.seen.append(request)
        if request.headers.get("Authorization") in [f"Bearer {token}" for token in self.tokens]:
            return httpx.Response(200, headers={"Content-Length": "1"})
        scope = "repository:a:pull repository:layers:pull"
        challenge = f'Bearer realm="{self.realm}",service="registry.example",scope="{scope}"'
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})

    def _give(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.answers:
            return self.answers.pop(0)
        self.tokens.append(f"token-{len(self.tokens)}")
        return httpx.Response(200, json={"token": self.tokens[-1], "expires_in": self.expires_in})


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


@pytest.fixture
async def user(guarded, monkeypatch) -> AsyncIterator[Session]:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_SECONDS", 0)
    auth = RegistryAuth("registry.example", "robot", SecretStr("secret"))
    transport = httpx.MockTransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url=URL, auth=auth) as client:
        yield Session(client)


async def test_a_token_is_asked_for_with_the_password_once_for_many_requests(guarded, user):
    for _ in range(3):
        assert await user.blob_size("a", DIGEST) == 1

    (asked,) = guarded.asked
    assert asked.url.params["service"] == "registry.example"
    assert asked.url.params.get_list("scope") == ["repository:a:pull", "repository:layers:pull"]
    assert asked.headers["Authorization"].startswith("Basic ")
    assert not any("Basic" in request.headers.get("Authorization", "") for request in guarded.seen)


async def test_a_token_that_is_good_no_more_is_replaced(guarded, user):
    await user.blob_size("a", DIGEST)
    guarded.tokens.clear()

    assert await user.blob_size("a", DIGEST) == 1
    assert len(guarded.asked) == 2


async def test_a_token_is_not_used_to_the_last_second_of_its_life(guarded, user, monkeypatch):
    now = 0.0
    monkeypatch.setattr("so1s.registry.auth.time.monotonic", lambda: now)
    await user.blob_size("a", DIGEST)
    now = 250.0
    await user.blob_size("a", DIGEST)
    assert len(guarded.asked) == 2
    assert len(guarded.seen) == 3  # the second was not refused first


async def test_a_token_server_that_is_away_for_a_moment_is_asked_again(guarded, user):
    guarded.answers = [away(), away()]
    assert await user.blob_size("a", DIGEST) == 1


async def test_credentials_that_are_refused_are_said_to_be_without_being_shown(guarded, user):
    guarded.answers = [httpx.Response(401)]
    with pytest.raises(TemporaryError, match="refuses the credentials") as error:
        await user.blob_size("a", DIGEST)
    assert "secret" not in str(error.value)
    assert len(guarded.asked) == 1


async def test_a_password_is_not_sent_in_the_clear_on_behalf_of_an_encrypted_registry(guarded, user):
    guarded.realm = "http://auth.example/token"
    with pytest.raises(TemporaryError, match="401"):
        await user.blob_size("a", DIGEST)
    assert guarded.asked == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_store_that_a_registry_lets_bytes_lie_in_sees_no_credentials(method):
    data = b"{}"
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "store.example":
            return httpx.Response(200, content=data)
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        if request.method == "HEAD":
            return httpx.Response(404)
        status = 202 if request.method == "POST" else 307
        return httpx.Response(status, headers={"Location": "https://store.example/v2/a/blobs/x"})

    async def whole(_offset: int, _length: int) -> bytes:
        return data

    auth = RegistryAuth("registry.example", "robot", SecretStr("secret"))
    transport = httpx.MockTransport(serve)
    async with httpx.AsyncClient(
        transport=transport, base_url=URL, auth=auth, follow_redirects=True
    ) as client:
        if method == "GET":
            await Session(client).json("a", digest_of(data), "blobs")
        else:
            await Session(client).put_blob("a", digest_of(data), len(data), whole)

    assert (seen[-1].method, seen[-1].url.host) == (method, "store.example")
    assert "Authorization" not in seen[-1].headers
