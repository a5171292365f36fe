"""A Slack of one channel on this machine: the methods of Slack's Web API that an app of incidents needs.

It keeps messages in a file, checks tokens and the limits of blocks as Slack does, shows the channel
as a page, and fails on request. Format: https://docs.slack.dev/reference/methods

    SO1S_SLACK_TOKEN=… python -m so1s_local.slack --port 8090 --state slack.json
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from so1s_local.slack_channel import CHANNEL_ID, CHANNEL_NAME, Channel, SlackError

Method = Callable[[Channel, Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Faults:
    """What shall go wrong, as `POST /faults` says it."""

    down: bool = False
    """No call is answered."""
    rate_limited: int = 0
    """This many calls are refused."""
    retry_after_seconds: int = 1
    """What a refused call is told to wait."""
    answers_lost: int = 0
    """This many calls have their effect, and then seem to fail."""


class LocalSlack:
    """The API, the page and the faults over one channel."""

    def __init__(self, channel: Channel, token: str) -> None:
        self._channel = channel
        self._token = token
        self._faults = Faults()
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/messages.json", self._messages),
                Route("/faults", self._set_faults, methods=["POST"]),
                Route("/api/{method}", self._call, methods=["GET", "POST"]),
            ]
        )

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(files("so1s_local").joinpath("slack.html").read_text())

    async def _messages(self, _request: Request) -> Response:
        return JSONResponse(self._channel.shown())

    async def _set_faults(self, request: Request) -> Response:
        self._faults = Faults(**await request.json())
        return JSONResponse(asdict(self._faults))

    async def _call(self, request: Request) -> Response:
        if refusal := self._refusal():
            return refusal
        try:
            answer = self._answer(request, await _arguments(request))
        except SlackError as error:
            return JSONResponse({"ok": False, "error": error.code})
        if self._faults.answers_lost:
            self._faults = replace(self._faults, answers_lost=self._faults.answers_lost - 1)
            return Response("the answer is lost", 500)
        return JSONResponse({"ok": True, **answer})

    def _refusal(self) -> Response | None:
        faults = self._faults
        if faults.down:
            return Response("down", 503)
        if faults.rate_limited:
            self._faults = replace(faults, rate_limited=faults.rate_limited - 1)
            headers = {"Retry-After": str(faults.retry_after_seconds)}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers)
        return None

    def _answer(self, request: Request, arguments: Mapping[str, Any]) -> dict[str, Any]:
        given = request.headers.get("authorization", "").removeprefix("Bearer ") or arguments.get("token", "")
        if not given:
            raise SlackError("not_authed")
        if not hmac.compare_digest(str(given).encode(), self._token.encode()):
            raise SlackError("invalid_auth")
        method = _METHODS.get(request.path_params["method"])
        if method is None:
            raise SlackError("unknown_method")
        return method(self._channel, arguments)


def _auth_test(_channel: Channel, _arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "url": "http://localhost/",
        "team": "So1s",
        "user": "so1s",
        "team_id": "T0SO1S",
        "user_id": "U0SO1S",
    }


_METHODS: dict[str, Method] = {
    "auth.test": _auth_test,
    "chat.postMessage": Channel.post,
    "chat.update": Channel.update,
    "conversations.history": Channel.history,
    "conversations.replies": Channel.replies,
}
_READING = {"conversations.history", "conversations.replies"}


async def _arguments(request: Request) -> dict[str, Any]:
    """What a method is told: a form, a query or, where it writes, a JSON body.

    Format: https://docs.slack.dev/apis/web-api#methods_supporting_json
    """
    if request.headers.get("content-type", "").startswith("application/json"):
        if request.path_params["method"] in _READING:
            raise SlackError("invalid_arguments")
        return json.loads(await request.body() or b"{}")
    form = await request.form()
    given = {**request.query_params, **{name: str(value) for name, value in form.items()}}
    return {name: _value(name, value) for name, value in given.items()}


def _value(name: str, text: str) -> Any:
    structured = name in {"blocks", "attachments", "metadata"}
    return json.loads(text) if structured else text


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="so1s_local.slack", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="JSON file that keeps the messages")
    arguments = parser.parse_args()
    token = os.environ.get("SO1S_SLACK_TOKEN") or parser.error("SO1S_SLACK_TOKEN holds no token")
    channel = Channel(CHANNEL_ID, CHANNEL_NAME, arguments.state)
    uvicorn.run(LocalSlack(channel, token).app, host=arguments.host, port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
