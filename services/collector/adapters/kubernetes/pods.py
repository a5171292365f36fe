"""Replicas, as pods show them.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from services.collector.domain.grid import milliseconds
from services.collector.domain.world import Replica
from so1s.events.envelope import Cause
from so1s.kubernetes import labels
from so1s.kubernetes.quantities import amount

Object = Mapping[str, Any]

_MEBIBYTE = 2**20
UNKNOWN = "unknown"
"""Who let a replica be started whose Deployment nobody saw."""


def replica(pod: Object, story: Mapping[str, str], gpu_resource: str) -> Replica | None:
    """The replica that a pod is; None before its node took it.

    Args:
        pod: as the API shows it.
        story: the annotations of its Deployment.
        gpu_resource: what a GPU is called among a node's resources.
    """
    started = pod.get("status", {}).get("startTime")
    if not started:
        return None
    meta, borne, reserved = pod["metadata"], pod["metadata"]["labels"], _reserved(pod)
    return Replica(
        uid=meta["uid"],
        account=borne[labels.ACCOUNT],
        deployment=borne[labels.DEPLOYMENT],
        model=borne[labels.MODEL],
        version=borne[labels.VERSION],
        user=story.get(labels.USER) or UNKNOWN,
        labels=json.loads(story.get(labels.LABELS, "{}")),
        cpu_millicores=int(amount(reserved.get("cpu", "0")) * 1000),
        memory_mib=int(amount(reserved.get("memory", "0")) / _MEBIBYTE),
        gpus=int(amount(reserved.get(gpu_resource, "0"))),
        pid=None,
        pid_started_at=None,
        started_ms=_ms(started),
        ended_ms=end_ms(pod),
        cause=_cause(meta["uid"], story),
        pod=meta["name"],
        restarts=_server(pod).get("restartCount", 0),
    )


def end_ms(pod: Object) -> int | None:
    """When a pod's server ended for good, as the pod itself says; None where it does not.

    A server that ends in a pod which stays is started again, and its reservation stays with it.
    """
    status = pod.get("status", {})
    ended = status.get("phase") in {"Succeeded", "Failed"}
    if not ended and "deletionTimestamp" not in pod["metadata"]:
        return None
    finished = _server(pod).get("state", {}).get("terminated", {}).get("finishedAt")
    if finished:
        return _ms(finished)
    return max(_changes(status), default=None) if ended else None  # such as one whose node is gone


def deadline_ms(pod: Object) -> int | None:
    """When a pod that was told to end is killed at the latest."""
    text = pod["metadata"].get("deletionTimestamp")
    return _ms(text) if text else None


def _reserved(pod: Object) -> Mapping[str, str]:
    containers = pod["spec"]["containers"]
    container = next((each for each in containers if each["name"] == labels.SERVER), {})
    return container.get("resources", {}).get("requests", {})


def _cause(uid: str, story: Mapping[str, str]) -> Cause:
    event_id = story.get(labels.EVENT_ID) or uid
    chain = story.get(labels.CORRELATION_ID) or event_id
    return Cause(event_id, chain, story.get(labels.TRACEPARENT, ""))


def _server(pod: Object) -> Object:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return next((each for each in statuses if each["name"] == labels.SERVER), {})


def _changes(status: Object) -> Iterator[int]:
    """When its conditions changed; the last of them is its end."""
    for condition in status.get("conditions") or []:
        if at := condition.get("lastTransitionTime"):
            yield _ms(at)


def _ms(text: str) -> int:
    return milliseconds(datetime.fromisoformat(text))
