"""References of images in registries."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BY_DIGEST = re.compile(r"(?P<host>[^/]+)/(?P<repository>[a-z0-9._/-]+)@(?P<digest>sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image by its digest: the same bytes as long as the reference is the same."""

    host: str
    repository: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `HOST/REPOSITORY@sha256:…`.

        Raises:
            ValueError: it is something else.
        """
        found = _BY_DIGEST.fullmatch(text)
        if not found:
            raise ValueError("allowed: HOST/REPOSITORY@sha256:…, since a tag may move")
        return cls(**found.groupdict())

    def __str__(self) -> str:
        """As it was read."""
        return f"{self.host}/{self.repository}@{self.digest}"
