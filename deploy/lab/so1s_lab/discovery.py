"""What a cluster's Prometheus scrapes: replicas, what their containers use, and the gateway.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config
"""

from __future__ import annotations

from urllib.parse import urlsplit

from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from so1s_lab.manifests import Manifest
from so1s_lab.node import Node

GATEWAY_JOB = "istio-gateway"


def jobs(control_plane: ControlPlane, node: Node, istio: Istio) -> list[Manifest]:
    """Prometheus' `scrape_configs`."""
    return [_replicas(control_plane), _containers(control_plane, node), _gateway(istio)]


def _replicas(control_plane: ControlPlane) -> Manifest:
    pods = {"role": "pod", "kubeconfig_file": str(control_plane.kubeconfig)}
    managed = "__meta_kubernetes_pod_label_app_kubernetes_io_managed_by"
    return {
        "job_name": "so1s-replicas",
        "kubernetes_sd_configs": [pods],
        "relabel_configs": [
            {"source_labels": [managed], "regex": "so1s-deployer", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Running", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        ],
    }


def _containers(control_plane: ControlPlane, node: Node) -> Manifest:
    client = control_plane.server.authority.client("prometheus", group="system:masters")
    return {
        "job_name": "cadvisor",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        "static_configs": [{"targets": [node.address]}],
        "tls_config": {
            "cert_file": str(client.certificate),
            "key_file": str(client.key),
            "insecure_skip_verify": True,  # a kubelet signs its own certificate
        },
    }


def _gateway(istio: Istio) -> Manifest:
    return {
        "job_name": GATEWAY_JOB,
        "metrics_path": "/stats/prometheus",
        "static_configs": [{"targets": [urlsplit(istio.admin_url).netloc]}],
    }
