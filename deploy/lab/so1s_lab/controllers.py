"""kube-controller-manager: the loops that make ReplicaSets of Deployments, and pods of those."""

from __future__ import annotations

from pathlib import Path

from so1s_lab.apiserver import ApiServer
from so1s_lab.command import command
from so1s_lab.kubernetes import kubernetes_program
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

PROGRAM = kubernetes_program("kube-controller-manager")


class ControllerManager:
    """All of Kubernetes' controllers; the autoscaler is quicker than a cluster's, so that tests can wait."""

    name = "kube-controller-manager"
    version = PROGRAM.version

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._port = any_port()
        self._binary = Path()

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        """Alone, so that it leads from its start."""
        authority = self._server.authority
        line = command(
            self._binary,
            kubeconfig=self._server.kubeconfig(f"system:{self.name}"),
            **self._server.options(self.name, self._port),
            leader_elect=False,
            use_service_account_credentials=True,
            service_account_private_key_file=self._server.service_account_key,
            root_ca_file=authority.certificate,
            horizontal_pod_autoscaler_sync_period="2s",
            horizontal_pod_autoscaler_initial_readiness_delay="1s",
            horizontal_pod_autoscaler_downscale_stabilization="5s",
            # By default each controller makes 20 calls a second, and a deployment takes several of one.
            kube_api_qps=200,
            kube_api_burst=400,
            profiling=False,
        )
        return Unit(
            self.name, line, answers(f"https://127.0.0.1:{self._port}/healthz", ca=authority.certificate)
        )
