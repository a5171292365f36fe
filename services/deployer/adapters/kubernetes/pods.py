"""The pod of a replica."""

from __future__ import annotations

import math
from typing import Any

from services.deployer.adapters.kubernetes import names
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.ports import Deployment
from so1s.events import Resources
from so1s.kubernetes.quantities import cpu, memory

_USER = 65532
"""`nonroot` of the distroless images: no user of a node has its number."""
_STARTUP_PERIOD_SECONDS = 1
_SCRATCH = "512Mi"


def pod_spec(deployment: Deployment, options: Options, selector: dict[str, str]) -> dict[str, Any]:
    """The spec of a replica's pod: without root, without a token, without a writable image.

    It fits the Pod Security Standard `restricted`.
    """
    workload = deployment.workload
    spec: dict[str, Any] = {
        "serviceAccountName": names.SERVER_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": math.ceil(options.grace_seconds),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
            }
        ],
        "containers": [_container(deployment, options)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": _SCRATCH}}],
    }
    if workload.resources.gpus and options.gpu_scheduler:
        spec["schedulerName"] = options.gpu_scheduler
        del spec["topologySpreadConstraints"]  # spread is the opposite of packed
    if options.node_selector:
        spec["nodeSelector"] = options.node_selector
    if options.tolerations:
        spec["tolerations"] = options.tolerations
    if options.image_pull_secret:
        spec["imagePullSecrets"] = [{"name": names.PULL_SECRET}]
    return spec


def _container(deployment: Deployment, options: Options) -> dict[str, Any]:
    workload = deployment.workload
    return {
        "name": names.CONTAINER,
        "image": workload.image.reference,
        "imagePullPolicy": "IfNotPresent",  # a digest never means other bytes
        "args": ["--host", "0.0.0.0", "--port", str(names.PORT)],  # noqa: S104 - a pod's own address
        "ports": [{"name": "http", "containerPort": names.PORT, "protocol": "TCP"}],
        "env": _environment(deployment, options),
        "resources": _resources(workload.resources, options),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
        "startupProbe": _probe("ready", _STARTUP_PERIOD_SECONDS, _startup_failures(options)),
        "readinessProbe": _probe("ready", period_seconds=2, failures=2),
        "livenessProbe": _probe("live", period_seconds=5, failures=3),
        # The mesh is told at the same moment as the replica: it must serve on until all have heard.
        "lifecycle": {"preStop": {"sleep": {"seconds": math.ceil(options.drain_seconds)}}},
    }


def _environment(deployment: Deployment, options: Options) -> list[dict[str, str]]:
    variables = {
        "HOME": "/tmp",  # noqa: S108 - the pod's own
        "PYTHONUNBUFFERED": "1",
        "SO1S_RUNTIME_INTRA_THREADS": str(math.ceil(deployment.workload.resources.cpu_millicores / 1000)),
        "SO1S_RUNTIME_DRAIN_SECONDS": "0",  # SIGTERM comes after the preStop's sleep
        **options.server_variables,
        "SO1S_RUNTIME_ACCOUNT": deployment.account,
        "SO1S_RUNTIME_DEPLOYMENT": deployment.name,
    }
    return [{"name": name, "value": value} for name, value in variables.items()]


def _resources(resources: Resources, options: Options) -> dict[str, dict[str, str]]:
    """CPU may be borrowed while others leave it; memory and GPUs can't be taken back."""
    space = {"memory": memory(resources.memory_mib)}
    gpus = {options.gpu_resource: str(resources.gpus)} if resources.gpus else {}
    return {
        "requests": {"cpu": cpu(resources.cpu_millicores), **space, **gpus},
        "limits": space | gpus,
    }


def _startup_failures(options: Options) -> int:
    return math.ceil(options.startup_seconds / _STARTUP_PERIOD_SECONDS)


def _probe(state: str, period_seconds: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": f"/v2/health/{state}", "port": "http", "scheme": "HTTP"},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 1,
        "failureThreshold": failures,
    }
