"""Why a version does not become an image."""

from __future__ import annotations

from so1s.errors import InvalidInput, PermanentError, TemporaryError
from so1s.events.build import BuildFailure


class BuildError(PermanentError):
    """A build that another try of the same artifact cannot save; it becomes `BuildFailed`."""

    reason: BuildFailure

    def __init__(self, reason: BuildFailure, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @classmethod
    def of(cls, reason: BuildFailure, field: str, value: object, allowed: str) -> BuildError:
        """The error of one field, worded as all of So1s' are."""
        return cls(reason, str(InvalidInput.of(field, value, f"allowed: {allowed}")))


class AttachmentRefused(TemporaryError):
    """A place that has images will not have what shall be attached to one."""


class Unlisted(AttachmentRefused):
    """All is attached to an image, and the place will not have the list of that."""


class Hostile(BuildError):
    """An artifact that would reach out of its directory, or outgrow the machine."""

    def __init__(self, message: str) -> None:
        super().__init__("artifact", message)
