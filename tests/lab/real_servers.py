"""The `Cluster` port's world where replicas are pods of the real node, and their servers answer."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import zstandard
from pydantic import SecretStr

from deploy.images.credentials import Credentials
from deploy.images.foundation import Foundation
from deploy.images.pushing import Destination, pusher
from services.builder.adapters.oci import ImageDocuments
from services.builder.domain.image import Layer, configuration
from services.deployer.adapters.kubernetes import names
from services.deployer.adapters.kubernetes.pod import Pod
from services.deployer.ports import Cluster
from so1s.blocking import wait_for
from so1s.events import Image
from so1s.kubernetes import Api, Mirror
from so1s.kubernetes.labels import VERSION
from so1s_lab.control_plane import ControlPlane
from so1s_lab.installation import SYSTEM
from so1s_lab.node import Node
from so1s_lab.registry import Registry
from tests.deployer.conftest import ask, until
from tests.deployer.stand_in import Layout
from tests.lab.installed import Kubernetes

_REPOSITORY = "so1s/base"
"""The base's own: its layers are there already."""
_SERVICE = "kubernetes.io/service-name"
_PLAIN = {"": bytes, "+gzip": gzip.decompress, "+zstd": zstandard.decompress}
QUICK: dict[str, Any] = {
    "drain_seconds": 2.0,
    "grace_seconds": 5.0,
    "startup_seconds": 60.0,
    "pull_seconds": 3.0,
}


class PushedLayout(Layout):
    """The stand-in's images on a base with Python, in a registry; each is made once."""

    def __init__(self, root: Path, base: Path, registry: Registry) -> None:
        super().__init__(root)
        self._foundation = Foundation(base)
        self._registry = registry
        self._made: dict[str, Image] = {}
        for layer in self._foundation.image.layers:
            self.path(layer.digest).symlink_to(self._foundation.blob(layer.digest))

    def image(self, version: str, *, platform: str | None = None, **behaviour: Any) -> Image:
        name = json.dumps([version, behaviour])
        if name not in self._made:
            self._made[name] = super().image(version, platform=platform, **behaviour)
        return self._made[name]

    def missing(self) -> Image:
        """One that nobody made."""
        digest = f"sha256:{'0' * 64}"
        return Image(reference=f"{self._registry.host}/{_REPOSITORY}@{digest}", digest=digest, size_bytes=0)

    def write(self, layers: list[dict[str, Any]], platform: str) -> Image:
        """Write an image on the base, and push it."""
        base = self._foundation.image
        own = [self._layer(each) for each in layers]
        documents = ImageDocuments.of(configuration(base, labels={}, layers=own), [*base.layers, *own])
        for each in (documents.config, documents.manifest):
            self.blob(each.data)
        digest = documents.manifest.digest
        return Image(reference=wait_for(self._push(digest)), digest=digest, size_bytes=documents.size_bytes)

    def _layer(self, described: dict[str, Any]) -> Layer:
        digest, media_type = described["digest"], described["mediaType"]
        plain = _PLAIN[media_type.partition("tar")[2]](self.path(digest).read_bytes())
        return Layer(digest, f"sha256:{hashlib.sha256(plain).hexdigest()}", described["size"], media_type)

    async def _push(self, digest: str) -> str:
        known = Credentials(user=self._registry.username, password=SecretStr(self._registry.password))
        async with pusher(Destination.parse(self._registry.url), known) as push:
            return await push.push(self.root, digest, name=_REPOSITORY, tag=digest[-12:])


class RealServers(Kubernetes):
    """A control plane with the real node, as a conformance test may touch it.

    A test plays the mesh: it sends to what the endpoints of a Service say.
    """

    def __init__(
        self, control_plane: ControlPlane, node: Node, images: PushedLayout, api: Api, slices: Mirror
    ) -> None:
        super().__init__(control_plane.kubeconfig, api)
        self._node = node
        self._images = images
        self._slices = slices
        self.drain_seconds = QUICK["drain_seconds"]

    def image(self, version: str, **behaviour: Any) -> Image:
        return self._images.image(version, **behaviour)

    def missing_image(self) -> Image:
        return self._images.missing()

    def cluster(self, **changes: Any) -> Cluster:
        pool: dict[str, Any] = {
            "node_selector": self._node.pool.selector,
            "tolerations": self._node.pool.tolerations,
        }
        own = pool | QUICK | {"image_pull_secret": (SYSTEM, "registry")}
        return super().cluster(**own | changes)

    def traffic(self, service: str = "fraud") -> list[str]:
        """Where a mesh finds a service."""
        return [f"http://{each['addresses'][0]}:{names.PORT}" for each in self._endpoints(service)]

    def serving(self) -> list[str]:
        """The versions that the mesh is sent to: one for each replica."""
        pods = self.objects("Pod")
        found = [pods[each["targetRef"]["name"]] for each in self._endpoints("fraud")]
        return sorted(pod["metadata"]["labels"][VERSION] for pod in found)

    def versions(self) -> set[str]:
        """Of all replicas that are there, also of those that are about to end."""
        return {
            each["metadata"]["labels"][VERSION]
            for each in self.objects("Pod").values()
            if not Pod(each).ended
        }

    def processes(self, version: str = "") -> list[psutil.Process]:
        """Those of all servers, or of a version's."""
        wanted = [pod["metadata"] for pod in self.living()]
        uids = [meta["uid"] for meta in wanted if version in {"", meta["labels"][VERSION]}]
        return [each for each in psutil.process_iter() if _is_server(each, uids)]

    async def ask(self, url: str) -> dict[str, Any]:
        """What the deployment answers at a url of `observe`."""
        service = str(urlsplit(url).hostname).partition(".")[0]

        async def found() -> list[str]:
            return self.traffic(service)

        return await ask((await until(found))[0])

    async def clear(self) -> None:
        """End what a test left."""
        await self.api.delete("v1", "Namespace", None, self.namespace)

    def _endpoints(self, service: str) -> list[dict[str, Any]]:
        slices = (
            each
            for (namespace, _), each in self._slices.objects.items()
            if namespace == self.namespace and each["metadata"]["labels"][_SERVICE] == service
        )
        return [each for part in slices for each in part["endpoints"] or [] if each["conditions"]["ready"]]


def _is_server(process: psutil.Process, uids: list[str]) -> bool:
    """Whether a process of this machine is the server of one of these pods."""
    try:
        groups = Path(f"/proc/{process.pid}/cgroup").read_text()
        return "so1s_runtime" in process.cmdline() and any(f"pod{uid}" in groups for uid in uids)
    except (psutil.Error, OSError):
        return False  # it ended meanwhile
