"""Builds: from an artifact to an image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from so1s.events.event import Event
from so1s.events.model import Compilable, Format
from so1s.events.names import Actor, Labels, Name, Said, Version
from so1s.events.workload import AlertRule, DeployOptions, Image, Signature

Step = Literal["fetch", "inspect", "dependencies", "model", "image"]
"""The steps of a build, in their order."""

BuildFailure = Literal[
    "invalid",  # the request breaks a rule of the event; the message names the field
    "artifact",  # cannot be had, has another checksum, is too large or hostile
    "format",  # is none that can be served, or its bytes are broken
    "dependencies",  # could not be installed
    "version_conflict",  # the version exists with other bytes
    "cancelled",
    "deadline_exceeded",
]


class BuildRequested(Event, key=("account", "model")):
    """Build a known version again."""

    model: Name
    version: Version
    requested_by: Actor
    only_failed: bool = False
    """Where the last build gave an image, that is the answer, and nothing is built."""


class BuildCancelled(Event, key=("account", "model")):
    """Stop the build of a version, whether it waits or runs."""

    model: Name
    version: Version
    cancelled_by: Actor


class BuildStepFinished(Event, key=("account", "model")):
    """One step of a build is done."""

    model: Name
    version: Version
    step: Step
    detail: str
    """One line for people, such as `dependencies cached`."""
    seconds: Annotated[float, Field(ge=0)]


class ImageBuilt(Event, key=("account", "model")):
    """A version's image is in the store."""

    model: Name
    version: Version
    image: Image
    format: Format
    """What the image serves."""
    compiled_from: Compilable | None = None
    """The uploaded model's format, where that was compiled to the one that the image serves."""
    signature: Signature
    user: Actor
    """Who uploaded the version."""
    labels: Labels = {}
    deploy: DeployOptions | None
    """The event's options over those of `so1s.yaml`; null where nothing shall be deployed."""
    sources: dict[str, str] = {}
    """Which layer each said option came from: `resources.memory_mib: so1s.yaml`."""
    alerts: list[AlertRule] = []
    warnings: list[str] = []
    """What whoever runs it should know, such as that its model is a pickle."""
    uploaded_at: AwareDatetime | None = None
    """When the version was uploaded: an upload that is built late takes no later one's place."""
    seconds: Annotated[float, Field(ge=0)]


class BuildFailed(Event, key=("account", "model")):
    """A version will not become an image."""

    model: Name
    version: Said
    reason: BuildFailure
    step: Step | None
    message: str
    log_tail: list[str] = []
    """The last lines of the build's log."""

    @property
    def verdict(self) -> str:
        """What became of the version, in a line: where other bytes came under its name, nothing did."""
        name = f"{self.model}@{self.version}"
        if self.reason == "version_conflict":
            return f"{name} stays as it was: other bytes under its name were refused"
        return f"{name} was not built"
