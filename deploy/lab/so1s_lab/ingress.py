"""What an operator makes for a gateway: its account, its certificate, the Istio Gateway for all hosts."""

from __future__ import annotations

from base64 import b64encode

from so1s_lab.manifests import Manifest
from so1s_lab.pki import Identity

NAMESPACE = "istio-ingress"
NAME = "so1s"
SERVICE_ACCOUNT = "so1s-gateway"
LABELS = {"istio": "so1s-gateway"}
"""Of the gateway's proxies."""
CREDENTIAL = "so1s-wildcard"
"""The Secret of the wildcard host's certificate."""
_RBAC = "rbac.authorization.k8s.io"


def account() -> list[Manifest]:
    """The gateway's service account, which may read the certificates that it serves with."""
    named = {"name": SERVICE_ACCOUNT, "namespace": NAMESPACE}
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": named, "rules": [rule]},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": named,
            "subjects": [{"kind": "ServiceAccount", **named}],
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": SERVICE_ACCOUNT},
        },
    ]


def certificate(identity: Identity) -> Manifest:
    """The Secret that Istio Gateways name as their credential."""
    files = {"tls.crt": identity.certificate, "tls.key": identity.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CREDENTIAL, "namespace": NAMESPACE},
        "type": "kubernetes.io/tls",
        "data": {name: b64encode(path.read_bytes()).decode() for name, path in files.items()},
    }


def gateway(*, port: int, tls_port: int) -> Manifest:
    """The Istio Gateway: plain HTTP on one port, HTTPS on the other, for whatever host."""
    servers = [
        {"port": {"number": port, "name": "http", "protocol": "HTTP"}},
        {
            "port": {"number": tls_port, "name": "https", "protocol": "HTTPS"},
            "tls": {"mode": "SIMPLE", "credentialName": CREDENTIAL},
        },
    ]
    reached = {"bind": "127.0.0.1", "hosts": ["*"]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": NAME},
        "spec": {"selector": LABELS, "servers": [server | reached for server in servers]},
    }
