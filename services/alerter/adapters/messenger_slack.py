"""Slack's Web API. The app's scopes: chat:write, channels:history (groups:history), metadata.message:read.

Format: https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/messaging/message-metadata
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncSlackResponse, AsyncWebClient

from services.alerter.domain.message import Message
from services.alerter.ports import Mark, MessageGone, Posted, Refused, SlowDown
from so1s.errors import TemporaryError

_EVENT_TYPE = "so1s_incident"
_GONE = {
    "message_not_found",
    "thread_not_found",
    "cant_update_message",
    "edit_window_closed",
    "cannot_reply_to_message",
}
_TOO_MANY_REQUESTS = 429
_CLOCK_SKEW = timedelta(minutes=5)
_PAGE = 200


class SlackMessenger:
    """Posts as a Slack app."""

    def __init__(
        self, url: str, token: SecretStr, channel: str, channels: Mapping[str, str], timeout_seconds: int
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: of the Web API, with `/` at its end.
            token: the app's bot token.
            channel: id of the channel for accounts that have none of their own.
            channels: ids of channels by account.
            timeout_seconds: for one call.
        """
        # No retry handlers: the default one repeats a post whose answer was lost, so a message
        # could be there twice; the one for rate limits reads the first digit of Retry-After alone.
        self._client = AsyncWebClient(
            token=token.get_secret_value(), base_url=url, timeout=timeout_seconds, retry_handlers=[]
        )
        self._channel = channel
        self._channels = channels

    async def post(self, message: Message, mark: Mark, account: str) -> Posted:
        """Post with the mark as metadata."""
        return await self._send(self._channel_of(account), mark, **asdict(message))

    async def find(self, mark: Mark, account: str, since: datetime) -> Posted | None:
        """Look through the channel's history since then."""
        oldest = f"{(since - _CLOCK_SKEW).timestamp():.6f}"
        pages = self._pages("conversations.history", channel=self._channel_of(account), oldest=oldest)
        return await _marked(pages, self._channel_of(account), mark)

    async def edit(self, posted: Posted, message: Message, mark: Mark) -> None:
        """Replace the message."""
        place = {"channel": posted.channel, "ts": posted.ts}
        await self._call("chat.update", json=place | asdict(message) | {"metadata": _metadata(mark)})

    async def reply(self, posted: Posted, text: str, mark: Mark) -> Posted:
        """Post into the thread."""
        return await self._send(posted.channel, mark, text=text, thread_ts=posted.ts)

    async def find_reply(self, posted: Posted, mark: Mark) -> Posted | None:
        """Look through the thread."""
        pages = self._pages("conversations.replies", channel=posted.channel, ts=posted.ts)
        return await _marked(pages, posted.channel, mark)

    def _channel_of(self, account: str) -> str:
        return self._channels.get(account, self._channel)

    async def _send(self, channel: str, mark: Mark, **content: Any) -> Posted:
        said = {"channel": channel, "metadata": _metadata(mark), "unfurl_links": False, **content}
        answer = await self._call("chat.postMessage", json=said)
        return Posted(answer["channel"], answer["ts"])

    async def _pages(self, method: str, **arguments: Any) -> AsyncIterator[list[dict[str, Any]]]:
        arguments |= {"include_all_metadata": True, "limit": _PAGE}
        cursor = None
        while True:
            # Methods that read take no JSON.
            answer = await self._call(method, http_verb="GET", params=arguments | {"cursor": cursor})
            yield answer["messages"]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return

    async def _call(self, method: str, **request: Any) -> AsyncSlackResponse:
        try:
            return await self._client.api_call(method, **request)
        except SlackApiError as error:
            raise _translated(method, error) from error
        except (SlackClientError, aiohttp.ClientError, OSError) as error:
            raise TemporaryError(f"Slack's {method}: {error!r}") from error


def _translated(method: str, error: SlackApiError) -> Exception:
    answer = error.response
    if answer.status_code == _TOO_MANY_REQUESTS:
        return SlowDown(float(answer.headers.get("Retry-After", 1)))
    if not isinstance(answer.data, dict):
        return TemporaryError(f"Slack's {method}: status {answer.status_code}")
    reason = answer.get("error")
    if reason in _GONE:
        return MessageGone(f"Slack's {method}: {reason}")
    return Refused(f"Slack's {method}: {reason}")


def _metadata(mark: Mark) -> dict[str, Any]:
    return {"event_type": _EVENT_TYPE, "event_payload": asdict(mark)}


async def _marked(pages: AsyncIterator[list[dict[str, Any]]], channel: str, mark: Mark) -> Posted | None:
    async for messages in pages:
        for message in messages:
            if _is_marked(message, mark):
                return Posted(channel, message["ts"])
    return None


def _is_marked(message: dict[str, Any], mark: Mark) -> bool:
    return message.get("metadata", {}).get("event_payload") == asdict(mark)
