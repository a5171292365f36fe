"""Prometheus Adapter: an API server beside the cluster's own, which serves autoscalers from Prometheus."""

from __future__ import annotations

from pathlib import Path

from so1s_lab import CHECKOUT
from so1s_lab.aggregated import AggregatedApi
from so1s_lab.command import command
from so1s_lab.control_plane import ControlPlane
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.ports import any_port
from so1s_lab.prometheus import Prometheus
from so1s_lab.readiness import answers
from so1s_local.process import Unit

PROGRAM = GoProgram(
    "sigs.k8s.io/prometheus-adapter/cmd/adapter",
    module="sigs.k8s.io/prometheus-adapter",
    pins=GoModule(CHECKOUT / "deploy" / "lab" / "go" / "prometheus-adapter"),
    name="prometheus-adapter",
)


class PrometheusAdapter:
    """Serves the metrics of pods that its rules name; `register` tells the cluster of it."""

    name = "prometheus-adapter"
    version = PROGRAM.version

    def __init__(
        self, directory: Path, control_plane: ControlPlane, prometheus: Prometheus, *, rules: Path
    ) -> None:
        """Describe an adapter.

        Args:
            directory: its own.
            control_plane: whose autoscalers ask it.
            prometheus: whom it asks.
            rules: its configuration: which series are which pods' metrics.
        """
        self._api = AggregatedApi("custom.metrics.k8s.io", "v1beta1", self.name, any_port(), control_plane)
        self._directory = directory
        self._prometheus = prometheus
        self._rules = rules
        self._binary = Path()

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        """It looks for new series each second."""
        line = command(
            self._binary,
            config=self._rules.absolute(),
            prometheus_url=self._prometheus.url,
            metrics_relist_interval="1s",
            lister_kubeconfig=self._api.kubeconfig,
            **self._api.options(self._directory),
        )
        return Unit(self.name, line, answers(f"https://127.0.0.1:{self._api.port}/healthz", ca=self._api.ca))

    async def register(self) -> None:
        """Have the cluster's API server pass on what is asked of custom metrics; returns once it does."""
        await self._api.register()
