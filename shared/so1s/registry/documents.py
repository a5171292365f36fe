"""Documents of an image, as the OCI image specification describes them: JSON whose bytes are its identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
"""Of `{}`, which stands where a document must be and none is needed."""
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Document:
    """JSON whose bytes are its identity."""

    media_type: str
    data: bytes
    digest: str

    @classmethod
    def of(cls, media_type: str, value: dict[str, Any]) -> Document:
        """The same bytes for the same value."""
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        return cls(media_type, data, digest_of(data))

    @property
    def descriptor(self) -> dict[str, Any]:
        """How another document points to this one."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


def digest_of(data: bytes) -> str:
    """`sha256:…` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
