"""Kubeconfig files: where an API server is, and who its client is."""

from __future__ import annotations

import json
from pathlib import Path

from so1s_lab.pki import Identity


def write_kubeconfig(path: Path, *, server: str, ca: Path, client: Identity) -> Path:
    """Write a kubeconfig, which names the certificates' files; JSON, which is YAML too."""
    named = "lab"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": named, "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [
            {
                "name": named,
                "user": {"client-certificate": str(client.certificate), "client-key": str(client.key)},
            }
        ],
        "contexts": [{"name": named, "context": {"cluster": named, "user": named}}],
        "current-context": named,
    }
    path.write_text(json.dumps(config, indent=2))
    return path
