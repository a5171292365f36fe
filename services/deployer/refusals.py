"""What the author of a request that cannot be taken is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from so1s.errors import explanation
from so1s.events import DeploymentFailed


def refuse(error: Exception, fields: Mapping[str, Any]) -> DeploymentFailed:
    """Refuse an event that breaks a rule; an image's names its deployment as its upload did."""
    deployment = fields.get("deployment") or (fields.get("deploy") or {}).get("deployment")
    return refused(fields["account"], deployment or fields["model"], explanation(error), "invalid")


def refused(
    account: str,
    deployment: str,
    message: str,
    reason: Literal["invalid", "superseded", "stale_revision", "unknown"] = "unknown",
) -> DeploymentFailed:
    """A request that never became a revision."""
    return DeploymentFailed(
        account=account, deployment=deployment, revision=0, reason=reason, message=message
    )
