"""A real node: containerd, and a kubelet that starts pods with it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from kubernetes_asyncio.client import ApiException, CoreV1Api

from so1s_lab.command import command
from so1s_lab.control_plane import ControlPlane
from so1s_lab.debian import program
from so1s_lab.enclosure import BRIDGE, NODE_ADDRESS, POD_ADDRESSES, is_free
from so1s_lab.go import BIN, GoProgram
from so1s_lab.kubernetes import VERSION, kubernetes_program
from so1s_lab.manifests import Manifest
from so1s_lab.nodes import Pool, takes_pods
from so1s_lab.oci import write_image
from so1s_lab.part import MissingPartError
from so1s_lab.ports import any_port
from so1s_local.process import Unit, python

PAUSE_IMAGE = "so1s.dev/lab/pause:1"
"""On the node already; with an address as its argument it answers HTTP requests with its pod's name."""

_KUBELET = kubernetes_program("kubelet")
PAUSE = GoProgram("so1s.dev/lab/pause", module="k8s.io/kubernetes")
_NAME = "real-0"
_STATE = Path("/run/so1s-lab")
"""In memory, and short: a socket's path has at most 107 characters."""
_PRIVATE = f"{_STATE} /run/containerd /run/netns /var/log/containers /var/lib/cni"
"""Directories whose places containerd and the kubelet do not let choose."""
_SOCKET = _STATE / "containerd.sock"


class Node:
    """The cluster's only real node; it needs root, and a machine has one."""

    name = "kubelet"
    version = VERSION
    node_name = _NAME
    pool = Pool("real")
    """Pods run here that select and tolerate it, as others may have images that nobody has."""

    def __init__(
        self, directory: Path, control_plane: ControlPlane, runtime: Sequence[GoProgram] = ()
    ) -> None:
        """Describe a node.

        Args:
            directory: its own.
            control_plane: the cluster's.
            runtime: `containerd.PROGRAMS`, in place of Debian's.
        """
        self._directory = directory
        self._control_plane = control_plane
        self._runtime = runtime
        self._kubelet = Path()
        self._port, self._health_port = any_port(), any_port()

    @property
    def address(self) -> str:
        """`HOST:PORT` of the kubelet."""
        return f"{NODE_ADDRESS}:{self._port}"

    def prepare(self) -> None:
        """Build the kubelet, make the image of its pods' sandboxes, and write the configuration."""
        if os.geteuid() != 0:
            raise MissingPartError("a kubelet must run as root")
        if not is_free():
            raise MissingPartError("another lab on this machine has a kubelet already")
        for needed in () if self._runtime else ("containerd", "runc"):
            program(needed)
        for each in self._runtime:
            each.build()
        networking = Path(program("host-local")).parent
        self._kubelet = _KUBELET.build()
        write_image(self._directory / "pause.tar", reference=PAUSE_IMAGE, binary=PAUSE.build())
        self._write("kubelet.json", json.dumps(self._kubelet_configuration()))
        self._write("containerd.toml", self._containerd_configuration(networking))
        self._write("networks/lab.conflist", json.dumps(_network(self._directory / "addresses")))
        self._write("start.sh", self._script())

    def unit(self) -> Unit:
        """Ready once the scheduler may place pods here."""
        return Unit(self.name, python("so1s_lab.enclosure", str(self._directory / "start.sh")), self._ready)

    async def _ready(self) -> bool:
        async with self._control_plane.client() as api:
            try:
                return takes_pods(await CoreV1Api(api).read_node(_NAME))
            except ApiException:
                return False

    def _write(self, name: str, content: str) -> None:
        path = self._directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    def _script(self) -> str:
        """Runs inside the enclosure, so that what is mounted here is seen by the node alone."""
        containerd = command("containerd", config=self._directory / "containerd.toml")
        load = ["ctr", "--address", str(_SOCKET), "--namespace", "k8s.io", "images", "import"]
        kubelet = command(
            self._kubelet,
            config=self._directory / "kubelet.json",
            kubeconfig=self._control_plane.server.kubeconfig(f"system:node:{_NAME}", group="system:nodes"),
            hostname_override=_NAME,
            node_ip=NODE_ADDRESS,
            root_dir=self._directory / "kubelet",
            cert_dir=self._directory / "kubelet",
            housekeeping_interval="1s",  # containers are measured as often as a lab's Prometheus scrapes
            node_labels=",".join(f"{key}={value}" for key, value in self.pool.selector.items()),
        )
        return "\n".join(
            [
                *([f"export PATH={BIN}:$PATH"] if self._runtime else []),
                "mount --make-rshared /",
                f"mkdir -p {_PRIVATE}",
                f"for directory in {_PRIVATE}; do mount -t tmpfs tmpfs $directory; done",
                # The kubelet's cAdvisor looks for containers here alone.
                f"ln -s {_SOCKET} /run/containerd/containerd.sock",
                f"{shlex.join(containerd)} &",
                f"until {shlex.join([*load, str(self._directory / 'pause.tar')])} >/dev/null 2>&1; do",
                "  sleep 0.05",
                "done",
                f"{shlex.join(kubelet)} &",
                "wait -n",
            ]
        )

    def _kubelet_configuration(self) -> Manifest:
        """https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/."""
        ca = str(self._control_plane.server.authority.certificate)
        # A machine whose disk is nearly full still has room for a lab.
        never = dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "0%")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_ADDRESS,
            "port": self._port,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": self._health_port,
            "authentication": {"x509": {"clientCAFile": ca}},
            "registerWithTaints": [self.pool.taint],
            "containerRuntimeEndpoint": f"unix://{_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            # The machine's own packet filter is left alone.
            "makeIPTablesUtilChains": False,
            "podLogsDir": str(self._directory / "logs"),
            "evictionHard": never,
            "imageGCHighThresholdPercent": 100,
        }

    def _containerd_configuration(self, networking: Path) -> str:
        return f"""
version = 2
root = "{self._directory / "containerd"}"
state = "{_STATE / "containerd"}"

[grpc]
address = "{_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# To raise a process's standing with the kernel's memory killer is not always permitted.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{networking}"
conf_dir = "{self._directory / "networks"}"
"""


def _network(addresses: Path) -> Manifest:
    """Pods on the node's bridge, which this machine's own processes reach and the outside does not."""
    leases = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_ADDRESSES, "gateway": NODE_ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(addresses),
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipam": leases}
    return {"cniVersion": "0.4.0", "name": "lab", "plugins": [bridge, {"type": "loopback"}]}
