"""A command line whose platform is a real broker and services that the tests play."""

import asyncio
import functools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer

from so1s.broker.topics import provision, wanted
from so1s.cli.main import run
from so1s.cli.topics import SERVICES
from so1s.platform import ClientSettings, Platform
from tests.played_services import playing

# A shell's process makes the commands once; here each call would.
typer.main.get_command = functools.cache(typer.main.get_command)


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Played:
    """Services and a gateway over HTTP: what they answer, and what they were asked."""

    url: str
    answers: dict[str, Any] = field(default_factory=dict)
    """By path: JSON, text, or a function of the headers and the body that answers (status, headers, body)."""
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture(scope="session")
def broker(kafka):
    settings = ClientSettings(kafka=kafka)
    with ThreadPoolExecutor() as thread:  # the main thread's loop belongs to pytest-asyncio
        thread.submit(asyncio.run, provision(settings, wanted(SERVICES))).result()
    return kafka


@pytest.fixture
def http() -> Iterator[Played]:
    played = Played("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer()

        def do_POST(self):
            self._answer()

        def _answer(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            played.asked.append((self.path, headers, body))
            status, extra, text = _found(played.answers.get(urlsplit(self.path).path), headers, body)
            self.send_response(status)
            for name, value in {**extra, "content-length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        played.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield played
        server.shutdown()
        thread.join()


def _found(answer, headers, body):
    if answer is None:
        return 404, {}, b'{"error": "nothing is here"}'
    if callable(answer):
        return answer(headers, body)
    if isinstance(answer, str):
        return 200, {}, answer.encode()
    return 200, {}, json.dumps(answer).encode()


@pytest.fixture
def laptop(broker, http, tmp_path, monkeypatch) -> ClientSettings:
    """A platform whose file is found from the working directory."""
    for name in ("KAFKA", "ACCOUNT", "ARTIFACTS", "GATEWAY"):
        monkeypatch.delenv(f"SO1S_{name}", raising=False)
    (tmp_path / "artifacts").mkdir()
    Platform(
        kafka=broker,
        artifacts=f"file://{tmp_path}/artifacts/",
        gateway=http.url,
        domain="so1s.localhost",
        account="risk",
        services=dict.fromkeys(SERVICES, http.url),
    ).write(tmp_path / ".so1s")
    monkeypatch.chdir(tmp_path)
    return ClientSettings.load()


@pytest.fixture
def so1s(capfd, tmp_path, monkeypatch) -> Callable[..., Result]:
    """Run a command as a shell would, in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        capfd.readouterr()
        with ThreadPoolExecutor() as thread:
            code = thread.submit(run, arguments).result()
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def answering(laptop):
    """Play a service: answer each event of a class with events that it caused."""

    return functools.partial(playing, laptop)
