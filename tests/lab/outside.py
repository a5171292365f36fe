"""A server that is a process of this machine, as Kubernetes and Istio know the one pod of a Service."""

from typing import Any

from so1s.kubernetes.labels import GRPC_PORT
from so1s_lab.manifests import Manifest


def manifests(namespace: str, name: str, address: str, port: int) -> list[Manifest]:
    """A Service and where it leads.

    Args:
        namespace: of both.
        name: the Service's.
        address: of this machine, but none of its loopback, which Kubernetes takes for no pod's.
        port: where the server speaks HTTP and gRPC.
    """
    meta = {"namespace": namespace, "name": name}
    # The ports that the deployer gives to each Service: a mesh reads the protocol from the name.
    ports = [{"name": "http", "port": 80}, {"name": "grpc", "port": GRPC_PORT}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": ports}}
    slices: dict[str, Any] = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta | {"labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": each["name"], "port": port} for each in ports],
    }
    return [service, slices]


def url(namespace: str, name: str) -> str:
    """The Service, as the deployer tells the router of one."""
    return f"k8s://{name}.{namespace}.svc.cluster.local:80"
