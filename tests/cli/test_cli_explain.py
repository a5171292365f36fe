"""`so1s explain`: from the topics alone, the chain of an upload."""

import asyncio
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from so1s import events, publish_model
from so1s.broker.producer import Producer
from so1s.cli.chain import summed
from so1s.events.codec import encode
from so1s.events.envelope import Cause
from so1s.events.model import Dropped
from so1s.publisher import Publisher
from tests import played_events as played

WINDOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def model():
    return f"m-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def published(laptop, model, tmp_path):
    (tmp_path / "model.skops").write_bytes(b"weights")
    return publish_model(
        model, tmp_path / "model.skops", version="3", settings=laptop, evaluation={"auc": 0.943}
    )


def say(laptop, published, *said, chain=None):
    chain = chain or published.event_id
    with Publisher(laptop) as publisher:
        for each in said:
            publisher.publish(each, source="so1s/played", cause=Cause(published.event_id, chain))


def step(model, name, detail):
    return events.BuildStepFinished(
        account="risk", model=model, version="3", step=name, detail=detail, seconds=0.1
    )


def usage(model, window, replica="r1", quality="complete", version="3"):
    return events.UsageSampled(
        account="risk",
        deployment=model,
        model=model,
        version=version,
        replica=replica,
        window_start=WINDOW + timedelta(seconds=5 * window),
        window_seconds=5,
        quantities={"cpu_reserved": 2_500_000},
        quality=quality,
        user="me",
    )


def charged(model):
    row = {"resource": "cpu_reserved", "usage": "0.5 vCPU-hour", "amount_usd": "0.020000000"}
    mine = row | {"model": model, "version": "3", "amount_nano_usd": 20_000_000}
    return {"rows": [mine, mine | {"version": "2", "amount_nano_usd": 7}]}


@pytest.fixture
def chain(laptop, http, model, published):
    options = {
        "resources.memory_mib": "so1s.yaml",
        "strategy": "event",
        "scaling.max_replicas": "account default",
    }
    say(laptop, published, step(model, "dependencies", "dependencies cached"), played.built(model))
    say(laptop, published, played.requested(model, **options), played.ready(model))
    say(
        laptop,
        published,
        played.checked(model, passed=True),
        played.applied(model, 7, **{model: 90, "other": 10}),
    )
    say(
        laptop,
        published,
        usage(model, 0),
        usage(model, 1),
        usage(model, 1, replica="r2"),
        usage(model, 9, version="2"),
    )
    http.answers["/v1/bills/risk"] = charged(model)


def test_the_tree_tells_the_chain_in_its_order(so1s, chain, model):
    result = so1s("explain", f"{model}@3")
    assert (result.code, result.err) == (0, "")
    expected = [
        f"{model}@3   account risk",
        "uploaded",
        "auc: 0.943",
        "dependencies cached",
        f"built  {played.DIGEST[:19]}",
        f"deployment {model}",
        "resources.memory_mib: 512   ← so1s.yaml",
        "scaling.max_replicas: 1   ← account default",
        "strategy: rolling   ← event",
        "ready  revision 1, 1 replica",
        "check  quality passed: accuracy 0.950",
        "revision 7",
        "90.0 %",
        "usage  3 windows, 2026-01-01 00:00:00 to 00:00:10 UTC (3 complete)",
        "charge  0.020000000 USD by now",
        "cpu_reserved  0.5 vCPU-hour  0.020000000 USD",
    ]
    places = [result.out.find(text) for text in expected]
    assert -1 not in places, [text for text, at in zip(expected, places, strict=True) if at < 0]
    assert places == sorted(places)


def test_json_holds_every_event_with_its_cause(so1s, chain, model, published):
    data = so1s("explain", f"{model}@3", "-o", "json").json
    types = [each["type"].split(".")[1] for each in data["events"]]
    assert types == [
        "ModelUploaded",
        "BuildStepFinished",
        "ImageBuilt",
        "DeploymentRequested",
        "DeploymentReady",
        "CheckFinished",
        "RoutesApplied",
    ]
    assert {each["cause_id"] for each in data["events"][1:]} == {published.event_id}
    assert data["usage"]["windows"] == 3
    assert data["charge"]["nano_usd"] == 20_000_000


