"""Where an account's artifacts may lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.builder.domain.failure import BuildError


@dataclass(frozen=True, slots=True)
class Location:
    """An artifact's URI, and the prefix of its account that it lies under."""

    uri: str
    prefix: str

    @property
    def scheme(self) -> str:
        """Such as `s3`."""
        return self.uri.partition("://")[0]

    @property
    def is_directory(self) -> bool:
        """Whether the URI names a prefix or directory instead of one object."""
        return self.uri.endswith("/")

    @property
    def file_name(self) -> str:
        """The last part of the URI."""
        return self.uri.rstrip("/").rpartition("/")[2]


def locate(uri: str, account: str, templates: Sequence[str]) -> Location:
    """The location of an artifact.

    Args:
        uri: as the event says it.
        account: whose event it is.
        templates: prefixes with `{account}` in them, such as `s3://models/{account}/`.

    Raises:
        BuildError: `uri` lies under none of the account's prefixes.
    """
    prefixes = [template.format(account=account) for template in templates]
    for prefix in prefixes:
        if uri.startswith(prefix) and len(uri) > len(prefix):
            return Location(uri, prefix)
    allowed = " or ".join(f"{prefix}…" for prefix in prefixes) or "nothing, as no prefix is set"
    raise BuildError.of("artifact", "artifact.uri", uri, allowed)
