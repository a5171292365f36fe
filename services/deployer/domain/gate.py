"""The gate before a version's traffic: its required checks, where another version serves meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from so1s.events import Workload


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check said last of an image."""

    passed: bool
    reason: str
    revision: int
    """The one that it looked at."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What stands between a revision and traffic.

    A verdict is about an image: one that passed is not asked for again where the image comes back in
    another revision, as by a rollback or a change of scale. One that failed is, so that a request may
    try the image anew.
    """

    revision: int
    requires: tuple[str, ...] = ()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """On the revision's image, by check."""
    beside: bool = False
    """Whether another image serves, so that this one can be kept out."""

    @property
    def outstanding(self) -> list[str]:
        """The required checks that have not passed."""
        return [check for check in self.requires if not self._passed(check)]

    @property
    def failures(self) -> dict[str, str]:
        """Why required checks failed on this very revision."""
        failed = {check: self.verdicts[check] for check in self.outstanding if check in self.verdicts}
        return {
            check: verdict.reason for check, verdict in failed.items() if verdict.revision == self.revision
        }

    @property
    def closed(self) -> bool:
        """Whether the revision is kept out of traffic."""
        return self.beside and bool(self.outstanding)

    def _passed(self, check: str) -> bool:
        return check in self.verdicts and self.verdicts[check].passed


def beside(serving: Workload | None, wanted: Workload) -> bool:
    """Whether a workload can be kept out of traffic: another image serves."""
    return serving is not None and serving.image.digest != wanted.image.digest


def refusal(gate: Gate, wanted: Workload) -> str | None:
    """Why a workload cannot be gated; None where it can, or need not be."""
    if not gate.closed or wanted.strategy != "static":
        return None
    checks = ", ".join(gate.outstanding)
    return (
        f"workload.strategy: 'static' is not allowed, since it ends what serves before {checks} can pass; "
        "allowed: 'rolling', or no workload.requires"
    )
