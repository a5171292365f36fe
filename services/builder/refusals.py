"""What the author of an event that cannot be taken is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from so1s.errors import explanation
from so1s.events import BuildFailed

_LONGEST_VERSION = 255


def refuse(error: Exception, fields: Mapping[str, Any]) -> BuildFailed:
    """Say that there will be no image, since the event breaks a rule."""
    return BuildFailed(
        account=fields["account"],
        model=fields["model"],
        version=str(fields.get("version", ""))[:_LONGEST_VERSION],
        reason="invalid",
        step=None,
        message=explanation(error),
    )
