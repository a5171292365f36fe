"""The HTTP face in one process: real models answer as their library does, wrong requests are explained."""

import asyncio
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
from tests.runtime.running import LONG_SECONDS, until

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
