"""The objects that make a deployment."""

from __future__ import annotations

import json
import math
from typing import Any

from services.deployer.adapters.kubernetes import names
from services.deployer.adapters.kubernetes.autoscaler import autoscaler
from services.deployer.adapters.kubernetes.keda import scaled_object
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.adapters.kubernetes.pods import pod_spec
from services.deployer.domain.template import template
from services.deployer.ports import Deployment
from so1s.kubernetes import labels as story

Manifest = dict[str, Any]


def of_account(account: str, options: Options) -> list[Manifest]:
    """What an account's deployments share: a namespace, and a service account without rights."""
    labels = {"app.kubernetes.io/managed-by": names.MANAGER, names.ACCOUNT: account}
    namespace = options.namespace(account)
    guarded = labels | {"pod-security.kubernetes.io/enforce": "restricted"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": guarded}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": names.SERVER_ACCOUNT, "namespace": namespace, "labels": labels},
            "automountServiceAccountToken": False,
        },
    ]


def pull_secret(account: str, options: Options, source: Manifest) -> Manifest:
    """An account's copy of the Secret by which nodes pull images."""
    labels = {"app.kubernetes.io/managed-by": names.MANAGER, names.ACCOUNT: account}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": source["type"],
        "metadata": {"name": names.PULL_SECRET, "namespace": options.namespace(account), "labels": labels},
        "data": source["data"],
    }


def workload(deployment: Deployment, options: Options, *, candidate: bool = False) -> Manifest:
    """The Deployment, without its number of replicas: that is the autoscaler's, or is said apart."""
    labels = _labels(deployment, candidate=candidate)
    selector = {name: labels[name] for name in (names.DEPLOYMENT, names.TRACK)}
    pod_labels = {
        **labels,
        names.TEMPLATE: template(deployment.workload),
        story.MODEL: deployment.workload.model,
        story.VERSION: deployment.workload.version,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(deployment, options, candidate=candidate) | {"annotations": _story(deployment)},
        "spec": {
            "selector": {"matchLabels": selector},
            "strategy": _strategy(deployment),
            "progressDeadlineSeconds": math.ceil(options.rollout_seconds),
            "revisionHistoryLimit": 2,
            "template": {
                "metadata": {"labels": pod_labels},
                "spec": pod_spec(deployment, options, selector),
            },
        },
    }


def size(manifest: Manifest, replicas: int) -> Manifest:
    """A Deployment's number of replicas and nothing else of it."""
    meta = {name: manifest["metadata"][name] for name in ("name", "namespace")}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"replicas": replicas},
    }


def beside(deployment: Deployment, options: Options, owner: Manifest) -> list[Manifest]:
    """What belongs to a Deployment, and goes with it.

    Args:
        deployment: as it shall be.
        options: of all deployments.
        owner: the Deployment as it is in the cluster.
    """
    objects = [service(deployment, options), _disruption_budget(deployment, options)]
    if is_autoscaled(deployment):
        objects.append(_autoscaler(deployment, options))
    return [_owned(each, owner) for each in objects]


def beside_candidate(deployment: Deployment, options: Options, owner: Manifest) -> list[Manifest]:
    """What belongs to a candidate's Deployment: the service that its checks call."""
    return [_owned(service(deployment, options, candidate=True), owner)]


def is_autoscaled(deployment: Deployment) -> bool:
    """Whether an autoscaler decides on the number of replicas."""
    return not deployment.workload.scaling.is_fixed


def service(deployment: Deployment, options: Options, *, candidate: bool = False) -> Manifest:
    """The Service that a mesh and checks find replicas by."""
    labels = _labels(deployment, candidate=candidate)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(deployment, options, candidate=candidate),
        "spec": {
            "selector": {name: labels[name] for name in (names.DEPLOYMENT, names.TRACK)},
            # A mesh reads the protocol from the port's name; a replica speaks both on one port.
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
                {"name": "grpc", "port": story.GRPC_PORT, "targetPort": "http", "protocol": "TCP"},
            ],
        },
    }


def _disruption_budget(deployment: Deployment, options: Options) -> Manifest:
    """One replica at a time may be moved away, by a drain of its node, say."""
    labels = _labels(deployment, candidate=False)
    selector = {name: labels[name] for name in (names.DEPLOYMENT, names.TRACK)}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(deployment, options),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    }


def _autoscaler(deployment: Deployment, options: Options) -> Manifest:
    name, scaling = deployment.name, deployment.workload.scaling
    # Without the revision, nothing would differ where a target is said no more, and it would stay.
    revision = {"annotations": {story.REVISION: str(deployment.revision)}}
    meta = {"metadata": _meta(deployment, options) | revision}
    if options.keda:
        spec = scaled_object(name, options.namespace(deployment.account), scaling, options.keda)
        return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", **meta, "spec": spec}
    spec = autoscaler(name, scaling)
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **meta, "spec": spec}


def _owned(manifest: Manifest, owner: Manifest) -> Manifest:
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [reference]}}


def _strategy(deployment: Deployment) -> Manifest:
    if deployment.workload.strategy == "static":
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}


def _meta(deployment: Deployment, options: Options, *, candidate: bool = False) -> Manifest:
    return {
        "name": names.object_name(deployment.name, candidate=candidate),
        "namespace": options.namespace(deployment.account),
        "labels": _labels(deployment, candidate=candidate),
    }


def _labels(deployment: Deployment, *, candidate: bool) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": names.MANAGER,
        "app.kubernetes.io/name": deployment.name,
        names.ACCOUNT: deployment.account,
        names.DEPLOYMENT: deployment.name,
        names.TRACK: "candidate" if candidate else "stable",
    }


def _story(deployment: Deployment) -> dict[str, str]:
    """What the collector and people need to know; it is no part of the pods, which it would replace."""
    wanted, cause = deployment.workload, deployment.cause
    return {
        story.REVISION: str(deployment.revision),
        story.MODEL: wanted.model,
        story.VERSION: wanted.version,
        story.ENDPOINT: wanted.endpoint or "",
        story.USER: wanted.user,
        story.LABELS: json.dumps(wanted.labels, sort_keys=True),
        story.EVENT_ID: cause.event_id,
        story.CORRELATION_ID: cause.correlation_id,
        story.TRACEPARENT: cause.traceparent or "",
    }
