"""What notifications told of objects, until the listing that they bring finds these."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.console.domain.drops import Notice

_MOST = 10_000
"""Notices that are kept; of more, the oldest are forgotten, and their drops look as if none had come."""


@dataclass
class Heard:
    """The newest notice of each object, with when it came, in seconds of a monotonic clock."""

    clock: Callable[[], float] = time.monotonic
    _notices: OrderedDict[str, tuple[Notice, float]] = field(default_factory=OrderedDict)

    def keep(self, notices: Iterable[Notice]) -> None:
        """Remember what was told; what went away is of no interest."""
        for notice in notices:
            if notice.event.startswith("ObjectCreated"):
                self._notices.pop(notice.key, None)
                self._notices[notice.key] = (notice, self.clock())
        while len(self._notices) > _MOST:
            self._notices.popitem(last=False)

    def take(self, key: str) -> tuple[Notice, float] | None:
        """What was told of an object, and how many seconds ago; once."""
        notice, at = self._notices.pop(key, (None, 0.0))
        return (notice, self.clock() - at) if notice else None
