"""One Slack channel in a JSON file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CHANNEL_ID = "C0SO1S"
CHANNEL_NAME = "so1s-alerts"

Message = dict[str, Any]
Arguments = Mapping[str, Any]

_CONTENT = ("text", "blocks", "attachments", "metadata")
_MOST_BLOCKS = 50
_MOST_FIELDS = 10
_LONGEST = {"header": 150, "section": 3000, "context": 3000, "field": 2000}
"""Characters, from https://docs.slack.dev/reference/block-kit/blocks."""


class SlackError(Exception):
    """A refusal, by Slack's own code for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Channel:
    """Messages in the order in which they came; each call is done when it is on disk."""

    def __init__(self, id: str, name: str, path: Path, clock: Callable[[], float] = time.time) -> None:  # noqa: A002 - Slack's word
        """Open a channel.

        Args:
            id: as the API names it.
            name: as people do.
            path: of the file; its directory exists.
            clock: seconds since the epoch.
        """
        self.id = id
        self.name = name
        self._path = path
        self._clock = clock
        self._messages: list[Message] = json.loads(path.read_text()) if path.exists() else []

    def post(self, arguments: Arguments) -> dict[str, Any]:
        """`chat.postMessage`."""
        self._check_channel(arguments)
        _check_content(arguments)
        message = {"type": "message", "user": "U0SO1S", "bot_id": "B0SO1S", "ts": self._next_ts()}
        if thread := arguments.get("thread_ts"):
            message["thread_ts"] = self._find(thread, "thread_not_found")["ts"]
        message |= _content(arguments)
        self._messages.append(message)
        self._save()
        return {"channel": self.id, "ts": message["ts"], "message": message}

    def update(self, arguments: Arguments) -> dict[str, Any]:
        """`chat.update`."""
        self._check_channel(arguments)
        _check_content(arguments)
        message = self._find(str(arguments.get("ts")), "message_not_found")
        message |= _content(arguments)
        message["edited"] = {"user": "U0SO1S", "ts": f"{self._clock():.6f}"}
        self._save()
        return {"channel": self.id, "ts": message["ts"], "text": message.get("text", ""), "message": message}

    def history(self, arguments: Arguments) -> dict[str, Any]:
        """`conversations.history`: without threads, the newest first."""
        self._check_channel(arguments)
        oldest = float(arguments.get("oldest") or 0)
        found = [m for m in reversed(self._messages) if "thread_ts" not in m and float(m["ts"]) > oldest]
        return _page(found, arguments)

    def replies(self, arguments: Arguments) -> dict[str, Any]:
        """`conversations.replies`: a message and its thread, the oldest first."""
        self._check_channel(arguments)
        root = self._find(str(arguments.get("ts")), "thread_not_found")
        return _page([root, *self._thread(root)], arguments)

    def shown(self) -> dict[str, Any]:
        """The channel for its page: messages with their threads."""
        roots = [message for message in self._messages if "thread_ts" not in message]
        messages = [root | {"replies": self._thread(root)} for root in roots]
        return {"channel": {"id": self.id, "name": self.name}, "messages": messages}

    def _thread(self, root: Message) -> list[Message]:
        return [message for message in self._messages if message.get("thread_ts") == root["ts"]]

    def _find(self, ts: str, otherwise: str) -> Message:
        for message in self._messages:
            if message["ts"] == ts:
                return message
        raise SlackError(otherwise)

    def _check_channel(self, arguments: Arguments) -> None:
        if arguments.get("channel") not in {self.id, f"#{self.name}"}:
            raise SlackError("channel_not_found")

    def _next_ts(self) -> str:
        """The time, which names a message too and therefore never repeats."""
        last = max((int(message["ts"].replace(".", "")) for message in self._messages), default=0)
        microseconds = max(last + 1, int(self._clock() * 1_000_000))
        return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"

    def _save(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(self._messages, ensure_ascii=False, indent=1))
        temporary.replace(self._path)


def _content(arguments: Arguments) -> dict[str, Any]:
    return {name: arguments[name] for name in _CONTENT if arguments.get(name)}


def _page(messages: list[Message], arguments: Arguments) -> dict[str, Any]:
    start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
    page = messages[start : start + limit]
    if str(arguments.get("include_all_metadata")).lower() not in {"true", "1"}:
        page = [{name: value for name, value in m.items() if name != "metadata"} for m in page]
    more = start + limit < len(messages)
    cursor = str(start + limit) if more else ""
    return {"messages": page, "has_more": more, "response_metadata": {"next_cursor": cursor}}


def _check_content(arguments: Arguments) -> None:
    if not any(arguments.get(name) for name in ("text", "blocks", "attachments")):
        raise SlackError("no_text")
    metadata = arguments.get("metadata")
    if metadata and not {"event_type", "event_payload"} <= metadata.keys():
        raise SlackError("invalid_metadata_schema")
    attached = [attachment.get("blocks", []) for attachment in arguments.get("attachments") or []]
    for blocks in [arguments.get("blocks") or [], *attached]:
        if len(blocks) > _MOST_BLOCKS or not all(_is_valid(block) for block in blocks):
            raise SlackError("invalid_blocks")


def _is_valid(block: Mapping[str, Any]) -> bool:
    kind = block.get("type", "")
    if kind == "divider":
        return True
    texts = [*block.get("elements", []), *([block["text"]] if "text" in block else [])]
    fields = block.get("fields", [])
    return (
        kind in _LONGEST
        and bool(texts or fields)
        and len(fields) <= _MOST_FIELDS
        and all(0 < len(text["text"]) <= _LONGEST[kind] for text in texts)
        and all(0 < len(field["text"]) <= _LONGEST["field"] for field in fields)
    )
