"""A person at a terminal who has a token, and cannot reach Kafka."""

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
import uuid
from functools import partial

import pytest

from so1s import events
from so1s.blocking import LoopThread
from so1s.settings import KafkaSettings
from tests import played_events as played
from tests.console.serving import Console
from tests.played_services import playing


@pytest.fixture(scope="module")
def console(broker, tmp_path_factory):
    """The URL of a console, and a token of it."""
    console = Console(broker, tmp_path_factory.mktemp("console"))
    with LoopThread() as thread:
        thread.run(console.start())
        yield console.url, thread.run(console.token("publish", "operate")).get_secret_value()
        thread.run(console.stop())


@pytest.fixture
def beside_builder(broker, tmp_path, http):
    """The same of a console that is told of a builder: what `http` plays."""
    console = Console(broker, tmp_path, http.url)
    with LoopThread() as thread:
        thread.run(console.start())
        yield console.url, thread.run(console.token("read")).get_secret_value()
        thread.run(console.stop())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("KAFKA", "URL", "TOKEN", "ACCOUNT"):
        monkeypatch.delenv(f"SO1S_{name}", raising=False)
    return tmp_path


@pytest.fixture
def login(so1s, home, monkeypatch):
    def call(url, token, *arguments):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token}\n"))
        return so1s("login", url, *arguments)

    return call


def test_a_token_is_read_checked_and_kept_for_its_owner(login, so1s, home, console):
    url, token = console
    result = login(url + "/", token)
    assert result.code == 0
    assert f"logged in at {url} as account risk; scopes: operate, publish; until " in result.out
    assert token not in result.out + result.err
    file = home / "config" / "so1s" / "login.json"
    assert json.loads(file.read_text()) == {"url": url, "token": token, "account": "risk"}
    assert so1s("logout").out == "the token is forgotten\n"
    assert not file.exists()
    assert so1s("logout").out == "no token was kept\n"


def test_a_token_that_is_not_valid_is_not_kept(login, home, console):
    result = login(console[0], f"so1s_{'0' * 12}_{'0' * 64}")
    assert (result.code, result.out) == (1, "")
    assert "the token is missing or not known" in result.err
    assert not (home / "config").exists()


def test_an_empty_token_is_asked_for(login, console):
    result = login(console[0], "")
    assert result.code == 2
    assert "token is missing" in result.err


def test_the_token_is_not_echoed(home, console):
    url, token = console
    terminal, inside = pty.openpty()
    command = [sys.executable, "-c", "from so1s.cli import main; main()", "login", url]
    with subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    ) as child:
        os.close(inside)
        shown = _read(terminal, until=b"token:")
        os.write(terminal, f"{token}\n".encode())
        shown += _read(terminal, until=b"logged in")
        child.wait()  # whose terminal is not to hang up before
        os.close(terminal)
    assert child.returncode == 0
    assert token.encode() not in shown


def _read(terminal, *, until):
    """What a terminal shows up to some words; it hangs up where they do not come."""
    shown = b""
    while until not in shown:
        shown += os.read(terminal, 1024)
    return shown


