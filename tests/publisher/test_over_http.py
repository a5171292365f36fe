"""A pipeline that has a token, and cannot reach Kafka."""

import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

import so1s
from so1s.blocking import LoopThread
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.events import WeightsChanged
from so1s.login import Login
from so1s.platform import ClientSettings, Platform
from so1s.publisher import AsyncPublisher, Publisher
from so1s.ways.uploads import ConsoleTarget
from tests import played_events as played
from tests.console.serving import Console


def weights(**changes):
    fields = {"account": "risk", "endpoint": f"e-{uuid.uuid4().hex[:8]}", "weights": {"fraud": 1}}
    return WeightsChanged(**fields | changes)


@pytest.fixture
def pipeline(over_http) -> ClientSettings:
    return over_http.model_copy(update={"kafka": "127.0.0.1:1", "artifacts": None, "account": None})


@pytest.fixture
def model(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(uuid.uuid4().bytes * 100_000)
    return file


def test_a_model_is_uploaded_and_published_for_the_account_of_the_token(pipeline, model):
    published = so1s.publish_model("fraud", model, version="1", settings=pipeline)
    assert published.event.account == "risk"
    with pytest.raises(so1s.NotServing, match=r"reached: published after 0\.0 s"):
        published.wait_until_serving(1)
    again = so1s.publish_model("fraud", model, version="1", settings=pipeline)
    assert again.event_id == published.event_id


async def test_a_repeated_call_says_the_same_event(pipeline):
    event = weights()
    async with AsyncPublisher(pipeline) as publisher:
        assert await publisher.publish(event) == await publisher.publish(event)


async def test_what_the_token_does_not_allow_is_named_by_its_field(pipeline):
    async with AsyncPublisher(pipeline) as publisher:
        with pytest.raises(InvalidInput, match="account: 'shop' is not allowed; allowed: 'risk'"):
            await publisher.publish(weights(account="shop"))
        with pytest.raises(InvalidInput, match=r"type: 'so1s\.BuildFailed\.v1' is not allowed"):
            await publisher.publish(played.build_failed("fraud"))


@pytest.mark.parametrize("token", ["so1s_x", f"so1s_{'0' * 12}_{'0' * 64}"])
def test_a_token_that_is_not_valid_says_what_to_do(pipeline, token):
    stranger = pipeline.model_copy(update={"token": SecretStr(token)})
    with pytest.raises(so1s.Unauthorized, match=r"the token is missing or not known.*so1s login") as raised:
        Publisher(stranger).__enter__()
    assert token not in str(raised.value)


def test_wrong_secrets_of_a_token_are_told_to_wait_while_its_holder_publishes(pipeline):
    token = pipeline.token.get_secret_value()
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    thief = pipeline.model_copy(update={"token": SecretStr(wrong)})
    for _ in range(10):
        with pytest.raises(so1s.Unauthorized):
            Publisher(thief).__enter__()
    with pytest.raises(Unreachable, match=r"too many requests.*; it may be asked again in [0-9]+ s"):
        Publisher(thief, patience_seconds=0.2).__enter__()
    with Publisher(pipeline) as publisher:
        publisher.publish(weights())


def test_a_publisher_that_asks_too_often_asks_again_when_it_was_told_to(pipeline, busy):
    url, asked = busy
    with Publisher(pipeline.model_copy(update={"url": url})):
        first, second = asked
    assert second - first >= 1


def test_a_console_that_is_away_says_what_to_do(pipeline):
    away = pipeline.model_copy(update={"url": "http://127.0.0.1:1"})
    with pytest.raises(Unreachable, match=r"console does not answer at http://127\.0\.0\.1:1.*SO1S_URL"):
        Publisher(away, patience_seconds=0.2).__enter__()


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://me:secret@x", "x"])
def test_a_wrong_url_is_named_without_its_password(pipeline, url):
    with pytest.raises(InvalidInput, match="SO1S_URL") as raised:
        Publisher(pipeline.model_copy(update={"url": url}))
    assert "secret" not in str(raised.value)


def test_a_missing_token_is_named(pipeline):
    with pytest.raises(InvalidInput, match="SO1S_TOKEN is missing"):
        Publisher(pipeline.model_copy(update={"token": None}))


def test_what_is_no_console_is_told_so(pipeline, elsewhere):
    with pytest.raises(So1sError, match="HTTP 404, which is no answer of a console"):
        Publisher(pipeline.model_copy(update={"url": elsewhere[0]})).__enter__()


@pytest.fixture
def elsewhere():
    """A server that is no console: its URL, and the headers of what is put there."""
    put = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def do_PUT(self):
            self.rfile.read(int(self.headers["content-length"]))
            put.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    yield from _serving(Elsewhere, put)


@pytest.fixture
def busy():
    """A server that refuses its first request for a second: its URL, and when it was asked."""
    asked = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(time.monotonic())
            self.send_response(429 if len(asked) == 1 else 200)
            self.send_header("retry-after", "1")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    yield from _serving(Busy, asked)


def _serving(handler, told):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


def test_bytes_that_go_elsewhere_take_no_token_along(pipeline, model, elsewhere):
    url, put = elsewhere
    size = str(model.stat().st_size)
    upload = {"method": "PUT", "url": f"{url}/model?signature=x", "headers": {"content-length": size}}
    ConsoleTarget(pipeline)._send(model, upload)
    (headers,) = put
    assert "authorization" not in headers
    assert (headers["content-length"], headers.get("transfer-encoding")) == (size, None)


def test_publishing_and_waiting_outlive_a_restart_of_the_console(settings, tmp_path):
    console = Console(settings.kafka, tmp_path)
    with LoopThread() as thread:
        thread.run(console.start())
        pipeline = ClientSettings(
            kafka="127.0.0.1:1", url=console.url, token=thread.run(console.token()), account="risk"
        )
        with Publisher(pipeline) as publisher:
            thread.run(console.stop())
            back = threading.Thread(target=lambda: thread.run(console.start()))
            back.start()
            publisher.publish(weights())
            back.join()
        published = so1s.publish_model("fraud", "s3://ml/x.onnx", version=uuid.uuid4().hex, settings=pipeline)

        def restart(step):
            thread.run(console.stop())
            thread.run(console.start())

        with pytest.raises(so1s.NotServing, match="published after"):
            published.wait_until_serving(3, on_step=restart)
        thread.run(console.stop())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA", "URL", "TOKEN", "ACCOUNT"):
        monkeypatch.delenv(f"SO1S_{name}", raising=False)
    return tmp_path


LOGIN = Login(url="https://so1s.example.org", token=SecretStr("so1s_a_b"), account="risk")


def test_a_login_is_readable_by_its_owner_alone(home):
    path = LOGIN.keep()
    assert path == home / "config" / "so1s" / "login.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert Login.find() == LOGIN
    assert Login.forget()
    assert not Login.forget()
    assert Login.find() is None


def test_a_login_says_which_platform_is_meant_where_nothing_else_does(home):
    LOGIN.keep()
    settings = ClientSettings.load()
    assert (settings.url, settings.token, settings.account) == (LOGIN.url, LOGIN.token, "risk")
    assert settings.found


@pytest.mark.parametrize(
    ("variables", "url", "has_token"),
    [
        ({"SO1S_KAFKA": "kafka:9092"}, None, False),
        ({"SO1S_URL": "https://another.example.org"}, "https://another.example.org", False),
        ({"SO1S_URL": LOGIN.url}, LOGIN.url, True),
    ],
)
def test_what_the_environment_says_wins_over_a_login(home, monkeypatch, variables, url, has_token):
    LOGIN.keep()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = ClientSettings.load()
    assert (settings.url, settings.token is not None) == (url, has_token)


def test_the_platform_of_the_directory_wins_over_a_login_and_a_url_over_both(home, monkeypatch):
    LOGIN.keep()
    here = Platform(kafka="127.0.0.1:5", artifacts="file:///a/", gateway="http://x", domain="d")
    here.write(home / ".so1s")
    settings = ClientSettings.load()
    assert (settings.kafka, settings.url) == ("127.0.0.1:5", None)
    monkeypatch.setenv("SO1S_URL", "https://another.example.org")
    settings = ClientSettings.load()
    assert (settings.url, settings.artifacts) == ("https://another.example.org", None)


def test_a_broken_login_is_named_without_its_content(home):
    path = LOGIN.keep()
    path.write_text('{"url": 1, "token": "so1s_secret"}')
    with pytest.raises(InvalidInput, match=r"login\.json") as raised:
        ClientSettings.load()
    assert "so1s_secret" not in str(raised.value)
