"""KEDA: makes autoscalers of ScaledObjects, and serves them what it asks Prometheus for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from so1s.blocking import wait_for
from so1s.kubernetes import connect
from so1s_lab import CHECKOUT
from so1s_lab.aggregated import AggregatedApi
from so1s_lab.command import command
from so1s_lab.control_plane import ControlPlane
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.manifests import Manifest, until_it_is
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_lab.runner import Runner
from so1s_local.process import Unit

_PINS = GoModule(CHECKOUT / "deploy" / "lab" / "go" / "keda")
_MODULE = "github.com/kedacore/keda/v2"
OPERATOR = GoProgram(f"{_MODULE}/cmd/operator", module=_MODULE, pins=_PINS, name="keda-operator")
METRICS_SERVER = GoProgram(
    f"{_MODULE}/cmd/adapter", module=_MODULE, pins=_PINS, name="keda-metrics-apiserver"
)
_KINDS = (
    "keda.sh_scaledobjects",
    "keda.sh_scaledjobs",
    "keda.sh_triggerauthentications",
    "keda.sh_clustertriggerauthentications",
    "eventing.keda.sh_cloudeventsources",
    "eventing.keda.sh_clustercloudeventsources",
)
"""All that the operator watches: it ends where one is missing."""
_ENVIRONMENT = {"WATCH_NAMESPACE": "", "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda"}
"""It scales in all namespaces, and looks into one for what ClusterTriggerAuthentications name."""
_DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


def definition(kind: str) -> Manifest:
    """The CustomResourceDefinition of a kind, such as `keda.sh_scaledobjects`.

    Raises:
        MissingPartError: there is no Go, or it cannot download the module.
    """
    path = _PINS.file(_MODULE, f"config/crd/bases/{kind}.yaml")
    return yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)


class Keda:
    """The operator and its server of metrics; started by `start`."""

    def __init__(self, directory: Path, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._api = AggregatedApi(
            "external.metrics.k8s.io", "v1beta1", METRICS_SERVER.name, any_port(), control_plane
        )
        self._operator = _Operator(directory, self._api)
        self._metrics = _Metrics(directory, self._api, self._operator.port)

    def start(self, runner: Runner) -> None:
        """Register KEDA's kinds, start both, and have autoscalers' questions passed on.

        Raises:
            MissingPartError: KEDA cannot be built on this machine.
        """
        kinds = [definition(kind) for kind in _KINDS]
        for part in (self._operator, self._metrics):
            part.prepare()
        wait_for(self._register(kinds))
        runner.start(self._operator, self._metrics)
        wait_for(self._api.register())

    async def _register(self, kinds: list[Manifest]) -> None:
        async with connect(self._control_plane.kubeconfig) as api:
            for kind in kinds:
                await api.apply(kind, manager="lab")
            for kind in kinds:
                await until_it_is("Established", api, *_DEFINITION, kind["metadata"]["name"])


class _Operator:
    """Makes a HorizontalPodAutoscaler of each ScaledObject, and asks what their triggers name."""

    name = OPERATOR.name
    version = OPERATOR.version

    def __init__(self, directory: Path, api: AggregatedApi) -> None:
        self._directory = directory
        self._api = api
        self._probes = any_port()
        self.port = any_port()
        """Where the server of metrics asks it; each shows the other a certificate."""
        self._binary = Path()

    def prepare(self) -> None:
        """Build it, which takes minutes the first time, and lay its certificate under the names it wants."""
        self._binary = OPERATOR.build()
        own = self._api.identity
        files = {"ca.crt": self._api.ca, "tls.crt": own.certificate, "tls.key": own.key}
        for name, source in files.items():
            (self._directory / name).touch(mode=0o600)
            shutil.copyfile(source, self._directory / name)

    def unit(self) -> Unit:
        """Alone, so that it needs no lease."""
        line = command(
            self._binary,
            kubeconfig=self._api.kubeconfig,
            cert_dir=self._directory,
            metrics_service_bind_address=f"127.0.0.1:{self.port}",
            health_probe_bind_address=f"127.0.0.1:{self._probes}",
            enable_prometheus_metrics=False,
        )
        ready = answers(f"http://127.0.0.1:{self._probes}/readyz")
        return Unit(self.name, line, ready, environment=_ENVIRONMENT)


class _Metrics:
    """The API server beside the cluster's own that autoscalers ask; it asks the operator."""

    name = METRICS_SERVER.name
    version = METRICS_SERVER.version

    def __init__(self, directory: Path, api: AggregatedApi, operator_port: int) -> None:
        self._directory = directory
        self._api = api
        self._operator_port = operator_port
        self._binary = Path()

    def prepare(self) -> None:
        """Build it."""
        self._binary = METRICS_SERVER.build()

    def unit(self) -> Unit:
        """Its own figures are at a port of every interface: it has no option for less."""
        options: dict[str, Any] = self._api.options(self._directory)
        line = command(
            self._binary,
            kubeconfig=self._api.kubeconfig,
            lister_kubeconfig=self._api.kubeconfig,
            metrics_service_address=f"127.0.0.1:{self._operator_port}",
            port=any_port(),
            **options,
        )
        ready = answers(f"https://127.0.0.1:{self._api.port}/healthz", ca=self._api.ca)
        return Unit(self.name, line, ready, environment=_ENVIRONMENT)
