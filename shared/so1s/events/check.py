"""Checks: verdicts that a version needs before it takes traffic."""

from __future__ import annotations

from typing import Self

from so1s.events.deployment import DeploymentReady, Revision
from so1s.events.event import Event
from so1s.events.names import Name, Version


class CheckFinished(Event, key=("account", "deployment")):
    """A named check has its verdict on one revision of a deployment."""

    deployment: Name
    revision: Revision
    model: Name
    version: Version
    check: Name
    passed: bool
    reason: str

    @classmethod
    def of(cls, ready: DeploymentReady, *, check: str, passed: bool, reason: str) -> Self:
        """The verdict on the deployment that became ready."""
        return cls(
            account=ready.account,
            deployment=ready.deployment,
            revision=ready.revision,
            model=ready.model,
            version=ready.version,
            check=check,
            passed=passed,
            reason=reason,
        )
