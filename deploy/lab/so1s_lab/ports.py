"""Ports for parts that start later."""

from __future__ import annotations

from so1s_local.ports import free_port

_given: set[int] = set()


def any_port() -> int:
    """A free port of the loopback that this run has given to nobody yet."""
    port = next(each for each in iter(free_port, None) if each not in _given)
    _given.add(port)
    return port
