"""How many replicas, where KEDA serves a cluster's autoscalers: the spec of a ScaledObject.

KEDA makes a HorizontalPodAutoscaler of it, and asks Prometheus itself for what our rules record.
https://keda.sh/docs/latest/reference/scaledobject-spec/, https://keda.sh/docs/latest/scalers/prometheus/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.deployer.adapters.kubernetes.autoscaler import behavior
from services.deployer.adapters.kubernetes.pod_metrics import PodMetric, wanted
from so1s.events import Scaling

Trigger = dict[str, Any]

_POLLING_SECONDS = 15
"""As often as a HorizontalPodAutoscaler decides."""


@dataclass(frozen=True, slots=True)
class Keda:
    """How KEDA reaches Prometheus."""

    prometheus_url: str
    authentication: str = ""
    """The ClusterTriggerAuthentication that it uses there; empty for none."""


def scaled_object(name: str, namespace: str, scaling: Scaling, keda: Keda) -> dict[str, Any]:
    """The spec for a Deployment of the same name; at least one target is set."""
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicaCount": scaling.min_replicas,
        "maxReplicaCount": scaling.max_replicas,
        "pollingInterval": _POLLING_SECONDS,
        "triggers": [*_cpu(scaling), *_prometheus(name, namespace, scaling, keda)],
    }
    if said := behavior(scaling):
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": said}}
    return spec


def _cpu(scaling: Scaling) -> list[Trigger]:
    if scaling.cpu_percent is None:
        return []
    return [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(scaling.cpu_percent)}}]


def _prometheus(name: str, namespace: str, scaling: Scaling, keda: Keda) -> list[Trigger]:
    proof = {"name": keda.authentication, "kind": "ClusterTriggerAuthentication"}
    authentication = {"authenticationRef": proof} if keda.authentication else {}
    return [
        {
            "type": "prometheus",
            "name": metric.name,
            # KEDA gives the sum over all replicas; the autoscaler that it makes divides it by their number.
            "metricType": "AverageValue",
            "metadata": {
                "serverAddress": keda.prometheus_url,
                "query": total(metric, namespace, name),
                "threshold": str(value),
                "ignoreNullValues": "false",  # what cannot be read is no reason to scale down
            },
            **authentication,
        }
        for metric, value in wanted(scaling)
    ]


def total(metric: PodMetric, namespace: str, name: str) -> str:
    """A figure's sum over the pods of a Deployment.

    A pod's name is the Deployment's and two words without a dash, so that it is no other Deployment's:
    neither one's whose name goes on, nor that of a candidate, `NAME--candidate`.
    """
    return f'sum({metric.name}{{namespace="{namespace}",pod=~"{name}-[a-z0-9]+-[a-z0-9]+"}})'
