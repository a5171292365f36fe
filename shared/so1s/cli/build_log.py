"""`so1s build logs -f`: a build's log as it grows, and how the build ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from so1s.cli import api
from so1s.cli.ask import Interrupted
from so1s.cli.terminal import Terminal, print_json
from so1s.errors import So1sError, Unreachable
from so1s.platform import ClientSettings

_LOOK_SECONDS = 0.5
_AWAY_SECONDS = 60.0
"""How long a builder may be away while its log is followed: the build goes on when it is started again."""


class NotBuilt(So1sError):
    """The build that was followed gave no image."""


def follow(settings: ClientSettings, screen: Terminal, version: str, path: tuple[str, ...]) -> None:
    """Print the lines of a version's build as they come, until it ends.

    Raises:
        NotBuilt: it failed or was cancelled, and why.
        Interrupted: a person pressed Ctrl-C; the build goes on.
    """
    waits_for = None
    try:
        for news in _news(settings, path):
            build = news["build"]
            for line in news["lines"]:
                _tell(screen, line)
            if build["waits_for"] not in {None, waits_for}:
                screen.note(f"{version} waits for {build['waits_for']}")
            waits_for = build["waits_for"]
    except KeyboardInterrupt:
        raise Interrupted(f"the build of {version} goes on; so1s build logs -f follows it again") from None
    if screen.is_json:
        print_json(build, indent=None)
    if build["state"] != "built":
        raise NotBuilt(f"{version} was not built: {build['reason']}: {build['message']}")


def _news(settings: ClientSettings, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """What is new of a build, again and again; the last one is that of its end."""
    known, number = 0, None
    while True:
        news = _ask(settings, path, known)
        if number not in {
            None,
            news["build"]["number"],
        }:  # an upload took its place, whose log is another one
            known, number = 0, None
            continue
        yield news
        known, number = known + len(news["lines"]), news["build"]["number"]
        if news["build"]["finished_at"]:
            return
        time.sleep(_LOOK_SECONDS)


def _ask(settings: ClientSettings, path: tuple[str, ...], known: int) -> dict[str, Any]:
    gives_up_at = time.monotonic() + _AWAY_SECONDS
    while True:
        try:
            return api.get(settings, "builder", *path, "log", "lines", after=known)
        except Unreachable:
            if time.monotonic() > gives_up_at:
                raise
        time.sleep(_LOOK_SECONDS)


def _tell(screen: Terminal, line: str) -> None:
    if screen.is_json:
        print_json({"line": line}, indent=None)
    else:
        screen.line(line)