def test_a_platform_that_is_nearer_is_told(login, console, home, monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA", "127.0.0.1:1")
    assert "something else is nearer" in login(*console).err


@pytest.fixture
def name():
    """An endpoint, a deployment and a model of this test alone: a fact that was played before is no news."""
    return f"m-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def answering(broker):
    """Play a service at its Kafka: answer each event of a class with events that it caused."""
    return partial(playing, KafkaSettings(kafka=broker))


async def test_a_model_is_published_until_it_serves_without_kafka(login, so1s, answering, console, home):
    model = f"m-{uuid.uuid4().hex[:8]}"
    (home / "out.onnx").write_bytes(b"weights")
    login(*console)
    answers = [played.built(model), played.ready(model), played.applied(model)]
    async with answering(events.ModelUploaded, lambda _: answers):
        publish = ("publish", "out.onnx", "--model", model, "--version", "3", "--wait")
        result = await asyncio.to_thread(so1s, *publish)
    assert result.code == 0, result.err
    first, *_, last = [line.split()[0] for line in result.lines]
    assert (first, last) == ("published", "serving")  # what happens at once is heard of in any order


async def test_what_serves_is_shown_to_a_token_alone(login, so1s, answering, console, name):
    login(*console)
    answers = [played.built(name), played.ready(name), played.applied(name)]
    async with answering(events.ModelUploaded, lambda _: answers):
        uploaded = ("s3://models/risk/fraud/3.onnx", "--model", name, "--version", "3")
        await asyncio.to_thread(so1s, "publish", *uploaded, "--wait")
    result = await asyncio.to_thread(so1s, "status")
    assert result.code == 0, result.err
    assert f"{name}@3" in result.out
    assert f"revision 7  http://{name}--risk.so1s.localhost:8080" in result.out
    other = await asyncio.to_thread(so1s, "status", "--account", "shop")
    assert other.code == 2
    assert "allowed: risk, the account of the token" in other.err


async def test_weights_are_set_and_acknowledged_without_kafka(login, so1s, answering, console, name):
    login(*console)
    async with answering(events.WeightsChanged, lambda _: [played.applied(name, 7)]):
        result = await asyncio.to_thread(so1s, "weights", "set", name, f"{name}=1")
    assert (result.code, result.out) == (0, "revision 7 applied in 12 ms\n"), result.err


@pytest.fixture
def set_weights(so1s, answering, name):
    """Set weights, which become a revision; answers which variants are said to be detached, and all words."""

    async def call(revision, **weights):
        pairs = [f"{variant}={weight}" for variant, weight in weights.items()]
        applied = played.applied(name, revision, **weights)
        async with answering(events.WeightsChanged, lambda _: [applied]):
            result = await asyncio.to_thread(so1s, "weights", "set", name, *pairs)
        return [line.split()[1] for line in result.err.splitlines() if "is detached, as" in line], result.err

    return call


@pytest.fixture
def told(so1s, eventually, name):
    """Waits until the console tells of a revision."""

    async def call(revision):
        async def stands():
            endpoints = (await asyncio.to_thread(so1s, "status", "-o", "json")).json["endpoints"]
            return (name, revision) in [(each["endpoint"], each["revision"]) for each in endpoints]

        await eventually(stands)

    return call


async def test_weights_tell_a_token_alone_which_variants_they_detach(login, console, set_weights, told):
    login(*console)
    assert (await set_weights(1, old=1, new=0))[0] == []
    await told(1)
    assert (await set_weights(2, new=1))[0] == ["old"]
    await told(2)
    detached, said = await set_weights(4, newest=1)  # another hand set them between the two
    assert (detached, "the console did not tell the weights before" in said) == ([], True)


async def test_without_kafka_a_version_is_numbered_as_with_it(login, so1s, console, home):
    model = f"m-{uuid.uuid4().hex[:8]}"
    publish = ("publish", "out.onnx", "--model", model, "-o", "json")
    login(*console)
    named = []
    for weights in (b"first", b"first", b"second"):
        (home / "out.onnx").write_bytes(weights)
        named.append((await asyncio.to_thread(so1s, *publish)).json["model"])
    assert named == [f"{model}@1", f"{model}@1", f"{model}@2"]


async def test_a_rollback_needs_a_token_alone(login, so1s, answering, console, name):
    login(*console)
    async with answering(events.DeploymentRollbackRequested, lambda _: [played.ready(name, revision=2)]):
        result = await asyncio.to_thread(so1s, "rollback", name)
    assert (result.code, result.out) == (0, f"{name} revision 2: 1 ready, {name}@3\n"), result.err


BUILD = {
    "account": "risk",
    "model": "fraud",
    "version": "3",
    "number": 1,
    "state": "failed",
    "priority": "normal",
    "reason": "format",
    "message": "no file is a model",
    "queued_at": "2029-12-31T23:59:00Z",
    "finished_at": "2029-12-31T23:59:59Z",
    "waits_for": None,
}


def test_builds_of_the_tokens_account_are_listed(login, so1s, beside_builder, http):
    http.answers["/v1/builds"] = {"builds": [BUILD]}
    login(*beside_builder)
    result = so1s("build", "list", "--state", "failed")
    assert result.code == 0, result.err
    assert "no file is a model" in result.out
    assert sorted(http.asked[-1][0].partition("?")[2].split("&")) == ["account=risk", "state=failed"]
    assert "authorization" not in http.asked[-1][1]  # the token is the console's alone


def test_why_a_build_failed_is_told_by_its_log(login, so1s, beside_builder, http):
    http.answers["/v1/builds/risk/fraud/3/log"] = "fetch: started\nfailed: no file is a model\n"
    http.answers["/v1/builds/risk/fraud/3/log/lines"] = {
        "build": BUILD,
        "lines": ["failed: no file is a model"],
    }
    login(*beside_builder)
    assert so1s("build", "logs", "fraud@3").lines == ["fetch: started", "failed: no file is a model"]
    result = so1s("build", "logs", "fraud@3", "-f")
    assert (result.code, result.lines) == (1, ["failed: no file is a model"])
    assert "fraud@3 was not built: format: no file is a model" in result.err


def test_builds_of_another_account_are_not_told(login, so1s, beside_builder, http):
    login(*beside_builder)
    for command in (("list",), ("logs", "fraud@3"), ("logs", "-f", "fraud@3")):
        result = so1s("build", *command, "--account", "shop")
        assert result.code == 2
        assert "account: 'shop' is not allowed; allowed: 'risk', the account of this token" in result.err
    assert http.asked == []


def test_a_console_that_is_told_of_no_builder_says_so(login, so1s, console):
    login(*console)
    result = so1s("build", "list")
    assert result.code == 2
    assert "its operator says one as SO1S_BUILDER_URL" in result.err


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("deployments", "SO1S_DEPLOYER_URL"),
        ("scale fraud 2", "SO1S_DEPLOYER_URL"),
        ("bill", "SO1S_BILLING_URL"),
        ("explain fraud@3", "SO1S_KAFKA"),
        ("dlq list", "SO1S_KAFKA"),
        ("events tail", "SO1S_KAFKA"),
    ],
)
def test_what_a_token_does_not_reach_says_what_it_does(login, so1s, console, command, setting):
    login(*console)
    result = so1s(*command.split())
    assert result.code == 1
    said = "With a token work: publish, publish --wait, predict, weights set"
    assert said in result.err
    assert f"For this command set {setting}" in result.err


def test_what_the_token_does_not_allow_ends_with_2_and_names_the_field(login, so1s, console):
    login(*console)
    result = so1s("weights", "set", "fraud", "fraud=1", "--account", "shop", "--no-wait")
    assert result.code == 2
    assert "account: 'shop' is not allowed; allowed: 'risk', the account of this token" in result.err


def test_the_doctor_looks_at_what_the_token_reaches(login, so1s, console, monkeypatch):
    url, token = console
    login(url, token)
    result = so1s("doctor")
    assert result.code == 0
    assert f"✓ console   {url}: account risk, operate, publish, until " in result.out
    monkeypatch.setenv("SO1S_URL", url)
    monkeypatch.setenv("SO1S_TOKEN", f"so1s_{'0' * 12}_{'0' * 64}")
    result = so1s("doctor")
    assert result.code == 3
    assert "✗ console" in result.out
    assert "not known" in result.out
