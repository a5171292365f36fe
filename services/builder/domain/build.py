"""A build: what was asked for, and how far it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import AwareDatetime

from services.builder.domain.failure import BuildError
from services.builder.domain.version import Bound
from so1s.events import BuildFailed, Image, ImageBuilt, ModelUploaded
from so1s.events.build import Step
from so1s.events.envelope import Cause
from so1s.events.event import Value

State = Literal["queued", "running", "built", "failed", "cancelled"]

_SHOWN_LINES = 50
_SHOWN_CHARACTERS = 500


class Wish(Value):
    """What shall become of a version's image, as one of those who wait for it said."""

    uploaded: ModelUploaded
    uploaded_at: AwareDatetime
    """When the version was uploaded, by the clock of whoever did; building it again changes nothing of it."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read one that was kept."""
        return cls.model_validate_json(text)

    @property
    def version_name(self) -> str:
        """As people write it: `risk/fraud@3`."""
        return f"{self.uploaded.key}@{self.uploaded.version}"

    @property
    def of_image_alone(self) -> Self:
        """The wish that nothing be deployed."""
        return self.model_copy(update={"uploaded": self.uploaded.model_copy(update={"deploy": None})})


@dataclass(frozen=True, slots=True)
class Build:
    """The present build of one version."""

    wish: Wish
    """Of the last upload of the version."""
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
    """From when its deadline counts, in seconds since the epoch: its first start, moved on by the time in
    which nobody built it."""
    problem: str | None
    """What the last try met, where it was put off."""
    cancelled_by: str | None
    """Who asked for the end of it while it ran."""
    ending: ImageBuilt | BuildFailed | None = None
    """How it ended, as those are told who want the image alone."""

    @property
    def uploaded(self) -> ModelUploaded:
        """The upload that it is a build of."""
        return self.wish.uploaded

    @property
    def name(self) -> str:
        """As people write it: `risk/fraud@3`."""
        return self.wish.version_name

    @property
    def goes_on(self) -> bool:
        """Whether it waits or runs, and shall come to its own end."""
        return self.state in {"queued", "running"} and self.cancelled_by is None

    def gives(self, uploaded: ModelUploaded) -> bool:
        """Whether its image will be what another upload of the version asks for, too."""

        def asked(what: ModelUploaded) -> tuple[object, ...]:
            gpus = what.deploy.resources.gpus if what.deploy else None
            on_gpu = None if gpus is None else gpus > 0  # where it is not said, the file may say it
            return what.artifact, what.format, what.optimize, on_gpu

        return self.goes_on and asked(uploaded) == asked(self.uploaded)

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
