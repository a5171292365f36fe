"""Ports: chosen once, kept over restarts, so that what runs and what is configured agree."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

_TRIES = 100


class Ports:
    """The ports of the platform's parts, remembered in a file."""

    def __init__(self, path: Path, preferred: dict[str, int] | None = None) -> None:
        self._path = path
        self._preferred = preferred or {}
        self._known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def choose(self, names: Iterable[str]) -> dict[str, int]:
        """A free port for each name: the one it had, else the preferred, else any."""
        chosen: dict[str, int] = {}
        for name in names:
            remembered = [self._known.get(name), self._preferred.get(name)]
            # Any port may be one that was chosen a moment ago, as nobody listens on it yet.
            candidates = [*filter(None, remembered), *repeat(0, _TRIES)]
            taken = set(chosen.values())
            chosen[name] = next(
                port for each in candidates if (port := free_port(each)) and port not in taken
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(chosen, indent=2))
        return chosen


def free_port(wanted: int = 0) -> int | None:
    """The wanted port of the loopback where it is free, any for 0; None where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        return probe.getsockname()[1]
