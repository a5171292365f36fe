"""A build: what was asked for, and how far it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.builder.domain.failure import BuildError
from services.builder.domain.version import Bound
from so1s.events import BuildFailed, Image, ModelUploaded
from so1s.events.build import Step
from so1s.events.envelope import Cause

State = Literal["queued", "running", "built", "failed", "cancelled"]

_SHOWN_LINES = 50
_SHOWN_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Build:
    """The present build of one version."""

    uploaded: ModelUploaded
    uploaded_at: datetime
    """When the version was uploaded, by the clock of whoever did; building it again changes nothing of it."""
    number: int
    """1 for the first build of the version; each further request counts on."""
    state: State
    cause: Cause
    sha256: str | None
    """Of the version's bytes, as far as known: from the event, or from what was fetched."""
    image: Image | None
    """Of the last build that succeeded."""
    tries: int
    """How often this build was started; above 1 after a crash or a temporary error."""
    started_at: float | None
    """First start of this build, in seconds since the epoch."""
    problem: str | None
    """What the last try met, where it was put off."""

    @property
    def name(self) -> str:
        """As people write it: `risk/fraud@3`."""
        return f"{self.uploaded.key}@{self.uploaded.version}"

    @property
    def bound(self) -> Bound | None:
        """The bytes that the version stands for; none yet where all its builds failed."""
        if self.image is None and self.state in {"failed", "cancelled"}:
            return None
        return Bound(self.uploaded.artifact.uri, self.sha256)


def failure(
    uploaded: ModelUploaded, error: BuildError, *, step: Step | None = None, log_tail: list[str] | None = None
) -> BuildFailed:
    """The event that says why there will be no image."""
    return BuildFailed(
        account=uploaded.account,
        model=uploaded.model,
        version=uploaded.version,
        reason=error.reason,
        step=step,
        message=str(error),
        log_tail=[line[:_SHOWN_CHARACTERS] for line in (log_tail or [])[-_SHOWN_LINES:]],
    )
