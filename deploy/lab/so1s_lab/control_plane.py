"""A whole Kubernetes control plane with fake nodes, and how it is asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.config import new_client_from_config

from so1s.blocking import wait_for
from so1s_lab.apiserver import ApiServer
from so1s_lab.controllers import ControllerManager
from so1s_lab.etcd import Etcd
from so1s_lab.kwok import Kwok, add_nodes, fake_node
from so1s_lab.part import Part
from so1s_lab.pki import Authority
from so1s_lab.runner import Runner
from so1s_lab.scheduler import Scheduler

STANDING_NODES = ("fake-0", "fake-1")
"""Fake nodes of 4 GPUs each, for pods that go anywhere."""


class ControlPlane:
    """etcd, API server, controllers, scheduler and kwok; started by `start`."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory / "pki")
        etcd = Etcd(directory / "etcd", authority)
        self.server = ApiServer(directory, etcd, authority)
        self.kubeconfig: Path = self.server.kubeconfig("admin", group="system:masters")
        """For a client that may do everything."""
        clients = (ControllerManager(self.server), Scheduler(directory, self.server), Kwok(self.server))
        self._groups: Sequence[Sequence[Part]] = ((etcd,), (self.server,), clients)

    @property
    def url(self) -> str:
        """Of the API server."""
        return self.server.url

    def start(self, runner: Runner) -> None:
        """Start all parts, and make the standing nodes.

        Raises:
            MissingPartError: a part cannot run on this machine.
        """
        for parts in self._groups:
            for part in parts:
                part.prepare()  # what is missing shall be known before anything runs
        for parts in self._groups:
            runner.start(*parts)
        wait_for(self._make_standing_nodes())

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[ApiClient]:
        """A client that may do everything: `async with control_plane.client() as api`."""
        async with await new_client_from_config(str(self.kubeconfig), persist_config=False) as api:
            yield api

    async def _make_standing_nodes(self) -> None:
        async with self.client() as api:
            await add_nodes(api, [fake_node(name) for name in STANDING_NODES])
