"""What a replica is made from."""

from __future__ import annotations

import hashlib

from so1s.events import Workload


def template(workload: Workload) -> str:
    """A digest of all that needs another replica where it changes: 16 hexadecimal digits."""
    process = workload.model_dump_json(include={"model", "version", "image", "resources"})
    return hashlib.sha256(process.encode()).hexdigest()[:16]
