"""Starts a replica's process from its image."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.deployer.adapters.processes.layout import Unpacked, unpack
from services.deployer.adapters.processes.process import Process, spawn
from services.deployer.adapters.processes.world import ReplicaRecord

REPLICA_VARIABLE = "SO1S_REPLICA"
WORLD_VARIABLE = "SO1S_WORLD"
"""By this entry of its environment a process is known as a replica, even if no record names it."""

_THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_ISOLATED = ("-P", "-s", "-S")
"""Neither the working directory, nor the user's packages, nor the interpreter's own are imported."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that has just been started."""

    process: Process
    url: str


def base_interpreter() -> str:
    """The interpreter under this one's virtual environment, whose packages an image must not see."""
    return getattr(sys, "_base_executable", "") or sys.executable  # no public name gives it


class Launcher:
    """Starts processes for one world."""

    def __init__(
        self, unpacked: Path, world: Path, variables: Mapping[str, str], python: str | None = None
    ) -> None:
        """Take the directories.

        Args:
            unpacked: where images' layers are unpacked to.
            world: the directory whose replicas are started.
            variables: settings of inference servers.
            python: the interpreter that replicas run on.
        """
        self._unpacked = unpacked
        self._world = world
        self._variables = variables
        self._python = python or base_interpreter()
        self._one_at_a_time = asyncio.Lock()  # or the same layer would be unpacked twice
        self._known: dict[str, Unpacked] = {}

    async def prepare(self, image: str) -> None:
        """Unpack an image, so that its replicas start quickly.

        Raises:
            ImageProblem: the image cannot run here.
        """
        async with self._one_at_a_time:
            if image not in self._known:
                self._known[image] = await asyncio.to_thread(unpack, image, self._unpacked)

    async def launch(self, replica: ReplicaRecord, log: Path) -> Launched:
        """Start a replica's process on a free port.

        Raises:
            ImageProblem: the image cannot run here.
            OSError: the interpreter cannot be started.
        """
        await self.prepare(replica.image)
        unpacked = self._known[replica.image]
        port = _free_port()
        environment = self._environment(replica, unpacked)
        process = spawn([*self._command(unpacked), "--port", str(port)], environment, log)
        return Launched(process, f"http://127.0.0.1:{port}")

    def _command(self, unpacked: Unpacked) -> list[str]:
        program, *arguments = unpacked.entrypoint
        return [self._python, *_ISOLATED, *arguments] if program == "python" else [program, *arguments]

    def _environment(self, replica: ReplicaRecord, unpacked: Unpacked) -> dict[str, str]:
        """The image's environment and nothing of ours, save what the interpreter cannot start without."""
        threads = str(math.ceil(replica.resources.cpu_millicores / 1000))
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TZ") if name in os.environ}
        return {
            "HOME": tempfile.gettempdir(),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **kept,
            **unpacked.environment,
            "PATH": os.defpath,
            # A library that takes every core slows all replicas down, its own too.
            **dict.fromkeys(_THREAD_POOLS, threads),
            "SO1S_RUNTIME_INTRA_THREADS": threads,
            "SO1S_RUNTIME_DRAIN_SECONDS": "0",  # SIGTERM comes after the drain here
            **self._variables,
            "SO1S_RUNTIME_ACCOUNT": replica.account,
            "SO1S_RUNTIME_DEPLOYMENT": replica.deployment,
            REPLICA_VARIABLE: replica.uid,
            WORLD_VARIABLE: str(self._world),
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
