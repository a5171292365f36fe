"""Helm: what operators install the chart with, built from its module."""

from __future__ import annotations

import subprocess
from pathlib import Path

from so1s_lab import CHECKOUT
from so1s_lab.go import GoModule, GoProgram

CHART = CHECKOUT / "deploy" / "chart"
_MODULE = "helm.sh/helm/v4"
PROGRAM = GoProgram(
    f"{_MODULE}/cmd/helm", module=_MODULE, pins=GoModule(CHECKOUT / "deploy" / "lab" / "go" / "helm")
)


class HelmError(Exception):
    """Helm said no; the message has its words."""


class Helm:
    """Runs Helm on one cluster; it keeps nothing in anybody's home."""

    def __init__(self, directory: Path, kubeconfig: Path) -> None:
        """Build it, which takes minutes the first time.

        Args:
            directory: its own, for its caches.
            kubeconfig: of a client that may install.

        Raises:
            MissingPartError: there is no Go, or the build fails.
        """
        self._binary = PROGRAM.build()
        self._environment = {
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(directory),  # where it caches what it knows of the API
        }

    def run(self, *words: str | Path) -> str:
        """What it prints.

        Raises:
            HelmError: it ends with another code than 0.
        """
        line = [str(self._binary), *map(str, words)]
        done = subprocess.run(line, env=self._environment, capture_output=True, text=True, check=False)  # noqa: S603 - the words are ours
        if done.returncode:
            raise HelmError(done.stderr.strip())
        return done.stdout
