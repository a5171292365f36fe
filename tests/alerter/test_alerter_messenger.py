import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from services.alerter.adapters.messenger_slack import SlackMessenger
from services.alerter.domain.message import Message
from services.alerter.ports import Mark, MessageGone, Posted, SlowDown
from so1s.errors import TemporaryError

CHANNEL = "C0SO1S"
MARK = Mark("4fa2")
HELLO = Message("hello", [], [])


def an_hour_ago():
    return datetime.now(UTC) - timedelta(hours=1)


def messenger_of(url, token="xoxb-test", channel=CHANNEL, channels=None):
    return SlackMessenger(f"{url}/api/", SecretStr(token), channel, channels or {}, timeout_seconds=5)


async def test_a_message_is_found_by_its_mark_among_many(messenger):
    posted = await messenger.post(HELLO, MARK, "risk")
    for number in range(250):  # more than one page
        await messenger.post(HELLO, Mark(f"other-{number}"), "risk")
    assert await messenger.find(MARK, "risk", an_hour_ago()) == posted
    assert await messenger.find(Mark("unknown"), "risk", an_hour_ago()) is None


async def test_a_message_is_found_after_it_was_edited(messenger):
    posted = await messenger.post(HELLO, MARK, "risk")
    await messenger.edit(posted, Message("goodbye", [], []), MARK)
    assert await messenger.find(MARK, "risk", an_hour_ago()) == posted


async def test_a_reply_is_found_in_its_thread_alone(messenger):
    posted = await messenger.post(HELLO, MARK, "risk")
    other = await messenger.post(HELLO, Mark("other"), "risk")
    reply = await messenger.reply(posted, "now worse", Mark("4fa2", 2))
    assert await messenger.find_reply(posted, Mark("4fa2", 2)) == reply
    assert await messenger.find_reply(posted, Mark("4fa2", 3)) is None
    assert await messenger.find_reply(other, Mark("4fa2", 2)) is None


async def test_an_account_may_have_a_channel_of_its_own(slack):
    messenger = messenger_of(slack.url, channel="C0MAIN", channels={"risk": CHANNEL})
    assert (await messenger.post(HELLO, MARK, "risk")).channel == CHANNEL
    with pytest.raises(TemporaryError, match="channel_not_found"):
        await messenger.post(HELLO, MARK, "ads")


async def test_a_message_that_is_gone_is_said_to_be(messenger):
    with pytest.raises(MessageGone):
        await messenger.edit(Posted(CHANNEL, "1.000000"), HELLO, MARK)
    with pytest.raises(MessageGone):
        await messenger.reply(Posted(CHANNEL, "1.000000"), "now worse", MARK)


async def test_a_refused_token_waits_for_the_operator_and_is_not_shown(slack):
    with pytest.raises(TemporaryError, match="invalid_auth") as caught:
        await messenger_of(slack.url, token="xoxb-wrong").post(HELLO, MARK, "risk")
    assert "xoxb-wrong" not in str(caught.value)


async def test_a_rate_limit_says_how_long_to_wait(messenger, slack):
    await slack.faults(rate_limited=1, retry_after_seconds=30)
    with pytest.raises(SlowDown) as caught:
        await messenger.post(HELLO, MARK, "risk")
    assert caught.value.seconds == 30


async def test_slack_that_is_away_is_a_temporary_error(messenger, slack):
    await slack.faults(down=True)
    with pytest.raises(TemporaryError):
        await messenger.post(HELLO, MARK, "risk")
    with pytest.raises(TemporaryError):
        await messenger_of("http://127.0.0.1:1").post(HELLO, MARK, "risk")


async def test_a_post_whose_connection_breaks_is_not_repeated_by_the_client():
    calls = []

    async def hang_up(reader, writer):
        calls.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TemporaryError):
            await messenger_of(f"http://127.0.0.1:{port}").post(HELLO, MARK, "risk")
    assert calls == [b"POST /api/chat.postMessage HTTP/1.1\r\n"]
