"""Bodies that are large, slow, in pieces or never whole, in one process."""

import asyncio
import json
import re

import pytest

from so1s_runtime.app import App
from tests.runtime.running import until

ROW = [5.1, 3.5, 1.4, 0.2]


async def test_a_large_body_is_refused_whether_or_not_it_tells_its_length(skops_model, loaded_app, client_of):
    async def chunks():
        for _ in range(3):
            yield b"[" * 40

    async with client_of(loaded_app(skops_model.directory, max_body_bytes=100)) as client:
        for content in (b"[" * 101, chunks()):
            answer = await client.post("/predict", content=content)
            assert answer.status_code == 413
            assert answer.json() == {
                "error": "the body is larger than 100 bytes",
                "expected": "at most 100 bytes",
            }
        assert (await client.post("/predict", json=[ROW])).status_code == 200


async def test_a_body_sent_in_pieces_is_put_together(client):
    async def pieces():
        for piece in re.findall(b".{1,5}", json.dumps([ROW]).encode()):
            yield piece

    assert (await client.post("/predict", content=pieces())).json()["label"] == [0]


async def test_a_body_that_does_not_arrive_in_time_is_answered(skops_model, loaded_app, client_of):
    async def stalled():
        yield b"["
        await asyncio.Event().wait()

    async def call(app):
        sent = []
        messages = stalled()

        async def receive():
            return {"type": "http.request", "body": await anext(messages), "more_body": True}

        async def send(message):
            sent.append(message)

        await app({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send)
        return sent[0]["status"]

    app = loaded_app(skops_model.directory, body_seconds=0.05)
    assert await call(app) == 408
    assert app.worker.slots.taken == 0


class Slow:
    """A caller whose body comes as the test says."""

    def __init__(self, app: App) -> None:
        self._pieces = asyncio.Queue()
        self._sent = []
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
        self._call = asyncio.ensure_future(app(scope, self._receive, self._send))

    def send(self, piece: bytes, *, is_last: bool = False) -> None:
        self._pieces.put_nowait({"type": "http.request", "body": piece, "more_body": not is_last})

    def go(self) -> None:
        self._pieces.put_nowait({"type": "http.disconnect"})

    async def status(self) -> int:
        await self._call
        return self._sent[0]["status"]

    async def _receive(self):
        return await self._pieces.get()

    async def _send(self, message):
        self._sent.append(message)


async def test_callers_that_send_slowly_hold_no_slot(skops_model, loaded_app, client_of):
    app = loaded_app(skops_model.directory, max_concurrency=1)
    slow = [Slow(app) for _ in range(3)]
    for each in slow:
        each.send(b"[")
    await until(lambda: app.received.number == 3)
    async with client_of(app) as client:
        assert (await client.post("/predict", json=[ROW])).status_code == 200
        assert "http_requests_in_flight 3.0" in (await client.get("/metrics")).text
    for each in slow:
        each.send(json.dumps([ROW]).encode()[1:], is_last=True)
        assert await each.status() == 200
    assert (app.received.number, app.worker.slots.queued, app.worker.slots.taken) == (0, 0, 0)


async def test_bodies_that_come_in_pieces_have_bounded_room(skops_model, loaded_app, monkeypatch):
    monkeypatch.setattr("so1s_runtime.app._LARGEST_AT_ONCE", 1)
    app = loaded_app(skops_model.directory, max_concurrency=1, max_body_bytes=300)
    first, second = Slow(app), Slow(app)
    first.send(b" " * 200)
    await until(lambda: app.received.number == 200)
    second.send(b" " * 101)
    assert await second.status() == 429
    second = Slow(app)
    second.send(b" " * 100)
    await until(lambda: app.received.number == 300)
    first.go()
    await until(lambda: app.received.number == 100)
    second.send(json.dumps([ROW]).encode(), is_last=True)
    assert await second.status() == 200


class Sending:
    """A caller that sends a body in pieces, and what it has heard when each was taken."""

    def __init__(self, *pieces: bytes, **headers: str) -> None:
        self._pieces = list(pieces)
        self._headers = {name.encode(): value.encode() for name, value in headers.items()}
        self.statuses: list[int] = []
        self.heard_before: list[int] = []
        self.heard: list[tuple[bytes, bytes]] = []

    async def send_to(self, app, path: str) -> int:
        headers = [(name.replace(b"_", b"-"), value) for name, value in self._headers.items()]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        await app(scope, self._receive, self._send)
        return self.statuses[0]

    async def _receive(self):
        if not self._pieces:
            await asyncio.Event().wait()
        self.heard_before.append(len(self.statuses))
        piece = self._pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def _send(self, message):
        if "status" in message:
            self.statuses.append(message["status"])
            self.heard += message["headers"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/predict", {"content_length": "120"}, 413),
        ("/predict", {"transfer_encoding": "chunked"}, 413),
        ("/predict", {"content_length": "120", "content_encoding": "gzip"}, 415),
        ("/nowhere", {"content_length": "120"}, 404),
        ("/metrics", {"content_length": "120"}, 405),
    ],
)
async def test_a_caller_that_sends_all_first_hears_of_a_refusal_after_its_body_was_taken(
    skops_model, loaded_app, path, headers, status
):
    caller = Sending(*[b"[" * 40] * 3, **headers)
    app = loaded_app(skops_model.directory, max_body_bytes=50)
    assert await caller.send_to(app, path) == status
    assert caller.heard_before == [0, 0, 0]


async def test_a_caller_that_waits_to_be_asked_for_its_body_is_refused_without_it(skops_model, loaded_app):
    caller = Sending(b"[" * 120, content_length="120", expect="100-continue")
    assert await caller.send_to(loaded_app(skops_model.directory, max_body_bytes=50), "/predict") == 413
    assert caller.heard_before == []
    assert (b"connection", b"close") in caller.heard, "where its next request begins is not known"


async def test_a_caller_whose_body_does_not_end_hears_of_a_refusal_all_the_same(skops_model, loaded_app):
    caller = Sending(content_length="120")
    app = loaded_app(skops_model.directory, max_body_bytes=50, body_seconds=0.05)
    assert await caller.send_to(app, "/predict") == 413


async def test_a_caller_that_goes_away_leaves_no_slot_taken(skops_model, loaded_app):
    app = loaded_app(skops_model.directory)

    async def receive():
        return {"type": "http.disconnect"}

    async def send(_):
        pytest.fail("nobody listens")

    await app({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send)
    assert app.worker.slots.taken == 0


async def test_an_encoded_body_is_refused(client):
    answer = await client.post("/predict", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]) == (415, "send the body without a content-encoding")