async def test_an_upload_that_does_not_say_when_has_the_time_of_its_record(so1s, laptop, http, model):
    http.answers["/v1/bills/risk"] = charged(model)
    upload = events.ModelUploaded(
        account="risk", model=model, version="3", artifact={"uri": "s3://m/x"}, uploaded_by="airflow"
    )
    record = encode(upload, id=model, source="airflow", time=datetime.now(UTC), cause=None)
    headers = [each for each in record.headers if each[0] != "ce_time"]
    began = datetime.now(UTC)
    async with Producer(laptop) as producer:
        await producer.send([replace(record, headers=headers)])
    said = (await asyncio.to_thread(so1s, "explain", f"{model}@3", "-o", "json")).json
    assert abs(datetime.fromisoformat(said["uploaded_at"]) - began) < timedelta(minutes=1)


def test_events_of_other_chains_are_left_out(so1s, laptop, http, model, published):
    http.answers["/v1/bills/risk"] = charged(model)
    say(laptop, published, played.applied(model), chain="another")
    data = so1s("explain", f"{model}@3", "-o", "json").json
    assert [each["type"] for each in data["events"]] == ["so1s.ModelUploaded.v1"]


@pytest.fixture
def again(laptop, chain, model, published):
    """The version published once more, whose build failed."""
    again = str(uuid.uuid4())
    with Publisher(laptop) as publisher:
        publisher.publish(published.event, id=again, source="so1s/test")
    say(laptop, published, played.build_failed(model), chain=again)
    return again


def test_who_was_published_again_in_vain_shows_that_and_what_serves(so1s, again, model, published):
    out = so1s("explain", f"{model}@3").out
    places = [
        out.index(said)
        for said in (
            "dependencies cached",
            "revision 7",
            "usage",
            "charge",
            "because numpy==9 does not exist",
        )
    ]
    assert places == sorted(places)
    data = so1s("explain", f"{model}@3", "-o", "json").json
    assert data["correlation_id"] == again
    [serving] = data["earlier"]
    assert "so1s.RoutesApplied.v1" in {each["type"] for each in serving["events"]}


def test_a_version_that_was_published_again_shows_the_last_time_and_how_to_see_the_others(
    so1s, laptop, again, model, published
):
    say(laptop, published, played.built(model), chain=again)
    result = so1s("explain", f"{model}@3")
    assert result.lines[0].startswith(f"published once before; so1s explain {model}@3 --all")
    assert "because numpy==9 does not exist" in result.out
    assert "dependencies cached" not in result.out
    data = so1s("explain", f"{model}@3", "-o", "json").json
    assert data["correlation_id"] == again
    assert [(each["correlation_id"], each["events"]) for each in data["earlier"]] == [
        (published.event_id, [])
    ]


def test_all_times_that_a_version_was_published_are_told_in_their_order(so1s, again, model):
    out = so1s("explain", f"{model}@3", "--all").out
    assert out.index("dependencies cached") < out.index("because numpy==9 does not exist")
    assert (out.count("uploaded  "), out.count("charge  "), out.count("before;")) == (2, 1, 0)
    data = so1s("explain", f"{model}@3", "--all", "-o", "json").json
    [earlier] = data["earlier"]
    assert {each["type"] for each in earlier["events"]} > {"so1s.ImageBuilt.v1", "so1s.ModelUploaded.v1"}


def test_an_event_that_was_sent_twice_is_told_once(so1s, laptop, http, model, published):
    http.answers["/v1/bills/risk"] = charged(model)
    say(laptop, published, played.built(model))
    say(laptop, published, played.built(model))
    data = so1s("explain", f"{model}@3", "-o", "json").json
    assert len(data["events"]) == 2


