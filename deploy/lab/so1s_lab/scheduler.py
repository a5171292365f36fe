"""kube-scheduler: finds each pod a node, by the stock profile or by one that fills GPU nodes up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from so1s_lab.apiserver import ApiServer
from so1s_lab.command import command
from so1s_lab.kubernetes import kubernetes_program
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

PROGRAM = kubernetes_program("kube-scheduler")

STOCK_PROFILE = "default-scheduler"
GPU_PROFILE = "so1s-gpu"
_SHIPPED = Path(__file__).parents[2] / "scheduler" / "profile.yaml"


class Scheduler:
    """One scheduler with two profiles; a pod chooses by its `schedulerName`."""

    name = "kube-scheduler"
    version = PROGRAM.version

    def __init__(self, directory: Path, server: ApiServer) -> None:
        self._directory = directory
        self._server = server
        self._port = any_port()
        self._binary = Path()

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        """Alone, so that it leads from its start."""
        kubeconfig = self._server.kubeconfig(f"system:{self.name}")
        configuration = self._directory / "scheduler.json"
        configuration.write_text(json.dumps(_configuration(kubeconfig)))
        line = command(
            self._binary,
            config=configuration,
            **self._server.options(self.name, self._port),
        )
        return Unit(
            self.name,
            line,
            answers(f"https://127.0.0.1:{self._port}/healthz", ca=self._server.authority.certificate),
        )


def _configuration(kubeconfig: Path) -> dict[str, Any]:
    """https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/."""
    gpu = yaml.safe_load(_SHIPPED.read_text())
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": STOCK_PROFILE}, gpu],
    }
