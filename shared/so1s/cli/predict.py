"""`so1s predict`: call an endpoint as its callers do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import typer
from rich.text import Text

from so1s.cli import api, samples
from so1s.cli.bodies import JSON, Body, of_data, of_file
from so1s.cli.options import Account, account_of
from so1s.cli.terminal import json_text, terminal
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.events.names import host_label
from so1s.platform import ClientSettings

_SECONDS = 60.0
_VARIANT, _MODEL = "x-so1s-variant", "x-model"


@dataclass(frozen=True)
class Target:
    """Where an endpoint is called."""

    connect: str
    """The URL to connect to."""
    host: str
    """The endpoint's name on the gateway."""

    @property
    def url(self) -> str:
        """As a browser or curl would call it."""
        parts = urlsplit(self.connect)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{self.host}{port}"

    @classmethod
    def of(cls, settings: ClientSettings, account: str, endpoint: str) -> Target:
        """An endpoint; Python does not resolve `*.localhost`: there the gateway is called by its address."""
        host = f"{host_label(endpoint, account)}.{settings.domain}"
        gateway = urlsplit(settings.gateway)
        local = settings.domain == "localhost" or settings.domain.endswith(".localhost")
        return cls(settings.gateway if local else f"{gateway.scheme}://{host}", host)


@dataclass(frozen=True)
class Prediction:
    """An answer of a model."""

    answer: Any
    milliseconds: float
    variant: str | None
    model: str | None


def predict(
    context: typer.Context,
    endpoint: str,
    *,
    account: Account = None,
    data: Annotated[str | None, typer.Option(help="A JSON body, @FILE, or - for standard input.")] = None,
    file: Annotated[
        str | None, typer.Option(help="A file that is sent as it is: an image, CSV, text, any bytes.")
    ] = None,
    content_type: Annotated[
        str | None, typer.Option("--type", help="Of --file, where its name does not tell: image/png.")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="The sample that came with the model, or zeros.")
    ] = False,
    curl: Annotated[bool, typer.Option("--curl", help="Print the call for a shell instead.")] = False,
    python: Annotated[bool, typer.Option("--python", help="Print the call for Python instead.")] = False,
) -> None:
    """Send a body to an endpoint's /predict. Shows the answer, the time it took and who gave it.

    Each call is charged as one request. --curl and --python print it and send none, except that --sample may
    ask the model for its page, where the upload is not on this machine: a request, too, which is said before.
    """
    settings, screen = ClientSettings.load(), terminal(context)
    account = account_of(settings, account)
    target = Target.of(settings, account, endpoint)
    if [data is not None, file is not None, sample].count(True) != 1:
        raise InvalidInput.missing("data", "allowed: either --data JSON|@FILE|-, --file PATH, or --sample")
    if curl and python:
        raise InvalidInput.of("curl", "--curl and --python", "allowed: one of them")
    if content_type is not None and file is None:
        raise InvalidInput.of("type", content_type, "allowed: with --file PATH; --data is JSON")
    if data is not None:
        body = of_data(data)
    elif file is not None:
        body = of_file(file, content_type)
    else:
        body = _sample(settings, account, endpoint, target, screen.note)
    if curl or python:
        typer.echo(as_curl(target, body) if curl else as_python(target, body))
        return
    screen.show(call(target, body), _shown)


def call(target: Target, body: Body) -> Prediction:
    """Send a body to `/predict`.

    Raises:
        Unreachable: the gateway does not answer.
        So1sError: the endpoint refused; the message is its own.
    """
    headers = {"host": urlsplit(target.url).netloc, "content-type": body.content_type}
    try:
        with api.client(target.connect, _SECONDS) as http:
            clock = _Clock()
            answer = http.post("/predict", content=body.content, headers=headers, extensions=clock.extension)
    except httpx.TransportError as error:
        raise unreachable(target, error) from error
    if answer.is_error:
        raise So1sError(f"{target.host} answered HTTP {answer.status_code}: {answer.text.strip()}")
    return Prediction(
        answer.json(), clock.milliseconds(), answer.headers.get(_VARIANT), answer.headers.get(_MODEL)
    )


class _Clock:
    """Times a call from its first byte on: that it had to connect before is not the model's."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.extension = {"trace": self._hear}

    def _hear(self, event: str, _about: object) -> None:
        if event.endswith("send_request_headers.started"):
            self._began = time.perf_counter()

    def milliseconds(self) -> float:
        """Until now."""
        return (time.perf_counter() - self._began) * 1000


def unreachable(target: Target, error: Exception) -> Unreachable:
    """The error of a gateway that does not answer."""
    start = "`make up` starts a platform here; " if api.is_here(target.connect) else ""
    return Unreachable(
        f"the gateway does not answer at {target.connect} ({error}); {start}SO1S_GATEWAY says where it is, "
        "so1s doctor looks closer"
    )


def as_curl(target: Target, body: Body) -> str:
    """The call as a shell line."""
    return f"curl -s {target.url}/predict -H 'content-type: {body.content_type}' {body.as_curl}"


def as_python(target: Target, body: Body) -> str:
    """The call as a Python program, with nothing but httpx."""
    headers = {"host": urlsplit(target.url).netloc}
    if body.content_type != JSON:
        headers["content-type"] = body.content_type
    return f"""import httpx

answer = httpx.post(
    {target.connect + "/predict"!r},
    headers={headers!r},
    {body.as_python},
)
print(answer.raise_for_status().json())"""


def _sample(
    settings: ClientSettings, account: str, endpoint: str, target: Target, hear: Callable[[str], None]
) -> Body:
    host = urlsplit(target.url).netloc
    try:
        return samples.find(settings, account, endpoint, connect=target.connect, host=host, hear=hear)
    except httpx.TransportError as error:
        raise unreachable(target, error) from error


def _shown(prediction: Prediction) -> Text:
    who = "  ".join(filter(None, [prediction.variant, prediction.model]))
    return Text.assemble(
        json_text(prediction.answer), (f"    {prediction.milliseconds:.0f} ms   {who}", "dim")
    )