def test_a_failure_shows_the_tail_of_its_log(so1s, laptop, http, model, published):
    http.answers["/v1/bills/risk"] = charged(model)
    say(laptop, published, played.build_failed(model))
    assert "because numpy==9 does not exist" in so1s("explain", f"{model}@3").out


def test_a_long_reason_is_told_to_its_end_and_an_incident_in_words(so1s, laptop, http, model, published):
    http.answers["/v1/bills/risk"] = charged(model)
    message = f"risk/{model}@3 exists with sha256 {'a' * 64}; publish other bytes as another version"
    refused = played.build_failed(model).model_copy(update={"message": message, "log_tail": []})
    incident = events.IncidentOpened(
        account="risk",
        incident="262559c77434",
        rule="build",
        subject=f"model {model}",
        severity="warning",
        summary=f"{model}@3 was not built",
        opened_at=WINDOW,
    )
    say(laptop, published, refused, incident)
    out = so1s("explain", f"{model}@3").out
    assert message in out
    assert f"incident  model {model}: {model}@3 was not built" in out


def test_without_billing_the_chain_is_told_and_the_charge_is_not_known(so1s, chain, model, monkeypatch):
    monkeypatch.setenv("SO1S_BILLING_URL", "http://127.0.0.1:1")
    result = so1s("explain", f"{model}@3")
    assert result.code == 0
    assert "charge  not known: the billing does not answer" in result.out


def test_a_version_with_the_id_of_another_one_says_that_nothing_followed(so1s, laptop, model, published):
    later = published.event.model_copy(update={"version": "8"})
    with Publisher(laptop) as publisher:
        for each in (published.event, later):
            publisher.publish(each, id="run-42", source="airflow")
    result = so1s("explain", f"{model}@8")
    assert (result.code, result.out) == (1, "")
    assert f"nothing followed from {model}@8: it was published with the id run-42 of version 3" in result.err


def test_an_unknown_version_says_where_to_look(so1s, laptop):
    result = so1s("explain", "nope@3")
    assert result.code == 1
    assert "so1s build list" in result.err


def test_a_window_counts_once_however_often_it_was_told(laptop, published):
    from so1s.events.envelope import Received

    def received(event):
        return Received(
            event=event, id="", source="", time=None, cause_id="", correlation_id="", traceparent=""
        )

    samples = [received(usage("fraud", 0, quality=quality)) for quality in ("gap", "partial")]
    assert summed(samples).qualities == {"partial": 1}


def test_an_upload_that_began_as_a_drop_says_so(so1s, laptop, http, model):
    http.answers["/v1/bills/risk"] = {"rows": []}
    dropped = Dropped(event="ObjectCreated:Put", principal="airflow", modified_at=WINDOW)
    artifact = events.Artifact(uri="s3://drops/risk/fraud/3.onnx")
    with Publisher(laptop) as publisher:
        publisher.publish(
            events.ModelUploaded(account="risk", model=model, version="3", artifact=artifact, dropped=dropped)
        )
    out = so1s("explain", f"{model}@3").out
    assert "dropped: ObjectCreated:Put by airflow, 2026-01-01 00:00:00 UTC" in out


@pytest.mark.usefixtures("chain")
def test_80_columns_hold_each_step_with_its_time_at_the_end(so1s, laptop, model, published, monkeypatch):
    monkeypatch.setattr("so1s.cli.terminal._PIPED_WIDTH", 80)
    say(laptop, published, step(model, "model", "x float64[-1,4] → " + ", ".join(["label int64[-1]"] * 9)))
    say(laptop, published, step(model, "image", played.DIGEST))
    lines = so1s("explain", f"{model}@3").lines
    assert max(map(len, lines)) <= 80
    steps = [
        line
        for line in lines
        if re.match(r"[│ ]*[├└]── (uploaded|dependencies|model|image|built|ready|route) ", line)
    ]
    assert len(steps) == 7
    assert {len(line) for line in steps} == {80}
    assert all(re.search(r"  \d+\.\ds$", line) for line in steps)
    assert next(line for line in steps if "image" in line).split()[-2] == f"{played.DIGEST[:19]}…"
