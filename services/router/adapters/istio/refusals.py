"""What the API server would not take, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import structlog

from services.router.adapters.istio.objects import Key, Object

log = structlog.get_logger()

_AGAIN_SECONDS = 10.0
"""When the same is tried again: an operator may have mended a webhook or a permission by then."""


@dataclass(frozen=True)
class Refusal:
    """An object that was refused, and when."""

    wanted: Object
    why: str
    at: float


@dataclass
class Refusals:
    """Remembers what was refused, so that it is not sent again at each round."""

    clock: Callable[[], float]
    known: dict[Key, Refusal] = field(default_factory=dict)

    def note(self, key: Key, wanted: Object, why: str) -> None:
        """Remember a refusal, and say it once."""
        before = self.known.get(key)
        if before is None or before.why != why:
            log.error("a route is refused", object=f"{key.namespace}/{key.name}", reason=why)
        self.known[key] = Refusal(wanted, why, self.clock())

    def forget(self, key: Key) -> None:
        """The object was taken."""
        self.known.pop(key, None)

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all others: nobody wants them any more."""
        self.known = {key: refusal for key, refusal in self.known.items() if key in keys}

    def hold_back(self, key: Key, wanted: Object) -> bool:
        """Whether this very object was refused just now."""
        refusal = self.known.get(key)
        return refusal is not None and refusal.wanted == wanted and self.clock() - refusal.at < _AGAIN_SECONDS

    def reasons(self, hosts: Mapping[Key, set[str]]) -> dict[str, str]:
        """Why each host's route is refused."""
        return {host: refusal.why for key, refusal in self.known.items() for host in hosts.get(key, ())}
