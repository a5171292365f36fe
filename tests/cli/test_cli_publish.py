"""`so1s publish`, beside services that the tests play."""

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from subprocess import PIPE

import pytest

from so1s import events, publish_model
from so1s.artifacts import fingerprint
from so1s.events.envelope import Cause
from so1s.publisher import Publisher
from tests import played_events as played
from tests.played_services import playing


@pytest.fixture
def out(tmp_path):
    directory = tmp_path / "out"
    directory.mkdir()
    (directory / "model.skops").write_bytes(b"weights")
    return directory


@pytest.fixture
def model():
    return f"m-{uuid.uuid4().hex[:8]}"


def answered(laptop, model, out, *answers):
    """Publish once, and let the services answer: a repetition by the command is the same event."""
    published = publish_model(model, out, version="3", settings=laptop)
    with Publisher(laptop) as publisher:
        for each in answers:
            cause = Cause(published.event_id, published.event_id)
            publisher.publish(each, source="so1s/played", cause=cause)


def test_all_settings_that_are_missing_are_named_at_once(so1s, out, monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA", "127.0.0.1:1")
    result = so1s("publish", "out", "--model", "fraud", "--version", "3")
    assert result.code == 2
    assert "--account NAME, or SO1S_ACCOUNT" in result.err
    assert "SO1S_ARTIFACTS is missing; allowed: s3://BUCKET/PREFIX/" in result.err


def test_waiting_shows_each_step_with_its_time(so1s, laptop, model, out):
    answered(laptop, model, out, played.built(model), played.ready(model), played.applied(model))
    result = so1s("publish", "out", "--model", model, "--version", "3", "--wait", "--timeout-seconds", "60")
    assert (result.code, result.err) == (0, "")
    shown = [line.split() for line in result.lines]
    assert [line[0] for line in shown] == ["published", "built", "ready", "serving"]
    assert shown[0][1] == f"{model}@3"
    assert shown[3][1] == f"http://{model}--risk.so1s.localhost:8080/predict"
    assert all(line[-1].endswith("s") and float(line[-1][:-1]) >= 0 for line in shown)


def test_steps_as_json_are_one_object_a_line(so1s, laptop, model, out):
    answered(laptop, model, out, played.built(model), played.ready(model), played.applied(model))
    result = so1s("publish", "out", "--model", model, "--version", "3", "--wait", "-o", "json")
    assert [json.loads(line)["step"] for line in result.lines] == ["published", "built", "ready", "serving"]


async def test_a_failed_build_ends_with_1_and_the_tail_of_its_log(so1s, laptop, model, out):
    publish = ("publish", "out", "--model", model, "--version", "3", "--wait", "--timeout-seconds", "60")
    async with playing(laptop, events.ModelUploaded, lambda _: [played.build_failed(model)]):
        result = await asyncio.to_thread(so1s, *publish)
    assert result.code == 1
    assert "because numpy==9 does not exist" in result.err


def test_a_time_that_is_over_ends_with_4(so1s, laptop, model, out):
    answered(laptop, model, out, played.built(model))
    arguments = ("publish", "out", "--model", model, "--version", "3", "--wait", "--timeout-seconds", "5")
    result = so1s(*arguments)
    assert result.code == 4
    assert "it waits for the replicas" in result.err


def test_ctrl_c_ends_the_wait_at_once_without_a_traceback(laptop, model, out):
    command = [sys.executable, "-uc", "from so1s.cli import main; main()", "publish", "out", "--wait"]
    command += ["--model", model, "--version", "3"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout.readline().startswith("published")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == f"✗ {model}@3 is published, and goes on; --wait again follows it\n"


def test_every_option_reaches_the_event(so1s, laptop, model, out):
    options = {
        "--version": "9",
        "--label": "team=fraud-ds",
        "--evaluation": "auc=0.943",
        "--commit": "4f1c2ab",
        "--uploaded-by": "airflow:risk_daily",
        "--deployment": "fraud-next",
        "--endpoint": "fraud",
        "--initial-percent": "10",
        "--requires": "quality",
        "--strategy": "static",
        "--memory-mib": "1024",
        "--max-replicas": "4",
        "--latency-p90-ms": "50",
        "--alert": "availability_below=0.99,for_seconds=300",
    }
    scaling = dict.fromkeys(set(events.ScalingOptions.model_fields) - {"max_replicas", "latency_p90_ms"}, 2)
    options |= {f"--{name.replace('_', '-')}": "2" for name in scaling} | {"--gpus": "1"}
    given = [part for pair in options.items() for part in pair]
    said = so1s("publish", "out", "--model", model, *given, "-o", "json")
    assert said.code == 0, said.err
    listed = so1s("events", "tail", "--no-follow", "--from", "1h", "--type", "ModelUploaded", "-o", "json")
    found = [json.loads(line) for line in listed.lines]
    (data,) = (each["data"] for each in found if each["id"] == said.json["event_id"])
    event = events.ModelUploaded.from_json(json.dumps(data).encode())
    assert event.deploy == events.DeployOptions(
        deployment="fraud-next",
        endpoint="fraud",
        initial_percent=10,
        requires=["quality"],
        strategy="static",
        resources=events.ResourceOptions(memory_mib=1024, gpus=1),
        scaling=events.ScalingOptions(max_replicas=4, latency_p90_ms=50.0, **scaling),
    )
    assert event.alerts == [events.AlertRule(availability_below=0.99, for_seconds=300)]
    assert (event.uploaded_by, event.labels) == ("airflow:risk_daily", {"team": "fraud-ds"})
    assert (event.evaluation, event.lineage.commit) == ({"auc": 0.943}, "4f1c2ab")


def test_build_only_deploys_nothing(so1s, laptop, model, out):
    arguments = ("publish", "out", "--model", model, "--version", "3", "--build-only", "-o", "json")
    assert so1s(*arguments).code == 0
    published = publish_model(model, out, version="3", deploy=None, settings=laptop)
    assert published.event_id == so1s(*arguments).json["event_id"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--version", "a b"], "for example 'a-b'"),
        (["--version", "1", "--initial-percent", "101"], "deploy.initial_percent: 101"),
        (["--version", "1", "--strategy", "canary"], "deploy.strategy: 'canary'"),
        (["--version", "1", "--label", "team"], "label: 'team'"),
        (["--version", "1", "--evaluation", "auc=high"], "evaluation.auc: 'high'"),
    ],
)
@pytest.mark.usefixtures("laptop", "out")
def test_what_is_not_allowed_names_the_field(so1s, model, arguments, message):
    result = so1s("publish", "out", "--model", model, *arguments)
    assert result.code == 2
    assert message in result.err


@pytest.mark.usefixtures("laptop")
def test_what_the_check_finds_ends_publish_in_the_same_words_and_with_the_same_code(so1s, model, out):
    (out / "so1s.yaml").write_text("schema: so1s/v1\nfromat: skops\nfile: model.skops\n")
    checked = so1s("model", "check", "out")
    published = so1s("publish", "out", "--model", model, "--version", "1")
    assert (checked.code, checked.err) == (published.code, published.err)
    assert checked.code == 2
    assert checked.err.startswith("✗ so1s.yaml: fromat: ")


@pytest.mark.parametrize("account", ["", "risk"])
def test_away_from_any_platform_publish_says_first_how_to_reach_one(so1s, model, out, monkeypatch, account):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(out))
    for name in ("KAFKA", "URL", "ACCOUNT"):
        monkeypatch.delenv(f"SO1S_{name}", raising=False)
    result = so1s("publish", "out", "--model", model, *(["--account", account] if account else []))
    assert result.code == 2
    assert result.err.startswith(
        "✗ platform: none is known here; run `make up` and stay below its directory, "
    )
    for way in ("so1s login URL", "SO1S_KAFKA", "SO1S_ARTIFACTS"):
        assert way in result.err


def builds(model, **versions):
    rows = [
        {"model": model, "version": each[1:], "sha256": sha256, "state": "built"}
        for each, sha256 in versions.items()
    ]
    another = {"model": "another-model", "version": "99", "sha256": None, "state": "built"}
    refused = {"model": model, "version": "77", "sha256": None, "state": "refused"}
    return {"builds": [*rows, another, refused]}


@pytest.mark.parametrize(("known", "version"), [({}, "1"), ({"v1": "x", "v2": "y", "vx": "z"}, "3")])
@pytest.mark.usefixtures("laptop", "out")
def test_without_a_version_it_is_the_next_number(so1s, model, http, known, version):
    http.answers["/v1/builds"] = builds(model, **known)
    assert so1s("publish", "out", "--model", model, "-o", "json").json["model"] == f"{model}@{version}"


def test_the_same_bytes_keep_their_number(so1s, laptop, model, out, http):
    http.answers["/v1/builds"] = builds(model, v1="x", v2=fingerprint(out))
    assert so1s("publish", "out", "--model", model, "-o", "json").json["model"] == f"{model}@2"
