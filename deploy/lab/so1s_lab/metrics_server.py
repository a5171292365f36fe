"""metrics-server: measures the CPU and memory of pods, for autoscalers."""

from __future__ import annotations

from pathlib import Path

from so1s_lab import CHECKOUT
from so1s_lab.aggregated import AggregatedApi
from so1s_lab.command import command
from so1s_lab.control_plane import ControlPlane
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

PROGRAM = GoProgram(
    "sigs.k8s.io/metrics-server/cmd/metrics-server",
    module="sigs.k8s.io/metrics-server",
    pins=GoModule(CHECKOUT / "deploy" / "lab" / "go" / "metrics-server"),
)


class MetricsServer:
    """Asks each kubelet every ten seconds, its least; `register` tells the cluster of it."""

    name = "metrics-server"
    version = PROGRAM.version

    def __init__(self, directory: Path, control_plane: ControlPlane) -> None:
        self._api = AggregatedApi("metrics.k8s.io", "v1beta1", self.name, any_port(), control_plane)
        self._directory = directory
        self._binary = Path()

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        """It is live before it has measured anything: ready it is only then."""
        line = command(
            self._binary,
            metric_resolution="10s",
            kubelet_request_timeout="5s",  # shorter than that
            kubelet_use_node_status_port=True,
            kubelet_preferred_address_types="InternalIP",
            kubelet_insecure_tls=True,  # a kubelet signs its own certificate
            kubeconfig=self._api.kubeconfig,
            **self._api.options(self._directory),
        )
        return Unit(self.name, line, answers(f"https://127.0.0.1:{self._api.port}/livez", ca=self._api.ca))

    async def register(self) -> None:
        """Have the cluster's API server pass on what is asked of metrics; returns once it does."""
        await self._api.register()
