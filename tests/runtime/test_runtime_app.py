"""The HTTP face in one process: real models answer as their library does, wrong requests are explained."""

import asyncio
import json
import logging
import re
import threading

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from so1s_runtime.app import App
from so1s_runtime.manifest import read
from so1s_runtime.model import Model
from so1s_runtime.settings import Settings
from tests.runtime.running import LONG_SECONDS

ROW = [5.1, 3.5, 1.4, 0.2]


def input_name(served):
    return read(served.directory).signature.inputs[0].name


async def test_predict_answers_as_the_library_does_row_by_row(client, served, rows):
    answer = (await client.post("/predict", json=rows.tolist())).raise_for_status().json()
    assert answer["label"] == served.estimator.predict(rows).tolist()
    np.testing.assert_allclose(answer["probabilities"], served.estimator.predict_proba(rows), atol=1e-6)


async def test_infer_answers_as_the_library_does_row_by_row(client, served, rows):
    spec = read(served.directory).signature.inputs[0]
    tensor = {
        "name": spec.name,
        "shape": list(rows.shape),
        "datatype": spec.dtype.oip,
        "data": rows.ravel().tolist(),
    }
    for path in ("/v2/models/iris/infer", "/v2/models/iris/versions/3/infer"):
        answer = (await client.post(path, json={"id": "a7", "inputs": [tensor]})).raise_for_status().json()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("iris", "3", "a7")
        label, probabilities = answer["outputs"]
        assert label["data"] == served.estimator.predict(rows).tolist()
        expected = served.estimator.predict_proba(rows)
        assert probabilities["shape"] == list(expected.shape)
        np.testing.assert_allclose(np.reshape(probabilities["data"], expected.shape), expected, atol=1e-6)


async def test_an_infer_request_without_an_id_is_answered_with_the_requests_id(client, served):
    spec = read(served.directory).signature.inputs[0]
    tensor = {"name": spec.name, "shape": [1, 4], "datatype": spec.dtype.oip, "data": ROW}
    answer = await client.post(
        "/v2/models/iris/infer", json={"inputs": [tensor]}, headers={"x-request-id": "r1"}
    )
    assert answer.json()["id"] == "r1"


async def test_metadata_tells_what_the_model_takes_and_gives(client, served):
    for path in ("/v2/models/iris", "/v2/models/iris/versions/3"):
        metadata = (await client.get(path)).raise_for_status().json()
        assert metadata["versions"] == ["3"]
        assert metadata["inputs"][0]["name"] == input_name(served)
        assert metadata["outputs"][0] == {"name": "label", "datatype": "INT64", "shape": [-1]}
    assert (await client.get("/v2")).json()["name"] == "so1s-runtime"


async def test_a_wrong_value_is_answered_with_its_place(client, served):
    answer = await client.post("/predict", json=[ROW, [5.1, "3.5", 1.4, 0.2]])
    assert answer.status_code == 400
    spec = read(served.directory).signature.inputs[0]
    assert answer.json() == {
        "error": f"input '{spec.name}' at [1, 1] has a string where a number belongs",
        "field": spec.name,
        "position": [1, 1],
        "expected": spec.dtype.name,
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "nothing is served at /; this is iris@3"),
        (
            "POST",
            "/v2/models/other/infer",
            404,
            "nothing is served at /v2/models/other/infer; this is iris@3",
        ),
        ("GET", "/v2/models/iris/versions/4", 404, "this is iris@3"),
        ("GET", "/predict", 405, "/predict answers POST, not GET"),
        ("DELETE", "/v2/health/live", 405, "answers GET, not DELETE"),
    ],
)
async def test_a_wrong_path_or_method_is_explained(client, method, path, status, message):
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert (answer.headers.get("allow") is not None) == (status == 405)


async def test_a_given_request_id_is_repeated_and_a_missing_or_odd_one_is_made(client):
    async def id_for(headers):
        return (await client.get("/v2/health/live", headers=headers)).headers["x-request-id"]

    assert await id_for({"x-request-id": "from-caller_1"}) == "from-caller_1"
    for odd in ({}, {"x-request-id": "a b"}, {"x-request-id": "x" * 129}, {"x-request-id": b"\xff"}):
        assert re.fullmatch("[0-9a-f]{32}", await id_for(odd))


async def test_every_answer_names_the_version_that_gave_it(client):
    for path in ("/v2/health/live", "/predict"):
        assert (await client.post(path, json=[ROW])).headers["x-model"] == "iris@3"


async def test_the_server_is_live_but_not_ready_until_the_model_is_loaded(skops_model, client_of):
    app = App(Settings(model_dir=skops_model.directory, port=1), read(skops_model.directory))
    async with client_of(app) as client:
        assert (await client.get("/v2/health/live")).status_code == 200
        for path in ("/v2/health/ready", "/v2/models/iris/ready"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["state"]) == (503, "loading")
        answer = await client.post("/predict", json=[ROW])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_draining_server_is_not_ready_serves_on_and_sends_callers_away(
    skops_model, loaded_app, client_of
):
    app = loaded_app(skops_model.directory)
    app.draining = True
    async with client_of(app) as client:
        assert (await client.get("/v2/health/ready")).json() == {
            "name": "iris",
            "ready": False,
            "state": "draining",
        }
        answer = await client.post("/predict", json=[ROW])
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")


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


class Gate:
    """A predictor that waits inside its thread until it is opened, then asks the real one."""

    def __init__(self, model: Model) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self._predictor = model.predictor

    def __call__(self, inputs, outputs):
        self.entered.release()
        assert self.opened.wait(10)
        return self._predictor(inputs, outputs)


