import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from rich.console import Console
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from so1s_local.slack import LocalSlack
from so1s_local.slack_channel import CHANNEL_ID, CHANNEL_NAME, Channel
from so1s_local.slack_terminal import mrkdwn, render

TOKEN = "xoxb-test"
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "body"}}
METADATA = {"event_type": "so1s_incident", "event_payload": {"incident": "4fa2", "reply": 0}}


@pytest.fixture
def channel(tmp_path):
    return Channel(CHANNEL_ID, CHANNEL_NAME, tmp_path / "slack.json")


def connect(channel, **headers):
    transport = httpx.ASGITransport(LocalSlack(channel, TOKEN).app)
    return httpx.AsyncClient(transport=transport, base_url="http://slack", headers=headers)


@pytest.fixture
async def http(channel):
    async with connect(channel, Authorization=f"Bearer {TOKEN}") as http:
        yield http


@pytest.fixture
def call(http):
    async def call(method, **arguments):
        arguments = {"channel": CHANNEL_ID, **arguments}
        if method.startswith("conversations."):
            return (await http.get(f"/api/{method}", params=arguments)).json()
        return (await http.post(f"/api/{method}", json=arguments)).json()

    return call


async def test_a_message_is_edited_in_its_place(call):
    posted = await call("chat.postMessage", text="open")
    await call("chat.update", ts=posted["ts"], text="resolved")
    (message,) = (await call("conversations.history"))["messages"]
    assert (message["ts"], message["text"]) == (posted["ts"], "resolved")
    assert message["edited"]["user"] == message["user"]


async def test_replies_stand_in_their_thread_alone(call):
    root = (await call("chat.postMessage", text="root"))["ts"]
    await call("chat.postMessage", text="other")
    await call("chat.postMessage", text="reply", thread_ts=root)
    assert [m["text"] for m in (await call("conversations.history"))["messages"]] == ["other", "root"]
    assert [m["text"] for m in (await call("conversations.replies", ts=root))["messages"]] == [
        "root",
        "reply",
    ]


async def test_metadata_is_kept_over_an_edit_and_shown_on_request(call):
    posted = await call("chat.postMessage", text="open", metadata=METADATA)
    await call("chat.update", ts=posted["ts"], text="resolved")
    assert "metadata" not in (await call("conversations.history"))["messages"][0]
    assert (await call("conversations.history", include_all_metadata=True))["messages"][0][
        "metadata"
    ] == METADATA


async def test_a_history_comes_in_pages_from_a_time_on(call):
    stamps = [(await call("chat.postMessage", text=str(number)))["ts"] for number in range(5)]
    first = await call("conversations.history", limit=3, oldest=stamps[0])
    rest = await call(
        "conversations.history",
        limit=3,
        oldest=stamps[0],
        cursor=first["response_metadata"]["next_cursor"],
    )
    assert [m["text"] for m in first["messages"] + rest["messages"]] == ["4", "3", "2", "1"]
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_methods_that_read_take_no_json(http):
    answer = await http.post("/api/conversations.history", json={"channel": CHANNEL_ID})
    assert answer.json() == {"ok": False, "error": "invalid_arguments"}


def test_timestamps_are_unique_names_even_within_one_instant(tmp_path):
    channel = Channel("C1", "one", tmp_path / "slack.json", clock=lambda: 1000.0)
    stamps = [channel.post({"channel": "C1", "text": "x"})["ts"] for _ in range(3)]
    assert stamps == ["1000.000000", "1000.000001", "1000.000002"]


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {}, "no_text"),
        ("chat.postMessage", {"text": "x", "channel": "C9"}, "channel_not_found"),
        ("chat.postMessage", {"text": "x", "thread_ts": "1.0"}, "thread_not_found"),
        ("chat.postMessage", {"text": "x", "metadata": {"event_type": "y"}}, "invalid_metadata_schema"),
        ("chat.postMessage", {"blocks": [{"type": "header", "text": {"text": "x" * 151}}]}, "invalid_blocks"),
        ("chat.postMessage", {"blocks": [SECTION] * 51}, "invalid_blocks"),
        ("chat.postMessage", {"attachments": [{"blocks": [{"type": "section"}]}]}, "invalid_blocks"),
        ("chat.update", {"ts": "1.0", "text": "x"}, "message_not_found"),
        ("chat.meMessage", {"text": "x"}, "unknown_method"),
    ],
)
async def test_what_slack_refuses_is_refused_by_slacks_own_name(call, method, arguments, error):
    assert (await call(method, **arguments)) == {"ok": False, "error": error}


@pytest.mark.parametrize(
    ("header", "error"), [({}, "not_authed"), ({"Authorization": "Bearer no"}, "invalid_auth")]
)
async def test_a_call_without_the_token_is_refused(channel, header, error):
    async with connect(channel, **header) as http:
        assert (await http.post("/api/auth.test")).json()["error"] == error


