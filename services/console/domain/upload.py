"""Uploads: an artifact's bytes, known by their checksum before they come.

    BASE/ACCOUNT/MODEL/VERSION/SHA256/FILE

is where `so1s.artifacts` puts them too, so that the same bytes are sent once, whatever the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from services.console.domain.refusal import forbidden
from so1s.errors import InvalidInput
from so1s.events.event import Value
from so1s.events.names import Account, Name, Version

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Upload(Value):
    """What is going to be sent."""

    account: Account
    model: Name
    version: Version
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    """The file's name, which tells its format."""
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0)]

    @property
    def key(self) -> str:
        """Its place below the base of all artifacts."""
        return f"{self.account}/{self.model}/{self.version}/{self.sha256}/{self.file}"


def is_artifact(key: str) -> bool:
    """Whether a key below the base is an upload's: what else lies there is somebody else's."""
    names, said = ("account", "model", "version", "sha256", "file"), key.split("/")
    if len(said) != len(names):
        return False
    try:
        Upload.model_validate(dict(zip(names, said, strict=True)) | {"size_bytes": 0})
    except ValidationError:
        return False
    return True


@dataclass(frozen=True)
class Put:
    """One HTTP request that sends the bytes."""

    url: str
    """Absolute, or a path of this console, which wants the token again."""
    headers: Mapping[str, str]
    expires_in_seconds: int


@dataclass(frozen=True)
class Parts:
    """Many HTTP requests that send the bytes, each for a part that is asked for by its checksum."""

    upload_id: str
    part_bytes: int
    """Of each part but the last one."""
    count: int
    sent: Mapping[int, str]
    """The parts that are there already, by an earlier try: their numbers, each with its sha256."""


@dataclass(frozen=True)
class Offer:
    """Where an artifact is, and how its bytes come there."""

    uri: str
    """What `ModelUploaded` names."""
    by: Put | Parts | None
    """None where the bytes are there already."""


def check(upload: Upload, account: str, most_bytes: int) -> None:
    """Let a token of an account upload only for that, and nothing too large.

    Raises:
        Refusal: it is another account's.
        InvalidInput: it is too large.
    """
    if upload.account != account:
        raise forbidden("account", upload.account, f"allowed: {account!r}, the account of this token")
    if upload.size_bytes > most_bytes:
        raise InvalidInput.of("size_bytes", upload.size_bytes, f"allowed: at most {most_bytes}")
