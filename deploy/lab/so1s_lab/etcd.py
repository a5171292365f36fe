"""etcd: where Kubernetes keeps its objects."""

from __future__ import annotations

from pathlib import Path

from so1s_lab.command import command
from so1s_lab.go import GoProgram
from so1s_lab.pki import Authority
from so1s_lab.ports import any_port
from so1s_lab.readiness import listens
from so1s_local.process import Unit

PROGRAM = GoProgram("go.etcd.io/etcd/server/v3", module="go.etcd.io/etcd/server/v3", name="etcd")


class Etcd:
    """One member, which is the whole cluster; whoever bears a certificate of the authority may use it."""

    name = "etcd"
    version = PROGRAM.version

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._directory = directory
        self._authority = authority
        self._port = any_port()
        self._binary = Path()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"https://127.0.0.1:{self._port}"

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        """Without fsync: a lab's objects need not survive the machine."""
        server = self._authority.server(self.name)
        peer = f"http://127.0.0.1:{any_port()}"  # there are none, but it insists
        line = command(
            self._binary,
            data_dir=self._directory / "data",
            listen_client_urls=self.url,
            advertise_client_urls=self.url,
            listen_peer_urls=peer,
            initial_advertise_peer_urls=peer,
            initial_cluster=f"default={peer}",
            cert_file=server.certificate,
            key_file=server.key,
            trusted_ca_file=self._authority.certificate,
            client_cert_auth=True,
            unsafe_no_fsync=True,
            log_level="warn",
        )
        return Unit(self.name, line, listens(self._port))
