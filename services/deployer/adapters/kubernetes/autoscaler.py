"""How many replicas: the spec of a HorizontalPodAutoscaler (autoscaling/v2)."""

from __future__ import annotations

from typing import Any

from services.deployer.adapters.kubernetes.pod_metrics import LATENCY_P90, LATENCY_P99, REQUESTS_PER_SECOND
from so1s.events import Scaling
from so1s.kubernetes.quantities import thousandths


def autoscaler(name: str, scaling: Scaling) -> dict[str, Any]:
    """The spec for a Deployment of the same name."""
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
    }
    if metrics := [*_resource(scaling), *_pods(scaling)]:
        spec["metrics"] = metrics  # without any, the API takes 80 % of the reserved CPU
    return spec


def _resource(scaling: Scaling) -> list[dict[str, Any]]:
    if scaling.cpu_percent is None:
        return []
    target = {"type": "Utilization", "averageUtilization": scaling.cpu_percent}
    return [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _pods(scaling: Scaling) -> list[dict[str, Any]]:
    targets = {
        REQUESTS_PER_SECOND: scaling.requests_per_second,
        LATENCY_P90: scaling.latency_p90_ms,
        LATENCY_P99: scaling.latency_p99_ms,
    }
    return [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": metric.name},
                "target": {"type": "AverageValue", "averageValue": thousandths(value)},
            },
        }
        for metric, value in targets.items()
        if value is not None
    ]
