"""What the cluster shows of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from services.deployer.adapters.kubernetes import names
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.adapters.kubernetes.pod import Pod
from services.deployer.domain.observation import Observation, Trouble
from so1s.kubernetes import Key, labels

_UNANSWERED = ("failed calling webhook", "timeout", "timed out", "deadline exceeded")


@dataclass(slots=True)
class Parts:
    """All that is there of a deployment."""

    stable: Mapping[str, Any] | None = None
    """Its Deployment."""
    candidate: Mapping[str, Any] | None = None
    """The Deployment of its candidate."""
    pods: list[Pod] = field(default_factory=list)
    candidate_pods: list[Pod] = field(default_factory=list)


def gather(
    deployments: Mapping[Key, Mapping[str, Any]], pods: Mapping[Key, Mapping[str, Any]], options: Options
) -> dict[names.Key, Parts]:
    """What is there, by account and deployment, in the namespaces of this installation.

    Pods are kept for as long as they are there, with or without their Deployment.
    """
    found: dict[names.Key, Parts] = {}
    for body in deployments.values():
        if (key := _key(body, options)) and "deletionTimestamp" not in body["metadata"]:
            parts = found.setdefault(key, Parts())
            if names.is_candidate(body):
                parts.candidate = body
            else:
                parts.stable = body
    for body in pods.values():
        if (key := _key(body, options)) and not (pod := Pod(body)).ended:
            parts = found.setdefault(key, Parts())
            (parts.candidate_pods if names.is_candidate(body) else parts.pods).append(pod)
    return found


def _key(body: Mapping[str, Any], options: Options) -> names.Key | None:
    key = names.key_of(body)
    return key if key and body["metadata"]["namespace"] == options.namespace(key[0]) else None


def observe(key: names.Key, parts: Parts, options: Options, now: datetime) -> Observation:
    """How a deployment is.

    Args:
        key: account and deployment.
        parts: what is there of it.
        options: of all deployments.
        now: the time.
    """
    account, name = key
    applied = parts.candidate or parts.stable
    new = _current(applied, parts.candidate_pods if parts.candidate else parts.pods)
    pods = [*parts.pods, *parts.candidate_pods]
    updated = sum(each.ready for each in new)
    called = names.object_name(name, candidate=parts.candidate is not None)
    return Observation(
        account=account,
        deployment=name,
        revision=_revision(applied),
        candidate=parts.candidate is not None,
        desired=applied["spec"].get("replicas", 1) if applied else 0,
        updated=updated,
        ready=sum(each.ready for each in pods),
        total=len(pods),
        restarts=sum(each.restarts for each in pods),
        service=f"k8s://{options.host(account, name)}:80",
        url=f"http://{options.host(account, called)}" if updated else "",
        outdated=outdated(applied, parts.pods) if applied and not parts.candidate else 0,
        trouble=_trouble(applied, new, options, now),
    )


def outdated(applied: Mapping[str, Any], pods: list[Pod]) -> int:
    """How many pods are ready, and not made as a Deployment says."""
    new = _current(applied, pods)
    return sum(each.ready for each in pods if each not in new)


def _current(applied: Mapping[str, Any] | None, pods: list[Pod]) -> list[Pod]:
    """The pods that are made as the Deployment says now."""
    if not applied:
        return []
    wanted = applied["spec"]["template"]["metadata"]["labels"].get(names.TEMPLATE)
    return [each for each in pods if each.template == wanted]


def _revision(applied: Mapping[str, Any] | None) -> int:
    """The revision that was applied last; 0 where nobody can tell, so that it is applied anew."""
    annotations = applied["metadata"].get("annotations", {}) if applied else {}
    text = annotations.get(labels.REVISION, "")
    return int(text) if text.isdecimal() else 0


def lacks_shared(parts: Parts, options: Options) -> bool:
    """Whether replicas may lack what an account's share: a service account, or a secret to pull by."""
    if options.image_pull_secret and any(each.is_not_pulled for each in [*parts.pods, *parts.candidate_pods]):
        return True
    return any(_names_account(_replica_failure(each)) for each in (parts.stable, parts.candidate))


def _trouble(
    applied: Mapping[str, Any] | None, pods: list[Pod], options: Options, now: datetime
) -> Trouble | None:
    waits = options.unschedulable_seconds, options.pull_seconds
    found = [trouble for each in pods if (trouble := each.trouble(now, *waits))]
    if not found:
        return _failure(applied)
    return replace(found[0], unscheduled=sum(each.unscheduled for each in found))


def _failure(applied: Mapping[str, Any] | None) -> Trouble | None:
    """Why no pod can be made at all, such as a quota that is used up."""
    message = _replica_failure(applied)
    if not message or _names_account(message) or _is_unanswered(message):  # which is made again, or passes
        return None
    return Trouble("no_capacity" if "quota" in message else "refused", message)


def _replica_failure(applied: Mapping[str, Any] | None) -> str:
    conditions = applied.get("status", {}).get("conditions", []) if applied else []
    failed = (each for each in conditions if each["type"] == "ReplicaFailure" and each["status"] == "True")
    return next((each.get("message", "") for each in failed), "")


def _is_unanswered(message: str) -> bool:
    """Whether nobody refused a pod, since who was to be asked, such as a webhook, was away."""
    said = message.lower()
    return "denied the request" not in said and any(each in said for each in _UNANSWERED)


def _names_account(message: str) -> bool:
    return f'serviceaccount "{names.SERVER_ACCOUNT}" not found' in message
