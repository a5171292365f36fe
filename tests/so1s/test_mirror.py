"""A mirror of an API server's objects where connections break; the lab asks a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from so1s.errors import Unreachable
from so1s.kubernetes import Api, Mirror, connect

WHERE = "/api/v1/configmaps"


def body(name: str, version: int, value: str = "") -> dict[str, Any]:
    meta = {"namespace": "risk", "name": name, "resourceVersion": str(version)}
    return {"metadata": meta, "data": {"value": value}}


def event(kind: str, *said: Any) -> dict[str, Any]:
    return {"type": kind, "object": body(*said)}


class Server:
    """Lists one object at version 10; what its watches say is up to the test."""

    def __init__(self) -> None:
        self.watches: list[str] = []
        """The versions that watches began from."""
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        """What the present watch says; None cuts it."""
        self.refuses = False
        self.ends_watches = False
        """At once, and as is proper."""
        self.lists = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            raise web.HTTPServiceUnavailable
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += 1
        return web.json_response({"metadata": {"resourceVersion": "10"}, "items": [body("a", 7, "listed")]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        assert request.query["allowWatchBookmarks"] == "true"
        self.watches.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if self.ends_watches:
            return response
        while said := await self.events.get():
            await response.write(json.dumps(said).encode() + b"\n")
        assert request.transport
        request.transport.abort()
        return response


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get(WHERE, made.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    yield made
    await runner.cleanup()


@pytest.fixture
async def api(server: Server, tmp_path: Path) -> AsyncGenerator[Api]:
    async with connect(tmp_path / "kubeconfig") as api:
        yield api


@pytest.fixture
async def mirror(api: Api) -> AsyncGenerator[Mirror]:
    async with api.mirror("v1", "ConfigMap") as entered:
        yield entered


def values(mirror: Mirror) -> dict[str, str]:
    return {name: each["data"]["value"] for (_, name), each in mirror.objects.items()}


async def test_a_watch_goes_on_from_the_last_bookmark(server, mirror, eventually):
    await server.events.put({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "50"}}})
    await server.events.put(None)
    await eventually(lambda: server.watches == ["10", "50"])
    assert (values(mirror), server.lists) == ({"a": "listed"}, 1)


async def test_a_connection_that_is_silent_is_made_anew_and_nothing_is_lost(
    server, api, monkeypatch, eventually
):
    monkeypatch.setattr("so1s.kubernetes.mirror._SILENT_SECONDS", 0.1)
    async with api.mirror("v1", "ConfigMap") as mirror:
        await server.events.put(event("ADDED", "b", 12, "watched"))
        await eventually(lambda: server.watches[-1:] == ["12"])
        assert (values(mirror), server.lists) == ({"a": "listed", "b": "watched"}, 1)


async def test_a_watch_that_is_cut_again_and_again_goes_on_without_longer_and_longer_waits(
    server, api, monkeypatch, eventually
):
    """As by a proxy that cuts what is idle: with waits that double, the last one would take 5 hours."""
    monkeypatch.setattr("so1s.kubernetes.mirror._FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr("so1s.kubernetes.mirror._LONGEST_BACKOFF_SECONDS", 1e6)
    async with api.mirror("v1", "ConfigMap") as mirror:
        for cut in range(20):
            await eventually(lambda cuts=cut: len(server.watches) == cuts + 1 and mirror._lost is None)
            await eventually(lambda: mirror._lasted() > 0.02)  # longer than the wait before it
            await server.events.put(None)
        await eventually(lambda: len(server.watches) == 21)


async def test_what_was_known_can_be_read_for_a_moment_after_a_cut(server, mirror, monkeypatch, eventually):
    monkeypatch.setattr("so1s.kubernetes.mirror._READABLE_SECONDS", 3600.0)
    await eventually(lambda: server.watches)
    server.refuses = True
    await server.events.put(None)
    await eventually(lambda: mirror._lost and mirror._lost.failures > 1)
    assert values(mirror) == {"a": "listed"}


async def test_what_was_known_cannot_be_read_any_more_once_the_moment_is_over(
    server, mirror, monkeypatch, eventually
):
    monkeypatch.setattr("so1s.kubernetes.mirror._READABLE_SECONDS", 0.0)
    await eventually(lambda: server.watches)
    server.refuses = True
    await server.events.put(None)
    await eventually(lambda: mirror._lost)
    with pytest.raises(Unreachable, match="not watched"):
        values(mirror)


async def test_what_was_known_cannot_be_read_while_a_watch_waits_that_ended_at_once(
    server, api, monkeypatch, eventually
):
    monkeypatch.setattr("so1s.kubernetes.mirror._FIRST_BACKOFF_SECONDS", 3600.0)
    monkeypatch.setattr("so1s.kubernetes.mirror._READABLE_SECONDS", 0.0)
    server.ends_watches = True
    async with api.mirror("v1", "ConfigMap") as mirror:
        await eventually(lambda: mirror._lost)
        with pytest.raises(Unreachable, match="ended at once"):
            values(mirror)


async def test_what_a_write_left_is_shown_before_the_watch_tells_of_it(server, mirror, eventually):
    mirror.take(body("a", 20, "written"))
    assert values(mirror) == {"a": "written"}
    await server.events.put(event("MODIFIED", "a", 15, "before the write"))
    await server.events.put(event("ADDED", "b", 16))
    await eventually(lambda: "b" in values(mirror))
    assert values(mirror)["a"] == "written"
    await server.events.put(event("MODIFIED", "a", 20, "written"))
    await server.events.put(event("DELETED", "a", 25))
    await eventually(lambda: set(values(mirror)) == {"b"})


async def test_what_went_right_after_a_write_does_not_come_back(server, mirror, eventually):
    await server.events.put(event("DELETED", "a", 25))
    await eventually(lambda: values(mirror) == {})
    mirror.take(body("a", 20, "written"))
    assert values(mirror) == {}
