"""A replica, as its pod shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.deployer.adapters.kubernetes import names
from services.deployer.domain.observation import Trouble

_CRASHES = 3
"""So many ends in a row of a replica that is not ready are a crash loop; Kubernetes says so later."""
_PULLS_AGAIN = "ImagePullBackOff"
_NOT_PULLED = {"ErrImagePull", _PULLS_AGAIN}
_IMAGE_REASONS = {
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "CreateContainerConfigError",  # such as an image whose user is root
    "CreateContainerError",
    "RunContainerError",
}


class Pod:
    """Reads a pod's JSON."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._meta = body["metadata"]
        self._status = body.get("status", {})
        self._spec = body["spec"]

    @property
    def name(self) -> str:
        """The pod's name."""
        return self._meta["name"]

    @property
    def template(self) -> str:
        """What it was made from."""
        return self._meta["labels"].get(names.TEMPLATE, "")

    @property
    def ended(self) -> bool:
        """Whether it runs no more and will not again, such as one that was evicted."""
        return self._status.get("phase") in {"Succeeded", "Failed"}

    @property
    def ending(self) -> bool:
        """Whether it was told to end."""
        return "deletionTimestamp" in self._meta

    @property
    def ready(self) -> bool:
        """Whether it answers its probes, and is not about to end."""
        return not self.ending and self._condition("Ready").get("status") == "True"

    @property
    def restarts(self) -> int:
        """How many times its container was started again."""
        return self._container.get("restartCount", 0)

    @property
    def is_not_pulled(self) -> bool:
        """Whether its image could not be pulled the last time."""
        return self._container.get("state", {}).get("waiting", {}).get("reason") in _NOT_PULLED

    @property
    def created_at(self) -> str:
        """When it was made, as RFC 3339: texts of one zone and length, in their order."""
        return self._meta["creationTimestamp"]

    def trouble(self, now: datetime, unschedulable_seconds: float, pull_seconds: float) -> Trouble | None:
        """Why it does not come up, if that is known."""
        if self.ready or self.ending or self.ended:
            return None
        return self._unscheduled(now, unschedulable_seconds) or self._broken(now, pull_seconds)

    def _unscheduled(self, now: datetime, after_seconds: float) -> Trouble | None:
        scheduled = self._condition("PodScheduled")
        if scheduled.get("reason") != "Unschedulable":
            return None
        since = datetime.fromisoformat(scheduled.get("lastTransitionTime") or self.created_at)
        if (now - since).total_seconds() < after_seconds:
            return None
        message = f"no node takes replica {self.name}: {scheduled.get('message', '')}"
        return Trouble("no_capacity", message, unscheduled=1)

    def _broken(self, now: datetime, pull_seconds: float) -> Trouble | None:
        state = self._container.get("state", {})
        waiting = state.get("waiting", {})
        age = now - datetime.fromisoformat(self.created_at)
        given_up = waiting.get("reason") == _PULLS_AGAIN and age.total_seconds() > pull_seconds
        if given_up or waiting.get("reason") in _IMAGE_REASONS:
            return Trouble("image", f"{waiting['reason']}: {waiting.get('message', '')}")
        if self.restarts >= _CRASHES or waiting.get("reason") == "CrashLoopBackOff":
            times = max(self.restarts, 1)
            return Trouble(
                "crash_loop", f"replica {self.name} ended {times} times in a row{self._last_end()}"
            )
        return None

    def _last_end(self) -> str:
        last = self._container.get("lastState", {}).get("terminated")
        return f", last with {last['exitCode']} ({last.get('reason', 'Error')})" if last else ""

    def _condition(self, kind: str) -> Mapping[str, Any]:
        conditions = self._status.get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    @property
    def _container(self) -> Mapping[str, Any]:
        statuses = self._status.get("containerStatuses", [])
        return next((each for each in statuses if each["name"] == names.CONTAINER), {})