async def test_faults_are_set_over_http_and_end_by_themselves(call, http):
    await http.post("/faults", json={"rate_limited": 1, "retry_after_seconds": 7, "answers_lost": 1})
    limited = await http.post("/api/auth.test")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    arguments = {"channel": CHANNEL_ID, "text": "there all the same"}
    lost = await http.post("/api/chat.postMessage", json=arguments)
    assert lost.status_code == 500
    assert [m["text"] for m in (await call("conversations.history"))["messages"]] == ["there all the same"]

    await http.post("/faults", json={"down": True})
    assert (await http.post("/api/auth.test")).status_code == 503


async def test_the_page_and_its_messages_ask_for_no_token(call, channel):
    root = (await call("chat.postMessage", text="root"))["ts"]
    await call("chat.postMessage", text="reply", thread_ts=root)
    async with connect(channel) as anybody:
        assert "<!doctype html>" in (await anybody.get("/")).text
        shown = (await anybody.get("/messages.json")).json()
    assert shown["channel"] == {"id": CHANNEL_ID, "name": CHANNEL_NAME}
    (message,) = shown["messages"]
    assert (message["text"], [reply["text"] for reply in message["replies"]]) == ("root", ["reply"])


async def test_the_page_fetches_nothing_from_elsewhere(http):
    page = (await http.get("/")).text
    assert "src=" not in page
    assert "@import" not in page
    assert 'href="http' not in page


@pytest.fixture
def process(tmp_path):
    """Starts the command; answers its base URL and the process."""
    started = []

    def start():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "so1s_local.slack", "--port", str(port), "--state"]
        environment = os.environ | {"SO1S_SLACK_TOKEN": TOKEN}
        started.append(subprocess.Popen([*command, str(tmp_path / "slack.json")], env=environment))
        return f"http://127.0.0.1:{port}", started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


async def test_the_sdk_talks_to_the_command_whose_messages_outlive_kill_9(process):
    url, first = process()
    client = await _connected(url)
    posted = await client.chat_postMessage(
        channel=CHANNEL_ID, text="kept", blocks=[SECTION], metadata=METADATA
    )
    first.send_signal(signal.SIGKILL)
    first.wait()

    url, _ = process()
    client = await _connected(url)
    history = await client.conversations_history(channel=CHANNEL_ID, include_all_metadata=True, limit=10)
    (message,) = history["messages"]
    assert (message["ts"], message["text"], message["metadata"]) == (posted["ts"], "kept", METADATA)
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await client.chat_postMessage(channel="C9", text="lost")


async def _connected(url):
    client = AsyncWebClient(token=TOKEN, base_url=f"{url}/api/")
    async with asyncio.timeout(60):
        while True:
            try:
                await client.auth_test()
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return client


def test_the_command_needs_a_token(tmp_path):
    command = [sys.executable, "-m", "so1s_local.slack", "--port", "1", "--state", str(tmp_path / "s.json")]
    environment = {name: value for name, value in os.environ.items() if name != "SO1S_SLACK_TOKEN"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "SO1S_SLACK_TOKEN" in done.stderr) == (2, True)


def test_a_message_is_shown_in_a_terminal_as_slack_would():
    message = {
        "ts": "1000.0",
        "edited": {"ts": "1001.0"},
        "text": "fallback",
        "blocks": [{"type": "header", "text": {"text": "🔴 fraud is down"}}],
        "attachments": [
            {
                "color": "#e01e5a",
                "blocks": [
                    SECTION,
                    {"type": "section", "fields": [{"text": "*Observed*\n0 %"}, {"text": "*Allowed*\n95 %"}]},
                    {"type": "context", "elements": [{"text": "rule x"}]},
                ],
            }
        ],
        "replies": [{"ts": "1002.0", "text": "Now `worse` &amp; worse"}],
    }
    console = Console(file=io.StringIO(), width=60)
    console.print(render(message))
    shown = console.file.getvalue()
    for text in (
        "So1s",
        "(edited)",
        "🔴 fraud is down",
        "▌ body",
        "▌ Observed",
        "▌ 0 %",
        "▌ rule x",
        "1 reply",
    ):
        assert text in shown
    assert "Now worse & worse" in shown
    assert "fallback" not in shown


def test_slacks_markup_is_styled_text():
    text = mrkdwn("*bold* ~gone~ `code` <https://so1s.dev|site> <!date^0^{time}|then> a&lt;b\n```\nlog\n```")
    plain = text.plain
    assert plain.startswith("bold gone code site ")
    assert plain.endswith(" a<b\nlog")
    assert "then" not in plain
    assert {str(span.style) for span in text.spans} >= {"bold", "strike dim"}


async def test_the_file_is_readable_json(call, tmp_path):
    await call("chat.postMessage", text="Grüße")
    assert json.loads((tmp_path / "slack.json").read_text())[0]["text"] == "Grüße"
