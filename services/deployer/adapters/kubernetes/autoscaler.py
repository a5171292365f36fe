"""How many replicas: the spec of a HorizontalPodAutoscaler (autoscaling/v2)."""

from __future__ import annotations

from typing import Any

from services.deployer.adapters.kubernetes.pod_metrics import wanted
from so1s.events import Scaling
from so1s.events.workload import ScalingBehavior
from so1s.kubernetes.quantities import thousandths

_PERIOD_SECONDS = 60


def autoscaler(name: str, scaling: Scaling) -> dict[str, Any]:
    """The spec for a Deployment of the same name; at least one target is set."""
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [*_resource(scaling), *_pods(scaling)],
    }
    return spec | ({"behavior": said} if (said := behavior(scaling)) else {})


def behavior(scaling: ScalingBehavior) -> dict[str, Any]:
    """How fast the number may move, as far as it is said: the rest is the cluster's default."""
    rules = {
        "scaleUp": _rules(scaling.scale_up_window_seconds, scaling.scale_up_replicas_per_minute),
        "scaleDown": _rules(scaling.scale_down_window_seconds, scaling.scale_down_replicas_per_minute),
    }
    return {direction: said for direction, said in rules.items() if said}


def _rules(window_seconds: int | None, replicas_per_minute: int | None) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if window_seconds is not None:
        rules["stabilizationWindowSeconds"] = window_seconds
    if replicas_per_minute is not None:
        policy = {"type": "Pods", "value": replicas_per_minute, "periodSeconds": _PERIOD_SECONDS}
        rules["policies"] = [policy]
    return rules


def _resource(scaling: Scaling) -> list[dict[str, Any]]:
    if scaling.cpu_percent is None:
        return []
    target = {"type": "Utilization", "averageUtilization": scaling.cpu_percent}
    return [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _pods(scaling: Scaling) -> list[dict[str, Any]]:
    return [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": metric.name},
                "target": {"type": "AverageValue", "averageValue": thousandths(value)},
            },
        }
        for metric, value in wanted(scaling)
    ]
