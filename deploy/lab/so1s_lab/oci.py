"""The smallest image: one static binary in one layer, as an archive of an OCI image layout.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def write_image(archive: Path, *, reference: str, binary: Path) -> None:
    """Write an image that runs a static binary; containerd imports it under its reference."""
    blobs = _Blobs()
    layer = _tar({binary.name: binary.read_bytes()}, mode=0o755)
    config = {
        "architecture": _GO_ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{binary.name}"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": blobs.add(_CONFIG, _encoded(config)),
        "layers": [blobs.add(_LAYER, layer)],
    }
    named = blobs.add(_MANIFEST, _encoded(manifest)) | {
        "annotations": {"io.containerd.image.name": reference}
    }
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [named]}
    layout = {"oci-layout": _encoded({"imageLayoutVersion": "1.0.0"}), "index.json": _encoded(index)}
    archive.write_bytes(_tar(layout | blobs.files, mode=0o644))


class _Blobs:
    """What an image consists of, each known by its digest."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, media_type: str, content: bytes) -> dict[str, Any]:
        """The content's descriptor."""
        digest = _digest(content)
        self.files[f"blobs/{digest.replace(':', '/')}"] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
