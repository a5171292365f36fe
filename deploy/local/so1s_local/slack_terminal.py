"""A Slack message in a terminal, as it would look in Slack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

Message = Mapping[str, Any]

_MARKS = re.compile(
    r"```\n?(?P<block>.+?)\n?```|`(?P<code>[^`\n]+)`|\*(?P<bold>[^*\n]+)\*|~(?P<gone>[^~\n]+)~"
    r"|<!date\^(?P<date>\d+)[^>]*>|<(?P<url>https?://[^|>]+)(?:\|(?P<label>[^>]+))?>",
    re.DOTALL,
)
_STYLES = {
    "block": "grey70",
    "code": "#e01e5a",
    "bold": "bold",
    "gone": "strike dim",
    "url": "underline #1d9bd1",
}


def render(message: Message) -> RenderableType:
    """Show a message of `/messages.json`, with its thread.

    Args:
        message: as Slack's API answers it; `replies`, where it has any, are its thread.
    """
    replies = message.get("replies", [])
    return Group(_heading(message), *_body(message), *_thread(replies))


def mrkdwn(text: str) -> Text:
    """Slack's markup as styled text. Format: https://docs.slack.dev/messaging/formatting-message-text."""
    out, end = Text(), 0
    for match in _MARKS.finditer(text):
        out.append(_unescape(text[end : match.start()]))
        out.append_text(_marked(match))
        end = match.end()
    return out.append(_unescape(text[end:]))


def _marked(match: re.Match[str]) -> Text:
    kind = match.lastgroup or ""
    if kind == "date":
        return Text(_clock(float(match["date"])))
    if kind in {"url", "label"}:
        return Text(match["label"] or match["url"], style=_STYLES["url"])
    return Text(_unescape(match[kind]), style=_STYLES[kind])


def _heading(message: Message) -> Text:
    edited = "  (edited)" if "edited" in message else ""
    return Text.assemble(
        ("So1s", "bold"),
        " ",
        (" APP ", "grey30 on grey82"),
        (f"  {_clock(float(message['ts']))}{edited}", "dim"),
    )


def _body(message: Message) -> Iterator[RenderableType]:
    blocks, attachments = message.get("blocks", []), message.get("attachments", [])
    if not blocks:
        yield mrkdwn(message.get("text", ""))
    yield from (_block(block) for block in blocks)
    for attachment in attachments:
        content = Group(*(_block(block) for block in attachment.get("blocks", [])))
        yield _Barred(content, attachment.get("color", "#dddddd"))


def _thread(replies: list[Message]) -> Iterator[RenderableType]:
    if not replies:
        return
    count = f"{len(replies)} {'reply' if len(replies) == 1 else 'replies'}"
    yield Text(f"  ╰ {count}", style="#1d9bd1")
    for reply in replies:
        yield Padding(Group(_heading(reply), *_body(reply)), (0, 0, 0, 4))


def _block(block: Mapping[str, Any]) -> RenderableType:
    match block["type"]:
        case "header":
            return Text(block["text"]["text"], style="bold")
        case "context":
            return Text.assemble(*(mrkdwn(element["text"]) for element in block["elements"]), style="dim")
        case "divider":
            return Text("─" * 20, style="dim")
    if "fields" in block:
        return _fields([mrkdwn(field["text"]) for field in block["fields"]])
    return mrkdwn(block["text"]["text"])


def _fields(fields: list[Text]) -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    for left, right in zip(fields[::2], [*fields[1::2], Text()], strict=False):
        grid.add_row(left, right)
    return grid


@dataclass(frozen=True)
class _Barred:
    """Content beside a coloured bar."""

    content: RenderableType
    colour: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        bar = Segment("▌ ", Style(color=self.colour))
        for line in console.render_lines(
            self.content, options.update(width=options.max_width - 2), pad=False
        ):
            yield bar
            yield from line
            yield Segment.line()


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%H:%M:%S}"


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