@pytest.fixture
def gated(skops_model, loaded_app):
    """Makes an app whose model waits at a gate."""
    gates = []

    def make(**settings):
        app = loaded_app(skops_model.directory, **settings)
        gate = Gate(app.model)
        gates.append(gate)
        app.model = Model(app.manifest, gate)
        return app, gate

    yield make
    for gate in gates:
        gate.opened.set()


async def entered(gate):
    assert await asyncio.to_thread(gate.entered.acquire, timeout=LONG_SECONDS)


async def until(condition):
    async with asyncio.timeout(LONG_SECONDS):
        while not condition():  # noqa: ASYNC110 - a thread changes it, and tells no event
            await asyncio.sleep(0.005)


async def test_one_request_too_many_is_refused_while_health_and_metrics_still_answer(gated, client_of):
    app, gate = gated(max_concurrency=2)
    async with client_of(app) as client:
        calls = [asyncio.create_task(client.post("/predict", json=[ROW])) for _ in range(2)]
        await entered(gate)
        await until(lambda: app.worker.slots.taken == 2)
        refused = await client.post("/predict", json=[ROW])
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "2 requests are in work already" in refused.json()["error"]
        assert (await client.get("/v2/health/ready")).status_code == 200
        assert "http_requests_in_flight 2.0" in (await client.get("/metrics")).text
        gate.opened.set()
        assert [(await call).status_code for call in calls] == [200, 200]
        assert (await client.post("/predict", json=[ROW])).status_code == 200


async def test_a_call_over_time_is_given_up_but_holds_its_slot_until_the_model_returns(gated, client_of):
    app, gate = gated(request_seconds=0.05, max_concurrency=1)
    async with client_of(app) as client:
        answer = await client.post("/predict", json=[ROW])
        assert (answer.status_code, answer.json()) == (504, {"error": "no answer within 0.05 s"})
        assert (await client.post("/predict", json=[ROW])).status_code == 429
        gate.opened.set()
        await until(lambda: app.worker.slots.taken == 0)
        assert (await client.post("/predict", json=[ROW])).status_code != 429


async def test_a_call_that_waited_too_long_is_never_started(gated, client_of):
    app, gate = gated(request_seconds=1.0)  # in which the first begins on any machine
    async with client_of(app) as client:
        first, second = await asyncio.gather(*(client.post("/predict", json=[ROW]) for _ in range(2)))
        assert (first.status_code, second.status_code) == (504, 504)
        await until(lambda: app.worker.slots.taken == 1)
        gate.opened.set()
        await until(lambda: app.worker.slots.taken == 0)
        assert gate.entered.acquire(blocking=False)
        assert not gate.entered.acquire(blocking=False)


@pytest.mark.parametrize(
    "raised", [SystemExit(3), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()]
)
async def test_a_model_that_would_end_its_server_is_answered_as_one_that_fails(
    skops_model, loaded_app, client_of, raised
):
    def leave(inputs, outputs):
        raise raised

    app = loaded_app(skops_model.directory)
    app.model = Model(app.manifest, leave)
    async with client_of(app) as client:
        answer = await client.post("/predict", json=[ROW])
    assert (answer.status_code, "the model failed" in answer.text) == (500, True)


async def test_a_model_that_fails_is_logged_with_the_request_and_answered_without_its_secrets(
    skops_model, loaded_app, client_of, caplog
):
    def fail(inputs, outputs):
        raise ValueError("secret row 42")

    app = loaded_app(skops_model.directory)
    app.model = Model(app.manifest, fail)
    async with client_of(app) as client:
        answer = await client.post("/predict", json=[ROW], headers={"x-request-id": "r9"})
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "the model failed; see the log of request r9"},
    )
    (record,) = caplog.records
    assert record.fields["request_id"] == "r9"
    assert "secret row 42" in str(record.exc_info)
    assert app.worker.slots.taken == 0


async def test_metrics_count_by_route_and_status_and_time_each_answer(skops_model, loaded_app, client_of):
    async with client_of(loaded_app(skops_model.directory)) as client:
        for body in ([ROW], [ROW], [["?"]]):
            await client.post("/predict", json=body)
        await client.get("/v2/models/iris/versions/3/ready")
        await client.get("/%2e%2e/etc/passwd")
        samples = await scrape(client)
    assert samples["http_requests_total", "/predict", "200"] == 2
    assert samples["http_requests_total", "/predict", "400"] == 1
    assert samples["http_requests_total", "/v2/models/{name}/ready", "200"] == 1
    assert samples["http_requests_total", "other", "404"] == 1
    assert samples["http_request_duration_seconds_count", "/predict", ""] == 3
    assert samples["http_requests_in_flight", "", ""] == 0
    assert samples["model_info", "", ""] == 1


async def scrape(client: httpx.AsyncClient):
    answer = (await client.get("/metrics")).raise_for_status()
    return {
        (sample.name, sample.labels.get("route", ""), sample.labels.get("status", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_the_access_log_is_written_on_request_only(skops_model, loaded_app, client_of, caplog):
    caplog.set_level(logging.INFO)
    for access_log in (False, True):
        async with client_of(loaded_app(skops_model.directory, access_log=access_log)) as client:
            await client.post("/predict", json=[ROW], headers={"x-request-id": f"log-{access_log}"})
    lines = [record.fields for record in caplog.records if record.name == "so1s_runtime"]
    assert [(line["path"], line["status"], line["request_id"]) for line in lines] == [
        ("/predict", 200, "log-True")
    ]
