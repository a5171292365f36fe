"""How a builder gets into a registry, and what it does when the way there breaks."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from services.builder import app
from services.builder.adapters.images_registry import RegistryImages
from services.builder.domain.image import Layer
from services.builder.settings import Settings
from so1s.errors import TemporaryError
from so1s.registry import Registry
from so1s_lab.registry import Registry as RegistryPart
from tests.builder.test_builder_images_port import CONFIG, packed
from tests.lab.pushing import client
from tests.lab.token_server import Tokens


@pytest.fixture
def prefix() -> str:
    return f"access/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def small(tmp_path) -> tuple[Layer, Path]:
    return packed(tmp_path, uuid.uuid4().bytes)


async def test_a_private_authority_is_trusted_where_the_settings_name_it(tls_registry, prefix, small):
    images = app.make_images(
        Settings(
            database_url=SecretStr("sqlite://"),
            image_registry=f"{tls_registry.url}/{prefix}",
            image_registry_user=tls_registry.username,
            image_registry_password=SecretStr(tls_registry.password),
            image_registry_ca_file=tls_registry.ca_file,
            base_image=f"{tls_registry.host}/so1s/base@sha256:{'0' * 64}",
        )
    )
    await images.add(*small)
    assert await images.publish("risk/fraud:1", CONFIG, [small[0]])


async def test_a_certificate_of_an_unknown_authority_is_refused(tls_registry, prefix, small, no_pauses):
    stranger = Registry(tls_registry.url, user="lab", password=SecretStr(tls_registry.password))
    with pytest.raises(TemporaryError, match="CERTIFICATE_VERIFY_FAILED"):
        await RegistryImages(stranger, prefix=prefix).has(small[0])


async def test_a_wrong_password_is_said_to_be_and_not_shown(registry, prefix, small):
    stranger = Registry(registry.url, user=registry.username, password=SecretStr("guessed"))
    with pytest.raises(TemporaryError, match="401") as error:
        await RegistryImages(stranger, prefix=prefix).add(*small)
    assert "guessed" not in str(error.value)


@pytest.fixture(scope="module")
def tokens(lab) -> Iterator[Tokens]:
    with Tokens(lab.directory("tokens"), "robot", "secret") as tokens:
        yield tokens


@pytest.fixture(scope="module")
def token_registry(lab, start, tokens) -> RegistryPart:
    part = RegistryPart(lab.directory("token-registry"), tokens=tokens.server, name="token-registry")
    start(part)
    return part


@pytest.fixture
def robot(token_registry) -> Registry:
    return Registry(token_registry.url, user="robot", password=SecretStr("secret"))


async def test_tokens_let_in_for_each_repository_and_for_mounting_between_them(robot, tokens, prefix, small):
    images = RegistryImages(robot, prefix=prefix)
    await images.add(*small)
    before = len(tokens.given)

    await images.publish("risk/fraud:1", CONFIG, [small[0]])

    granted = [
        {each["name"]: sorted(each["actions"]) for each in given["access"]} for given in tokens.given[before:]
    ]
    repository = f"{prefix}/risk/fraud"
    assert {repository: ["pull", "push"], f"{prefix}/layers": ["pull"]} in granted  # for the mount
    assert await images.publish("risk/fraud:2", CONFIG, [small[0]])
    assert len(tokens.given) - before == len(granted)  # none was asked for twice


async def test_a_token_that_the_registry_takes_no_more_is_replaced_within_the_request(
    robot, tokens, prefix, small, eventually
):
    leeway_seconds = 60  # a registry takes a token for a minute longer than it says
    tokens.valid_seconds = 1.5 - leeway_seconds
    images = RegistryImages(robot, prefix=prefix)
    assert not await images.has(small[0])
    old = robot._auth._passes[f"{prefix}/layers", "", True].authorization
    url = f"{robot.url}/v2/{prefix}/layers/blobs/{small[0].digest}"

    async def refused() -> bool:
        async with httpx.AsyncClient() as http:
            return (await http.head(url, headers={"Authorization": old})).status_code == 401

    await eventually(refused)
    tokens.valid_seconds = 300.0
    before = len(tokens.given)
    assert not await images.has(small[0])
    assert len(tokens.given) == before + 1


async def test_a_user_whom_the_token_server_refuses_is_named(token_registry, tokens, prefix, small):
    stranger = Registry(token_registry.url, user="robot", password=SecretStr("guessed"))
    with pytest.raises(TemporaryError, match=r"/token refuses the credentials"):
        await RegistryImages(stranger, prefix=prefix).has(small[0])


# --- a way that breaks


@dataclass
class Way:
    """A way to a registry that breaks once, when so many bytes have gone there."""

    target: int
    breaks_after: int
    sent: int = 0
    broken: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self._forward(reader, back, count=True), self._forward(there, writer))

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.sent += len(data) * count
                if count and not self.broken and self.sent > self.breaks_after:
                    self.broken = True
                    break
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def way(registry) -> AsyncIterator[tuple[Way, str]]:
    way = Way(int(registry.host.partition(":")[2]), breaks_after=45 * 2**20)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    yield way, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


async def test_a_large_layer_arrives_whole_though_its_connection_breaks(registry, way, prefix, tmp_path):
    """This registry forgets an upload that was cut in the middle of a chunk, so that it begins anew."""
    broken_way, url = way
    layer, file = packed(tmp_path, os.urandom(70 * 2**20))
    slow = Registry(url, user=registry.username, password=SecretStr(registry.password))

    await RegistryImages(slow, prefix=prefix).add(layer, file)

    assert broken_way.broken
    assert await RegistryImages(client(registry), prefix=prefix).has(layer)
    assert broken_way.sent > layer.size_bytes + broken_way.breaks_after


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("so1s.registry.client._FIRST_PAUSE_SECONDS", 0)
