"""What was asked and answered goes to a sink where one is named, and never costs a caller an answer."""

import json
import os
import socket
import threading

import httpx
import numpy as np
import pytest

from so1s_runtime.declared import DeclaredSignature, declared_list
from so1s_runtime.dtypes import BYTES
from so1s_runtime.identity import identify
from so1s_runtime.iotypes.types import types_of
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from so1s_runtime.model import Model
from so1s_runtime.payloads import Payloads, redacted
from so1s_runtime.question import Question
from so1s_runtime.sinks import Outbox, sink
from tests.runtime.posts import kept_posts
from tests.runtime.running import is_ready, running

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3]]


class Kept(list):
    """Events, and what was counted of them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def count(self, outcome: str, number: int) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + number


def payloads_of(manifest, put, **options) -> Payloads:
    default = {"fraction": 1.0, "most_values": 100, "redacted": frozenset(), "drop": list, "owner": {}}
    return Payloads(manifest, put, **default | options)


def told(values, **options) -> list[dict]:
    """The events of a question with these values, which its model repeats."""
    kept = Kept()
    spec = TensorSpec("x", BYTES, (-1,))
    manifest = Manifest(name="m", version="1", format="onnx", file="-", signature=Signature((spec,), (spec,)))
    array = np.empty(len(values), dtype=object)
    array[:] = values
    question = Question(Model(manifest, lambda inputs, _: [inputs["x"]]), {"x": array}, [spec], len)
    payloads = payloads_of(manifest, kept.append, **options)
    assert payloads.tapped(lambda _: question, identify("r1", None, None))(b"").answer() == 1
    return kept


async def ask(loaded_app, client_of, model, put, body=ROWS, **options) -> httpx.Response:
    app = loaded_app(model.directory)
    app.payloads = payloads_of(app.manifest, put, **options)
    async with client_of(app) as client:
        return await client.post(
            "/predict", json=body, headers={"x-request-id": "r1", "x-correlation-id": "c1"}
        )


async def test_an_answer_is_told_as_a_cloudevent(skops_model, loaded_app, client_of):
    kept = Kept()
    answer = await ask(loaded_app, client_of, skops_model, kept.append)
    (event,) = kept
    assert (event["specversion"], event["id"], event["correlationid"]) == ("1.0", "r1", "c1")
    assert (event["source"], event["type"]) == ("/models/iris/versions/3", "so1s.inference.v1")
    (x,), (label, _) = event["data"]["inputs"], event["data"]["outputs"]
    assert (x["shape"], x["data"]) == ([2, 4], [*ROWS[0], *ROWS[1]])
    assert label["data"] == answer.json()["label"]
    assert json.dumps(event)


async def test_values_that_are_named_stay_out_and_many_are_cut(skops_model, loaded_app, client_of):
    kept = Kept()
    await ask(loaded_app, client_of, skops_model, kept.append, redacted=frozenset({"x"}), most_values=3)
    (x,), (_, probabilities) = kept[0]["data"]["inputs"], kept[0]["data"]["outputs"]
    assert x == {"name": "x", "datatype": "FP64", "shape": [2, 4], "redacted": True}
    assert (len(probabilities["data"]), probabilities["cut"]) == (3, True)


def test_bytes_and_long_texts_are_told_by_their_size_and_beginning():
    kept = told([b"\xff" * 9, "a" * 300, None, {"a": 1}, {2: [3], (4, 5): 6}])
    assert kept[0]["data"]["inputs"][0]["data"] == [
        {"size_bytes": 9},
        "a" * 256,
        None,
        '{"a":1}',
        '{"2":[3]}',
    ]


def test_of_a_large_value_no_more_is_written_than_is_kept():
    written = []

    class Cell:
        def __str__(self) -> str:
            written.append(self)
            return "cell"

    kept = told([[Cell() for _ in range(10_000)]])
    assert len(kept[0]["data"]["inputs"][0]["data"][0]) == 256
    assert len(written) < 200


def test_an_event_stays_small_however_long_its_texts_are():
    (event,) = told(["a" * 256] * 1_000, most_values=1_000)
    assert len(json.dumps(event)) < 70_000
    assert event["data"]["inputs"][0]["cut"]


def test_what_cannot_be_told_is_counted_and_its_caller_answered(caplog):
    class Silent:
        def __str__(self) -> str:
            raise RuntimeError("secret")

    dropped = []
    assert told([Silent()], drop=lambda: dropped.append(1)) == []
    assert dropped == [1]
    assert [(record.message, record.fields) for record in caplog.records] == [
        ("payloads are dropped", {"reason": "RuntimeError"})
    ]


def test_an_answer_that_cannot_be_written_is_not_told():
    kept = Kept()
    spec = TensorSpec("x", BYTES, (-1,))
    manifest = Manifest(name="m", version="1", format="onnx", file="-", signature=Signature((spec,), (spec,)))
    model = Model(manifest, lambda inputs, _: [inputs["x"]])
    question = Question(model, {"x": np.array([b"a"], dtype=object)}, [spec], lambda _arrays: 1 / 0)
    ask = payloads_of(manifest, kept.append).tapped(lambda _: question, identify("r1", None, None))
    with pytest.raises(ZeroDivisionError):
        ask(b"").answer()
    assert kept == []


def test_an_event_tells_whose_model_was_asked():
    (event,) = told(["a"], owner={"account": "risk", "deployment": "fraud"})
    assert event["source"] == "/accounts/risk/deployments/fraud/models/m/versions/1"
    assert (event["data"]["account"], event["data"]["deployment"]) == ("risk", "fraud")


def test_a_dataframe_is_redacted_by_its_name_or_a_columns_and_other_names_are_told(caplog):
    columns = [{"name": name, "dtype": "float64"} for name in ("age", "income")]
    declared = [
        {"name": "people", "type": "dataframe", "columns": columns},
        {"name": "note", "type": "text"},
    ]
    types = types_of(DeclaredSignature(declared_list(declared), ()))
    assert redacted(frozenset({"people"}), types) >= {"age", "income"}
    assert not redacted(frozenset({"age"}), types) & {"income", "note"}
    assert caplog.records == []
    redacted(frozenset({"note", "ssn"}), types)
    assert [(record.message, record.fields) for record in caplog.records] == [
        ("no input or output has a name that is redacted", {"names": ["ssn"]})
    ]


async def test_what_is_not_sampled_or_refused_is_not_told(skops_model, loaded_app, client_of):
    kept = Kept()
    await ask(loaded_app, client_of, skops_model, kept.append, fraction=0.0)
    answer = await ask(loaded_app, client_of, skops_model, kept.append, body=[[1]])
    assert (answer.status_code, kept) == (400, [])


def test_a_file_holds_an_event_a_line(tmp_path):
    kept = Kept()
    outbox = Outbox("payloads", sink(f"file://{tmp_path}/payloads.jsonl"), kept.count)
    for number in range(3):
        outbox.put({"id": number})
    outbox.close()
    (path,) = tmp_path.iterdir()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [0, 1, 2]
    assert kept.counts == {"written": 3}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.name == f"payloads-{socket.gethostname()}-{os.getpid()}.jsonl"


def test_a_server_gets_batches_of_cloudevents():
    kept = Kept()
    with kept_posts() as posts:
        outbox = Outbox("payloads", sink(f"{posts.url}/events"), kept.count)
        outbox.put({"id": "r1"})
        outbox.close()
    batch = "application/cloudevents-batch+json; charset=utf-8"
    assert posts == [("/events", batch, b'[{"id":"r1"}]')]
    assert kept.counts == {"written": 1}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/events", "file:///nowhere/payloads.jsonl"])
def test_a_sink_that_cannot_be_reached_is_counted_and_told_once(url, caplog):
    kept = Kept()
    outbox = Outbox("payloads", sink(url), kept.count)
    for _ in range(3):
        outbox.put({})
    outbox.close()
    assert kept.counts == {"dropped": 3}
    assert [record.message for record in caplog.records] == ["payloads are dropped"]


def test_a_sink_that_is_slow_makes_nobody_wait():
    may, kept = threading.Event(), Kept()

    def slow(_) -> None:
        may.wait(30)

    outbox = Outbox("payloads", slow, kept.count)
    for _ in range(1000):
        outbox.put({})
    assert kept.counts["dropped"] >= 600
    may.set()
    outbox.close()
    assert sum(kept.counts.values()) == 1000


async def test_a_server_writes_what_it_answered_before_it_ends(onnx_model, tmp_path):
    flags = [f"--payload-sink=file://{tmp_path}/payloads.jsonl", "--payload-redact=X,ssn", "--account=risk"]
    flags += ["--payload-fraction=1", "--drain-seconds=0"]
    async with running(onnx_model.directory, *flags) as server:
        await server.until(is_ready)
        for number in range(3):
            await server.client.post("/predict", json=ROWS, headers={"x-request-id": f"r{number}"})
        server.process.terminate()
        assert await server.end() == 0
        [unknown] = [line["names"] for line in await server.log() if "names" in line]
    (path,) = tmp_path.iterdir()
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["id"] for event in events] == ["r0", "r1", "r2"]
    assert events[0]["data"]["account"] == "risk"
    assert events[0]["data"]["inputs"][0]["redacted"]
    assert unknown == ["ssn"]
